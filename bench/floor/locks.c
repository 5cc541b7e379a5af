/*
 * The floor of locks: a mutex of the C library, shared between processes and robust; and the one of
 * interproc.h. A pair is one lock and unlock by one process, which nobody else disturbs. Contended,
 * all sides take one mutex as often as they can. Hand-overs go round a ring of locks, as
 * bench/scenarios/lock.ts draws it.
 */
#include "interproc.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "control.h"
#include "roles.h"

#define MOST_PARTIES 4
#define MEMORY_FD (CONTROL_FD + 1)
#define PRIVATE_ROUNDS 32
#define LOOK_NS 50000

/* A line of 128 bytes each, as bench/support/lock-memory.ts has it. */
struct place {
  union {
    pthread_mutex_t pthread;
    struct interproc_mutex interproc;
    char bytes[64];
  } lock;
  uint64_t handed_over; /* when that was done last */
  char fill[56];
};
struct shared {
  uint32_t arrived;
  char fill0[124];
  uint32_t guarded[4];
  char fill1[112];
  struct place places[MOST_PARTIES + 1];
};

struct side {
  struct shared* shared;
  uint32_t index;
  uint32_t parties;
  uint64_t held_ns;
  uint32_t runs;
  uint32_t place; /* in the ring: which lock it holds */
  uint64_t share;
  uint32_t* latencies;
  uint64_t timed;
  uint32_t private_word;
  struct interproc_owner me;
  struct interproc_lock locks[MOST_PARTIES + 1];
};

static inline void lock_pthread(struct side* side, uint32_t index) {
  const int result = pthread_mutex_lock(&side->shared->places[index].lock.pthread);
  if (result != 0) control_fail("pthread_mutex_lock: %s", strerror(result));
}

static inline void unlock_pthread(struct side* side, uint32_t index) {
  const int result = pthread_mutex_unlock(&side->shared->places[index].lock.pthread);
  if (result != 0) control_fail("pthread_mutex_unlock: %s", strerror(result));
}

static inline void lock_interproc(struct side* side, uint32_t index) {
  const int result = interproc_mutex_lock(&side->locks[index], -1);
  if (result != 0) control_fail("interproc_mutex_lock: %d", result);
}

static inline void unlock_interproc(struct side* side, uint32_t index) {
  const int result = interproc_mutex_unlock(&side->locks[index]);
  if (result != 0) control_fail("interproc_mutex_unlock: %d", result);
}

/* Returns how many there have been, this one included. REQUIRES that the lock is held. */
static inline uint32_t touch_guarded(struct side* side) {
  uint32_t* words = side->shared->guarded;
  const uint32_t count = words[0] + 1;
  for (int i = 0; i < 4; ++i) {
    if (words[i] != count - 1) control_fail("two sides have held the lock");
    words[i] = count;
  }
  return count;
}

static inline void work_alone(struct side* side) {
  uint32_t word = side->private_word;
  for (int i = 0; i < PRIVATE_ROUNDS; ++i) word = word * 1664525u + 1013904223u;
  side->private_word = word;
  CONTROL_KEEP(word);
}

/* Returns when the lock was there. */
static inline void hold(struct side* side, uint64_t since) {
  while (side->held_ns != 0 && control_now() - since < side->held_ns) {
  }
}

