/*
 * The floor of semaphores, POSIX and System V. A pair is one post and one try to take it by one
 * process, which never sleeps. Round trips are over two semaphores, between two processes that
 * block in the call, also where others have an event loop.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <string.h>
#include <sys/sem.h>

#include "control.h"
#include "messages.h"
#include "roles.h"

struct gate {
  sem_t* posix;
  int set;
  struct sembuf raise;
  struct sembuf lower;
};

struct gates {
  struct gate out;  /* what this side releases */
  struct gate back; /* what it acquires */
  uint32_t* latencies;
};

static void check(int64_t result, const char* call) {
  if (result < 0) control_fail("%s: %s", call, strerror(errno));
}

static inline void release_posix(struct gate* gate) { check(sem_post(gate->posix), "sem_post"); }

static inline void try_posix(struct gate* gate) { check(sem_trywait(gate->posix), "sem_trywait"); }

static inline void acquire_posix(struct gate* gate) { check(sem_wait(gate->posix), "sem_wait"); }

static inline void release_sysv(struct gate* gate) {
  check(semop(gate->set, &gate->raise, 1), "semop");
}

/* Whether it may block is in `lower`. */
static inline void acquire_sysv(struct gate* gate) {
  check(semop(gate->set, &gate->lower, 1), "semop");
}

#define try_sysv acquire_sysv

#define LOOPS(api)                                      \
  static void pair_##api(void* state, uint64_t count) { \
    struct gates* gates = state;                        \
    for (uint64_t i = 0; i < count; ++i) {              \
      release_##api(&gates->out);                       \
      try_##api(&gates->back);                          \
    }                                                   \
  }                                                     \
  static void ping_##api(void* state, uint64_t count) { \
    struct gates* gates = state;                        \
    uint64_t before = control_now();                    \
    for (uint64_t i = 0; i < count; ++i) {              \
      release_##api(&gates->out);                       \
      acquire_##api(&gates->back);                      \
      before = lap(&gates->latencies[i], before);       \
    }                                                   \
  }                                                     \
  static void pong_##api(void* state, uint64_t count) { \
    struct gates* gates = state;                        \
    for (uint64_t i = 0; i < count; ++i) {              \
      acquire_##api(&gates->back);                      \
      release_##api(&gates->out);                       \
    }                                                   \
  }

LOOPS(posix)
LOOPS(sysv)

static void open_posix(struct gate* gate, const char* name) {
  gate->posix = sem_open(name, 0);
  if (gate->posix == SEM_FAILED) check(-1, "sem_open");
}

static void open_sysv(struct gate* gate, const char* key, int flags) {
  gate->set = semget((key_t)atol(key), 0, 0);
  check(gate->set, "semget");
  gate->raise = (struct sembuf){0, 1, 0};
  gate->lower = (struct sembuf){0, -1, (short)flags};
}

/* floor semaphore ROLE WORK API MOST OUT BACK; names of POSIX semaphores, keys of System V's
 * sets. */
void floor_semaphore(char** arguments) {
  const int leads = strcmp(arguments[0], "lead") == 0;
  const int is_pair = strcmp(arguments[1], "pair") == 0;
  const int is_posix = strcmp(arguments[2], "posix") == 0;
  static struct gates gates;
  if (is_posix) {
    open_posix(&gates.out, arguments[4]);
    open_posix(&gates.back, arguments[5]);
  } else {
    open_sysv(&gates.out, arguments[4], 0);
    open_sysv(&gates.back, arguments[5], is_pair ? IPC_NOWAIT : 0);
  }
  struct control_side side = {.state = &gates};
  if (is_pair) {
    side.run = is_posix ? pair_posix : pair_sysv;
  } else if (leads) {
    side.run = is_posix ? ping_posix : ping_sysv;
    gates.latencies = calloc((size_t)atol(arguments[3]), sizeof(uint32_t));
    if (gates.latencies == NULL) control_fail("no memory");
    side.latencies = gates.latencies;
  } else {
    side.run = is_posix ? pong_posix : pong_sysv;
  }
  control_serve(&side);
}
