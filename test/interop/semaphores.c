/*
 * The other side of semaphores: POSIX and System V as any C program uses them. semaphores.py takes the same words.
 *
 *   semaphores KIND WHERE [create VALUE]     opens what is there, or makes it; then takes commands, one a line:
 *
 *     wait, post, undo     takes one, gives one back, takes one that is given back at the process's end; print `done`
 *     try                  as wait, and never waits
 *     value                prints it
 *     count TIMES NAME     takes it, adds 1 to the 16-bit word at byte 64 of that shared memory in two steps, and gives it back,
 *                          so many times; prints `done`
 *     remove               removes it; prints `done`
 *
 * A call that fails prints `failed ERRNO`. KIND WHERE: named NAME, unnamed NAME (the first bytes of that shared memory,
 * whose size the maker of the memory has given), set PATH (a key of ftok, project 200, the first of its semaphores)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <unistd.h>

enum { PROJECT = 200, PAGE = 4096, COUNTER = 64 };

static struct {
  const char *name;
  sem_t *posix; /* NULL: it is a set */
  int set;
} semaphore;

static void answer(int ok, const char *line) {
  if (ok) puts(line);
  else printf("failed %d\n", errno);
}

static void *map(const char *name) {
  const int fd = shm_open(name, O_RDWR, 0);
  void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    perror(name);
    exit(1);
  }
  close(fd);
  return memory;
}

static int open_set(const char *path, int create, int value) {
  const key_t key = ftok(path, PROJECT);
  semaphore.set = key == -1 ? -1 : semget(key, create, create ? IPC_CREAT | IPC_EXCL | 0600 : 0);
  if (semaphore.set < 0 || !create) return semaphore.set;
  /* An operation, as openers look for the first one: semctl would leave sem_otime 0. */
  struct sembuf first = {.sem_op = (short)value};
  return value == 0 ? 0 : semop(semaphore.set, &first, 1);
}

static void open_semaphore(const char *kind, const char *where, int create, int value) {
  semaphore.name = where;
  if (strcmp(kind, "set") == 0) {
    answer(open_set(where, create, value) >= 0, "open");
  } else if (strcmp(kind, "unnamed") == 0) {
    semaphore.posix = map(where);
    answer(!create || sem_init(semaphore.posix, 1, (unsigned)value) == 0, "open");
  } else {
    semaphore.posix = create ? sem_open(where, O_CREAT | O_EXCL, 0600, value) : sem_open(where, 0);
    answer(semaphore.posix != SEM_FAILED, "open");
  }
}

static int operate(int delta, int flags) {
  struct sembuf operation = {.sem_op = (short)delta, .sem_flg = (short)flags};
  return semop(semaphore.set, &operation, 1);
}

static int take(void) { return semaphore.posix ? sem_wait(semaphore.posix) : operate(-1, 0); }
static int try_to_take(void) { return semaphore.posix ? sem_trywait(semaphore.posix) : operate(-1, IPC_NOWAIT); }
static int give(void) { return semaphore.posix ? sem_post(semaphore.posix) : operate(1, 0); }

static void value(void) {
  int found = 0;
  if (!semaphore.posix) found = semctl(semaphore.set, 0, GETVAL);
  else if (sem_getvalue(semaphore.posix, &found) != 0) found = -1;
  if (found < 0) answer(0, "");
  else printf("%d\n", found);
}

static void count(long times, const char *name) {
  volatile uint16_t *counter = (volatile uint16_t *)((char *)map(name) + COUNTER);
  for (long i = 0; i < times; i++) {
    if (take() != 0) return answer(0, "");
    const uint16_t before = *counter;
    if (i % 16 == 0) sched_yield(); /* invites the others */
    *counter = (uint16_t)(before + 1);
    if (give() != 0) return answer(0, "");
  }
  puts("done");
}

static int remove_it(void) {
  return semaphore.posix ? sem_unlink(semaphore.name) : semctl(semaphore.set, 0, IPC_RMID);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  char line[512];
  char command[16];
  char name[256];
  setvbuf(stdout, NULL, _IOLBF, 0);
  open_semaphore(argv[1], argv[2], argc > 4, argc > 4 ? atoi(argv[4]) : 0);
  while (fgets(line, sizeof line, stdin)) {
    long times = 0;
    if (sscanf(line, "%15s %ld %255s", command, &times, name) < 1) return 2;
    if (strcmp(command, "wait") == 0) answer(take() == 0, "done");
    else if (strcmp(command, "try") == 0) answer(try_to_take() == 0, "done");
    else if (strcmp(command, "undo") == 0) answer(operate(-1, SEM_UNDO) == 0, "done");
    else if (strcmp(command, "post") == 0) answer(give() == 0, "done");
    else if (strcmp(command, "value") == 0) value();
    else if (strcmp(command, "count") == 0) count(times, name);
    else if (strcmp(command, "remove") == 0) answer(remove_it() == 0, "done");
    else return 2;
  }
  return 0;
}
