/*
 * One of those who share a mutex, as a process: lock-actor.js in C, whose work `mutex` it does.
 *
 *   WORK NAME FORM COUNT WHO
 *
 * FORM: lock, impatient, try; WORK: mutex, or `mutex ruin`. The places are those of lock-places.js.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "failpoint.h"

#include "../../native/include/interproc.h"

#define MUTEX 0
#define DATA 4096
#define SIZE 8192
enum { LEFT, RIGHT, STOP, ITEMS, READY, GO, ROUNDS = 8 };

static void say(const char* line) {
  if (write(STDOUT_FILENO, line, strlen(line)) < 0) exit(3);
}

static int must(int result, const char* what) {
  if (result >= 0) return result;
  fprintf(stderr, "%s: %d\n", what, result);
  exit(1);
}

static void pause_ms(long ms) {
  const struct timespec time = {0, ms * 1000000};
  nanosleep(&time, NULL);
}

static int32_t load(int32_t* word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
static void store(int32_t* word, int32_t value) { __atomic_store_n(word, value, __ATOMIC_SEQ_CST); }

/* 0, or INTERPROC_ABANDONED; negative when it was given up. */
static int take(struct interproc_lock* lock, const char* form) {
  int result;
  if (strcmp(form, "try") == 0) {
    result = interproc_mutex_trylock(lock);
  } else {
    result = interproc_mutex_lock(lock, strcmp(form, "impatient") == 0 ? 1 : -1);
  }
  if (result == -EBUSY || result == -ETIMEDOUT) return result;
  return must(result, "lock");
}

static void make_whole(struct interproc_lock* lock, int taken, int32_t* data) {
  const int whole = load(data + LEFT) == load(data + RIGHT);
  if (taken == INTERPROC_ABANDONED) {
    say(whole ? "abandoned whole\n" : "abandoned half\n");
    store(data + RIGHT, load(data + LEFT));
    must(interproc_mutex_recovered(lock), "recovered");
  } else if (!whole) {
    fprintf(stderr, "the data is half changed, and nobody was told\n");
    exit(1);
  }
}

int main(int count, char** given) {
  if (count != 6) return 2;
  const char* form = given[3];
  const int rounds = atoi(given[4]);
  char path[256];
  snprintf(path, sizeof(path), "/%s", given[2]);
  const int fd = must(shm_open(path, O_RDWR, 0), "shm_open");
  char* memory = (char*)mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return 4;
  int32_t* data = (int32_t*)(void*)(memory + DATA);
  struct interproc_owner me;
  struct interproc_lock lock;
  must(interproc_own(&me, fd), "own");
  must(interproc_mutex_open(&lock, &me, memory + MUTEX), "open");
  if (strcmp(given[1], "mutex ruin") == 0) {
    take(&lock, form);
    store(data + READY, 1);
    while (load(data + GO) == 0) pause_ms(1);
    must(interproc_mutex_unlock(&lock), "unlock");
  }
  for (int done = 0; strcmp(given[1], "mutex") == 0;) {
    const int taken = take(&lock, form);
    if (taken < 0) {
      sched_yield();
    } else {
      make_whole(&lock, taken, data);
      store(data + LEFT, load(data + LEFT) + 1);
      pass_failpoint("data.half");
      store(data + RIGHT, load(data + RIGHT) + 1);
      if (done % 3 == 0) pause_ms(2);
      must(interproc_mutex_unlock(&lock), "unlock");
      /* Its unlocked moments would be too short for those who don't sleep. */
      if (done % 2 == 0) sched_yield();
    }
    __atomic_add_fetch(data + ROUNDS + atoi(given[5]), 1, __ATOMIC_SEQ_CST);
    if (++done == rounds || (rounds == 0 && load(data + STOP) != 0)) break;
  }
  interproc_disown(&me);
  say("end\n");
  return 0;
}
