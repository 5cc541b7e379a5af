/*
 * Where the two CPUs are: two threads, each pinned to one, hand a flag to and fro for some
 * milliseconds. The mean round trip tells: about 35 ns where both are on one core of the host, and
 * about 210 ns where they are not.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "control.h"
#include "roles.h"

#define PROBE_NS UINT64_C(5000000)
#define BATCH 64

struct probe {
  int cpus[2];
  struct {
    uint32_t flag;
    char fill[124];
  } __attribute__((aligned(128))) lines[2];
  uint32_t over;
};

static void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) control_fail("no CPU %d", cpu);
}

static void* answer_flags(void* state) {
  struct probe* probe = state;
  pin(probe->cpus[1]);
  uint32_t last = 0;
  while (!__atomic_load_n(&probe->over, __ATOMIC_ACQUIRE)) {
    const uint32_t now = __atomic_load_n(&probe->lines[0].flag, __ATOMIC_ACQUIRE);
    if (now == last) continue;
    last = now;
    __atomic_store_n(&probe->lines[1].flag, now, __ATOMIC_RELEASE);
  }
  return NULL;
}

/* The best of its batches: what else runs on these CPUs meanwhile only makes them longer. */
static void probe_once(void* state, const char* line) {
  (void)line;
  struct probe* probe = state;
  probe->over = 0;
  probe->lines[0].flag = probe->lines[1].flag = 0;
  pthread_t thread;
  if (pthread_create(&thread, NULL, answer_flags, probe) != 0) control_fail("no thread");
  const uint64_t start = control_now();
  uint64_t best = UINT64_MAX;
  uint32_t flag = 0;
  uint64_t now = start;
  while (now - start < PROBE_NS) {
    const uint64_t before = now;
    for (int i = 0; i < BATCH; ++i) {
      __atomic_store_n(&probe->lines[0].flag, ++flag, __ATOMIC_RELEASE);
      while (__atomic_load_n(&probe->lines[1].flag, __ATOMIC_ACQUIRE) != flag) {
      }
    }
    now = control_now();
    if (now - before < best) best = now - before;
  }
  __atomic_store_n(&probe->over, 1, __ATOMIC_RELEASE);
  pthread_join(thread, NULL);
  control_say("{\"ns\":%.1f}", (double)best / BATCH);
}

/* floor probe CPU CPU */
void floor_probe(char** arguments) {
  static struct probe probe;
  probe.cpus[0] = atoi(arguments[0]);
  probe.cpus[1] = atoi(arguments[1]);
  pin(probe.cpus[0]);
  control_serve_lines(probe_once, &probe);
}