/* Keeps how long the hand-over took, if this side had been waiting when it began. */
static inline void keep(struct side* side, uint64_t began, uint64_t asked, uint64_t now) {
  if (began <= asked) return;
  const uint64_t took = now - began;
  side->latencies[side->timed++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

static void come_together(struct side* side) {
  const uint32_t all = ++side->runs * side->parties;
  __atomic_fetch_add(&side->shared->arrived, 1, __ATOMIC_ACQ_REL);
  const struct timespec pause = {0, LOOK_NS};
  while (__atomic_load_n(&side->shared->arrived, __ATOMIC_ACQUIRE) < all) nanosleep(&pause, NULL);
}

static void start_contended(void* state) {
  struct side* side = state;
  if (side->index == 0) memset(side->shared->guarded, 0, sizeof(side->shared->guarded));
  come_together(side);
}

#define LOOPS(api)                                                    \
  static void pair_##api(void* state, uint64_t count) {               \
    for (uint64_t i = 0; i < count; ++i) {                            \
      lock_##api(state, 0);                                           \
      unlock_##api(state, 0);                                         \
    }                                                                 \
  }                                                                   \
  static void contend_##api(void* state, uint64_t count) {            \
    struct side* side = state;                                        \
    side->share = 0;                                                  \
    for (int over = 0; !over; work_alone(side)) {                     \
      lock_##api(side, 0);                                            \
      over = side->shared->guarded[0] >= count;                       \
      if (!over) {                                                    \
        touch_guarded(side);                                          \
        ++side->share;                                                \
      }                                                               \
      unlock_##api(side, 0);                                          \
    }                                                                 \
  }                                                                   \
  static void start_ring_##api(void* state) {                         \
    struct side* side = state;                                        \
    side->place = side->index;                                        \
    lock_##api(side, side->place);                                    \
    come_together(side);                                              \
  }                                                                   \
  static void hand_over_##api(void* state, uint64_t count) {          \
    struct side* side = state;                                        \
    side->timed = 0;                                                  \
    for (uint64_t i = 0; i < count; i += side->parties) {             \
      const uint32_t next = (side->place + 1) % (side->parties + 1);  \
      const uint64_t asked = control_now();                           \
      lock_##api(side, next);                                         \
      const uint64_t now = control_now();                             \
      keep(side, side->shared->places[next].handed_over, asked, now); \
      hold(side, now);                                                \
      side->shared->places[side->place].handed_over = control_now();  \
      unlock_##api(side, side->place);                                \
      side->place = next;                                             \
    }                                                                 \
    unlock_##api(side, side->place);                                  \
  }

LOOPS(pthread)
LOOPS(interproc)

static void open_interproc(struct side* side) {
  int result = interproc_own(&side->me, MEMORY_FD);
  if (result < 0) control_fail("interproc_own: %d", result);
  for (uint32_t i = 0; i <= side->parties; ++i) {
    struct interproc_mutex* mutex = &side->shared->places[i].lock.interproc;
    result = interproc_mutex_open(&side->locks[i], &side->me, mutex);
    if (result != 0) control_fail("interproc_mutex_open: %d", result);
  }
}

/* What is made before any side runs. */
static void make_pthread(struct shared* shared, uint32_t places) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  for (uint32_t i = 0; i < places; ++i) {
    const int result = pthread_mutex_init(&shared->places[i].lock.pthread, &attributes);
    if (result != 0) control_fail("pthread_mutex_init: %s", strerror(result));
  }
}

/* floor lock INDEX WORK PARTIES HELD_US MOST API */
void floor_lock(char** arguments) {
  static struct side side;
  side.index = (uint32_t)atoi(arguments[0]);
  side.parties = (uint32_t)atoi(arguments[2]);
  side.held_ns = (uint64_t)atol(arguments[3]) * 1000;
  side.shared = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, MEMORY_FD, 0);
  if (side.shared == MAP_FAILED) control_fail("mmap: %s", strerror(errno));
  const int is_pthread = strcmp(arguments[5], "pthread") == 0;
  if (!is_pthread) {
    open_interproc(&side);
  } else if (side.index == 0) {
    make_pthread(side.shared, side.parties + 1);
  }

  struct control_side control = {.state = &side};
  if (strcmp(arguments[1], "contended") == 0) {
    control.run = is_pthread ? contend_pthread : contend_interproc;
    control.prepare = start_contended;
    control.share = &side.share;
  } else if (strcmp(arguments[1], "hand-over") == 0) {
    control.run = is_pthread ? hand_over_pthread : hand_over_interproc;
    control.prepare = is_pthread ? start_ring_pthread : start_ring_interproc;
    side.latencies = calloc((size_t)atol(arguments[4]) / side.parties + 1, sizeof(uint32_t));
    if (side.latencies == NULL) control_fail("no memory");
    control.latencies = side.latencies;
    control.timed = &side.timed;
  } else {
    control.run = is_pthread ? pair_pthread : pair_interproc;
  }
  control_serve(&control);
}
