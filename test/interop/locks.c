/*
 * The other side of locks: a Mutex in C, that knows no more of it than interproc.h.
 *
 *   locks KIND WHERE OFFSET      opens the mutex there and prints "open", or how that failed; then takes commands, one a line:
 *
 *     lock MS, try               take it (-1 is for ever); print "locked" or "abandoned"
 *     recovered, unlock          print "done"
 *     count TIMES HOW            locks it so many times (HOW: lock, timed, try, or each in turn), and each time adds 1 to the
 *                                two words at byte 64, which are not atomic; prints "done" unless they ever differed
 *     mind-signals               has SIGWINCH end its sleeps from now on; prints "done"
 *     die STEP                   is killed when it passes that step (INTERPROC_FAILPOINT) from now on; prints "done"
 *     halve                      adds 1 to the first of the two words, and is killed
 *     fork                       has a child try what is its parent's; prints how each attempt ended
 *     leave-child                makes a child that stays, and prints its pid
 *     exec                       goes on as another program (sleep)
 *     lockf                      is no owner any more, and locks all of the file (man 3 lockf); prints "done"
 *     rules                      prints what becomes of every kind of state
 *
 * What fails prints the name of the error. KIND WHERE: shm NAME, file PATH, fd NUMBER
 */
static void pass_step(const char* name);
#define INTERPROC_FAILPOINT(name) pass_step(name)
#include "interproc.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

enum { COUNTERS = 64 };

static char doom[32];
static void pass_step(const char* name) {
  if (strcmp(name, doom) == 0) kill(getpid(), SIGKILL);
}

static struct interproc_owner me;
static struct interproc_lock lock;
static int file;
static volatile uint32_t* counters;

static const char* name_of(int result) {
  switch (result) {
    case 0:
      return "done";
    case INTERPROC_ABANDONED:
      return "abandoned";
    case INTERPROC_MISMATCH:
      return "MISMATCH";
    case INTERPROC_NOT_RECOVERABLE:
      return "NOT_RECOVERABLE";
    case -EBUSY:
      return "EBUSY";
    case -ETIMEDOUT:
      return "ETIMEDOUT";
    case -EDEADLK:
      return "EDEADLK";
    case -EPERM:
      return "EPERM";
    case -EBADF:
      return "EBADF";
    case -EINVAL:
      return "EINVAL";
    default:
      return "?";
  }
}

static void say(const char* line) {
  puts(line);
  fflush(stdout);
}

static void tell(int result) { say(name_of(result)); }
static void tell_lock(int result) { say(result == 0 ? "locked" : name_of(result)); }

static void must(int holds, const char* call) {
  if (holds) return;
  perror(call);
  exit(1);
}

static int open_file(const char* kind, const char* where) {
  if (strcmp(kind, "fd") == 0) return atoi(where);
  if (strcmp(kind, "shm") == 0) return shm_open(where, O_RDWR, 0);
  return open(where, O_RDWR | O_CLOEXEC);
}

static int open_mutex(const char* kind, const char* where, size_t offset) {
  file = open_file(kind, where);
  must(file >= 0, where);
  const off_t size = lseek(file, 0, SEEK_END);
  void* base = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  must(base != MAP_FAILED, "mmap");
  unsigned char* bytes = (unsigned char*)base;
  counters = (volatile uint32_t*)(void*)(bytes + COUNTERS);
  const int result = interproc_own(&me, file);
  return result != 0 ? result : interproc_mutex_open(&lock, &me, bytes + offset);
}

/* Somehow, until it is had. */
static int have(const char* how, long time) {
  static const char* const ways[] = {"lock", "timed", "try"};
  if (strcmp(how, "each") == 0) how = ways[time % 3];
  if (strcmp(how, "lock") == 0) return interproc_mutex_lock(&lock, -1);
  for (;;) {
    const int result =
        strcmp(how, "try") == 0 ? interproc_mutex_trylock(&lock) : interproc_mutex_lock(&lock, 1);
    if (result != -EBUSY && result != -ETIMEDOUT) return result;
    if (result == -EBUSY) sched_yield();
  }
}

static const char* count(long times, const char* how) {
  for (long time = 0; time < times; ++time) {
    const int result = have(how, time);
    if (result != 0) return name_of(result);
    const uint32_t before = counters[0];
    const int same = counters[1] == before;
    if (time % 16 == 0) sched_yield(); /* invites the others */
    counters[0] = before + 1;
    counters[1] = before + 1;
    const int unlocked = interproc_mutex_unlock(&lock);
    if (unlocked != 0) return name_of(unlocked);
    if (!same) return "torn";
  }
  return "done";
}

