#define _GNU_SOURCE 1
#include "control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t control_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

_Noreturn void control_fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "floor: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  exit(1);
}

static uint64_t cpu_microseconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000u +
         (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static FILE* output;

void control_say(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(output, format, arguments);
  va_end(arguments);
  fputc('\n', output);
  if (fflush(output) != 0) exit(0); /* the bench is gone */
}

static void open_output(void) {
  output = fdopen(dup(CONTROL_FD), "w");
  if (output == NULL) control_fail("descriptor %d: %s", CONTROL_FD, strerror(errno));
}

void control_serve_lines(void (*answer)(void* state, const char* line), void* state) {
  FILE* input = fdopen(CONTROL_FD, "r");
  if (input == NULL) control_fail("descriptor %d: %s", CONTROL_FD, strerror(errno));
  open_output();
  control_say("{\"ready\":true}");
  char line[256];
  while (fgets(line, sizeof(line), input) != NULL) answer(state, line);
}

static void run_once(void* state, const char* line) {
  const struct control_side* side = state;
  if (strncmp(line, "{\"cpu\":", 7) == 0) {
    control_say("{\"cpu\":%" PRIu64 "}", cpu_microseconds());
    return;
  }
  uint64_t count;
  if (sscanf(line, "{\"run\":%" SCNu64 "}", &count) != 1) control_fail("what is '%s'?", line);
  const uint64_t cpu = cpu_microseconds();
  control_say("{\"cpu\":%" PRIu64 "}", cpu);
  if (side->prepare != NULL) side->prepare(side->state);
  const uint64_t start = control_now();
  side->run(side->state, count);
  const uint64_t end = control_now();
  fprintf(output, "{\"start\":\"%" PRIu64 "\",\"end\":\"%" PRIu64 "\",\"cpu\":%" PRIu64, start, end,
          cpu_microseconds());
  if (side->share != NULL) fprintf(output, ",\"share\":%" PRIu64, *side->share);
  if (side->latencies != NULL) {
    const uint64_t timed = side->timed == NULL ? count : *side->timed;
    fprintf(output, ",\"latencies\":[");
    for (uint64_t i = 0; i < timed; ++i) {
      fprintf(output, i == 0 ? "%" PRIu32 : ",%" PRIu32, side->latencies[i]);
    }
    fputc(']', output);
  }
  control_say("}");
}

void control_serve(const struct control_side* side) { control_serve_lines(run_once, (void*)side); }
