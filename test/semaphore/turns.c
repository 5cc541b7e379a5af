/*
 * What C programs do with semaphores by glibc's own calls, ROUNDS times each:
 *
 *   turns answer FIRST SECOND ROUNDS   waits for FIRST and posts SECOND
 *   turns hasty FIRST SECOND ROUNDS    the same, giving up after some microseconds again and again
 *   turns count SEMAPHORE MEMORY ROUNDS   adds 1 to the word at the start of MEMORY, one at a time by the semaphore
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static sem_t* opened(const char* name) {
  sem_t* semaphore = sem_open(name, 0);
  if (semaphore != SEM_FAILED) return semaphore;
  perror(name);
  exit(1);
}

static void taken(sem_t* semaphore, int hasty) {
  for (;;) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += 20000;
    if (end.tv_nsec >= 1000000000) {
      end.tv_nsec -= 1000000000;
      ++end.tv_sec;
    }
    if ((hasty ? sem_timedwait(semaphore, &end) : sem_wait(semaphore)) == 0) return;
    if (errno == ETIMEDOUT || errno == EINTR) continue;
    perror("sem_wait");
    exit(1);
  }
}

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const long rounds = atol(argv[4]);
  sem_t* first = opened(argv[2]);
  if (strcmp(argv[1], "count") == 0) {
    const int fd = shm_open(argv[3], O_RDWR, 0);
    volatile int32_t* word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || word == MAP_FAILED) return 1;
    for (long round = 0; round < rounds; ++round) {
      taken(first, 0);
      const int32_t seen = *word;
      if (round % 16 == 0) sched_yield();
      *word = seen + 1;
      sem_post(first);
    }
    return 0;
  }
  sem_t* second = opened(argv[3]);
  for (long round = 0; round < rounds; ++round) {
    taken(first, strcmp(argv[1], "hasty") == 0);
    if (sem_post(second) != 0) return 1;
  }
  return 0;
}