static void on_signal(int number) { (void)number; }

static void mind_signals(void) {
  struct sigaction action;
  memset(&action, 0, sizeof(action));
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART; /* for stdio */
  must(sigaction(SIGWINCH, &action, NULL) == 0, "sigaction");
  say("done");
}

static void try_in_child(void) {
  fflush(stdout);
  const pid_t child = fork();
  must(child >= 0, "fork");
  if (child > 0) {
    must(waitpid(child, NULL, 0) == child, "waitpid");
    return;
  }
  printf("unlock: %s, ", name_of(interproc_mutex_unlock(&lock)));
  printf("try: %s, ", name_of(interproc_mutex_trylock(&lock)));
  printf("lock: %s, ", name_of(interproc_mutex_lock(&lock, -1)));
  printf("own: %s, ", name_of(interproc_own(&me, file)));
  lock.held = 1; /* as it was when it was forked */
  printf("unlock: %s, ", name_of(interproc_mutex_unlock(&lock)));
  lock.held = 1;
  printf("recovered: %s, ", name_of(interproc_mutex_recovered(&lock)));
  printf("lock: %s\n", name_of(interproc_mutex_lock(&lock, 0)));
  interproc_disown(&me);
  fflush(stdout);
  _exit(0);
}

static void leave_child(void) {
  const pid_t child = fork();
  must(child >= 0, "fork");
  if (child == 0) {
    alarm(60); /* the test kills it before */
    for (int stream = 0; stream < 3; ++stream) close(stream);
    for (;;) pause();
  }
  printf("%ld\n", (long)child);
  fflush(stdout);
}

static void lock_file(void) {
  interproc_disown(&me);
  must(lseek(file, 0, SEEK_SET) == 0 && lockf(file, F_TLOCK, 0) == 0, "lockf");
  say("done");
}

static void rules(void) {
  const uint32_t flags[] = {0, INTERPROC_LOCK_WAITERS, INTERPROC_LOCK_STARVING,
                            INTERPROC_LOCK_WAITERS | INTERPROC_LOCK_STARVING};
  for (int owner = 0; owner < 2; ++owner) {
    for (int flag = 0; flag < 4; ++flag) {
      const uint32_t there = (owner ? 1234u : 0) | flags[flag];
      printf("%" PRIu32 ": %" PRIu32, there, interproc__lock_released(there));
      for (int how = 0; how < 8; ++how) {
        const struct interproc__wanting wanting = {how & 1, how >> 1 & 1, how >> 2};
        printf(" %" PRIu32 " %" PRIu32, interproc__lock_taken(there, 77, &wanting),
               interproc__lock_awaited(there, &wanting));
      }
      printf("; ");
    }
  }
  say("");
}

static void halve(void) {
  counters[0] = counters[0] + 1;
  kill(getpid(), SIGKILL);
}

static int obey(const char* line) {
  char command[16];
  char how[32] = "";
  long number = 0;
  if (sscanf(line, "die %31s", doom) == 1) {
    say("done");
    return 1;
  }
  if (sscanf(line, "%15s %ld %31s", command, &number, how) < 1) return 0;
  if (strcmp(command, "lock") == 0) tell_lock(interproc_mutex_lock(&lock, number));
  else if (strcmp(command, "try") == 0) tell_lock(interproc_mutex_trylock(&lock));
  else if (strcmp(command, "recovered") == 0) tell(interproc_mutex_recovered(&lock));
  else if (strcmp(command, "unlock") == 0) tell(interproc_mutex_unlock(&lock));
  else if (strcmp(command, "count") == 0) say(count(number, how));
  else if (strcmp(command, "mind-signals") == 0) mind_signals();
  else if (strcmp(command, "halve") == 0) halve();
  else if (strcmp(command, "fork") == 0) try_in_child();
  else if (strcmp(command, "leave-child") == 0) leave_child();
  else if (strcmp(command, "exec") == 0) execlp("sleep", "sleep", "1000", (char*)NULL);
  else if (strcmp(command, "lockf") == 0) lock_file();
  else if (strcmp(command, "rules") == 0) rules();
  else return 0;
  return 1;
}

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const int result = open_mutex(argv[1], argv[2], strtoull(argv[3], NULL, 10));
  say(result == 0 ? "open" : name_of(result));
  if (result != 0) return 0;
  char line[128];
  while (fgets(line, sizeof(line), stdin)) {
    if (!obey(line)) return 2;
  }
  interproc_disown(&me);
  return 0;
}
