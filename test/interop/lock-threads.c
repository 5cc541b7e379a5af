/*
 * Threads of one process that contend for a mutex, each an owner of its own, for ThreadSanitizer: what the mutex guards is
 * plain memory, so that an order of memory that is too weak anywhere is a data race.
 *
 *   lock-threads ROUNDS       each has it so many times, in hundreds; prints how often all of them had it
 *
 * Compiled with -DWEAK the changes of the mutex order nothing, and the sanitizer has to notice.
 */
#ifdef WEAK
#undef __ATOMIC_SEQ_CST
#define __ATOMIC_SEQ_CST __ATOMIC_RELAXED
#endif
#include "interproc.h"

#include <stdlib.h>

enum { THREADS = 6 };

static struct {
  unsigned long times;
  unsigned char text[64];
} guarded;

static int file;
static struct interproc_mutex* mutex;
static long rounds;

static void must(int holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "not so: %s\n", what);
  abort();
}

static void change_what_is_guarded(void) {
  const unsigned char last = (unsigned char)guarded.times;
  for (size_t at = 0; at < sizeof(guarded.text); ++at) {
    must(guarded.text[at] == last, "all is as the last one left it");
    guarded.text[at] = (unsigned char)(last + 1);
  }
  if (guarded.times % 8 == 0) sched_yield(); /* invites the others */
  ++guarded.times;
}

/* However long that takes. */
static int have(struct interproc_lock* lock, long way) {
  for (;;) {
    const int result = way == 0   ? interproc_mutex_lock(lock, -1)
                       : way == 1 ? interproc_mutex_lock(lock, 1)
                                  : interproc_mutex_trylock(lock);
    if (result >= 0) return result;
    must(result == (way == 1 ? -ETIMEDOUT : -EBUSY), "it is had by another one");
    if (way == 2) sched_yield();
  }
}

static void* contend(void* number) {
  const long thread = (long)(intptr_t)number;
  for (long round = 0; round < rounds;) {
    struct interproc_owner me;
    struct interproc_lock lock;
    must(interproc_own(&me, file) == 0, "interproc_own");
    must(interproc_mutex_open(&lock, &me, mutex) == 0, "interproc_mutex_open");
    /* As another owner now and then. */
    for (long end = round + 100; round < end; ++round) {
      /* Two threads do each one thing, the others all of them. */
      must(have(&lock, (thread < 2 ? thread : thread + round) % 3) == 0, "nobody has died");
      change_what_is_guarded();
      must(interproc_mutex_unlock(&lock) == 0, "interproc_mutex_unlock");
    }
    interproc_disown(&me);
  }
  return NULL;
}

int main(int argc, char** argv) {
  rounds = argc > 1 ? atol(argv[1]) : 100;
  file = (int)syscall(SYS_memfd_create, "interproc", 1u);
  must(file >= 0 && ftruncate(file, 4096) == 0, "memfd_create");
  void* memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  must(memory != MAP_FAILED, "mmap");
  mutex = (struct interproc_mutex*)memory;
  pthread_t threads[THREADS];
  for (long thread = 0; thread < THREADS; ++thread) {
    must(pthread_create(&threads[thread], NULL, contend, (void*)(intptr_t)thread) == 0, "pthread_create");
  }
  for (long thread = 0; thread < THREADS; ++thread) must(pthread_join(threads[thread], NULL) == 0, "pthread_join");
  printf("%lu\n", guarded.times);
  return 0;
}
