/*
 * interproc.h: the channel and the mutex of interproc for C11 and C++17, in one header and with
 * nothing but Linux (>= 4.18) and the C library under it. A program that includes it exchanges
 * messages and shares locks with Node processes that use the npm package, and with other such
 * programs. The package itself joins, leaves and judges liveness with the functions of this file.
 *
 * Include it before any other header, or compile with -D_GNU_SOURCE (a C++ compiler does). With a C
 * library older than glibc 2.34 link with -pthread.
 *
 *   struct interproc_channel channel;              struct interproc_channel channel;
 *   interproc_create(&channel, "feed", &options);  interproc_open(&channel, "feed", timeout_ms);
 *   struct interproc_sender sender;                struct interproc_receiver receiver;
 *   interproc_attach_sender(&sender, &channel);    interproc_attach_receiver(&receiver, &channel);
 *   interproc_send(&sender, data, size, -1);       interproc_receive(&receiver, &data, &size, -1);
 *   interproc_close_sender(&sender);               interproc_close_receiver(&receiver);
 *   interproc_close(&channel);                     interproc_close(&channel);
 *
 * Every function that can fail returns 0 or more, or a negative error: -errno, or one of enum
 * interproc_error. A channel and what is attached to it belong to one thread at a time, as do an
 * owner and its locks. The mutex is at the end, under "locks"; the rest of this is of channels.
 *
 * THE SEGMENT: one file (POSIX shared memory, memfd or regular file) of 4096 + capacity bytes.
 *
 *      0  identity      state, magic, version, kind, capacity, flags: never changed once ready
 *    128  sender line   tail, what is published up to it: written by the sender
 *    256  receiver line done, begun, what was received: written by the receiver
 *    384  head          space handed back to the sender: written by the receiver
 *    512  sender role   who is the sender, or how the last one left
 *    640  receiver role
 *    768  sender sleep  what the sender waits on for space
 *    896  receiver sleep
 *   1024  participants  48 entries of 64 bytes: who has it open; for display only
 *   4096  ring          capacity bytes
 *
 * Lines are 128 bytes, two cache lines: processors fetch those in pairs.
 *
 * THE RING: records, each at a multiple of 8 and in one piece. Positions are 32-bit and wrap; the
 * place of one in the ring is its low bits.
 *
 *     0               4               8
 *    +---------------+---------------+--------------------------+- - - -+
 *    | length        | sequence      | `length` bytes           | to 8  |
 *    +---------------+---------------+--------------------------+- - - -+
 *    | pad | bytes   | (anything)    | up to the end of the ring        |
 *    +---------------+---------------+----------------------------------+
 *
 *          head         done     begun         tail
 *    free   | finished   | handed | published   | accepted, not published    free
 *
 * Invariants: head <= done <= begun <= tail <= head + capacity. Only published records are ever
 * read; those from `done` on are delivered again when the receiver dies, and those from `done` to
 * `begun` are told apart: the dead one had them in hand. What the sender has written beyond tail
 * vanishes with it.
 *
 * LIVENESS: whoever takes part write-locks one byte of the file, at 2^62 + its id, through an open
 * file description of its own (man 2 fcntl, "Open file description locks"); who only reads holds a
 * read lock at 2^62 + 2^30 + its id. The kernel lets go of it however the process ends. Ids are
 * random and of 30 bits; a role holds the id of its owner, and an owner whose byte is not locked is
 * dead. The byte before, the gate, is locked while somebody joins, leaves or removes the name.
 */
#ifndef INTERPROC_H_
#define INTERPROC_H_

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#ifndef STATX_BASIC_STATS /* musl before 1.2.5 has it not */
#include <linux/stat.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A test build dies here on purpose. */
#ifndef INTERPROC_FAILPOINT
#define INTERPROC_FAILPOINT(name) ((void)0)
#endif

#define INTERPROC_MAGIC 0x63707269u /* "irpc" */
#define INTERPROC_VERSION 1u
#define INTERPROC_KIND_CHANNEL 1u
#define INTERPROC_HEADER_SIZE 4096u
#define INTERPROC_CAPACITY_MIN 64u
#define INTERPROC_CAPACITY_MAX (1u << 30)
#define INTERPROC_RECORD_HEADER 8u
#define INTERPROC_RECORD_PAD 0x80000000u
#define INTERPROC_PARTICIPANTS 48
#define INTERPROC_NAME_PREFIX "/dev/shm/interproc."
/* Publication comes after this many messages or bytes at the latest. */
#define INTERPROC_BATCH_MESSAGES 32u
#define INTERPROC_BATCH_BYTES 65536u

/* Below -4095 no errno is ever found. */
enum interproc_error {
  INTERPROC_BUSY = -5001,        /* the role has a living owner, or 48 participants have it open */
  INTERPROC_PEER_DIED = -5002,   /* it would have to be waited for, and ended without closing */
  INTERPROC_PEER_CLOSED = -5003, /* the receiver has closed, and the ring is full */
  INTERPROC_CORRUPT = -5004,     /* the segment says what no participant writes */
  INTERPROC_MISMATCH = -5005,    /* no channel, or of another version, kind or capacity; no mutex */
  INTERPROC_UNLINKED = -5006,    /* nobody can find it by its name any more */
  INTERPROC_ENDED = -5007,       /* the sender has closed, and all was received */
  INTERPROC_NOT_READY = -5008,   /* somebody is making it */
  INTERPROC_NOT_RECOVERABLE = -5009 /* a mutex whose data nobody has made whole after a death */
};

enum interproc_state { INTERPROC_RAW = 0, INTERPROC_READY = 1, INTERPROC_RETIRED = 2 };
enum interproc_flags { INTERPROC_NAMED = 1, INTERPROC_PERSIST = 2 };
enum interproc_side { INTERPROC_SENDER = 0, INTERPROC_RECEIVER = 1 };

/* A role: 0 = never had an owner, the owner's id, or how the last one left. */
#define INTERPROC_ROLE_CLOSED 0x40000000u
#define INTERPROC_ROLE_DIED 0x80000000u
#define INTERPROC_OWNER_MASK 0x3fffffffu

/*
 * Waiting: flag set, full fence, look again, sleep; who makes a change looks at the flag after a
 * full fence of its own, and so one of the two sees the other. STARVED asks to be served at once,
 * but sleeps not; only ASLEEP costs the other side a system call. What is slept on is the bell, a
 * count of the wake-ups: read before the flag is set, it can't have been rung unnoticed.
 */
enum interproc_sleep { INTERPROC_AWAKE = 0, INTERPROC_STARVED = 1, INTERPROC_ASLEEP = 2 };

/* What was published up to `tail`. Of the two that there are the one counts whose tail is the
 * published one: so the count and the tail change in one store, whenever the sender dies. */
struct interproc_count {
  uint32_t tail;
  uint32_t unused;
  uint64_t messages;
  uint64_t bytes;
};

struct interproc_participant {
  uint32_t owner; /* 0: free */
  uint32_t pid;
  uint32_t thread;
  uint32_t unused;
  uint64_t pid_namespace; /* inode of /proc/self/ns/pid: where `pid` means something */
  uint64_t started_ms;    /* when the process was started; since 1970, 0 = unknown */
  uint64_t since_ms;      /* since when it takes part */
  uint64_t reserved[3];
};

#define INTERPROC_LINE __attribute__((aligned(128)))

struct interproc_sleeper {
  uint32_t word; /* enum interproc_sleep */
  uint32_t bell;
} INTERPROC_LINE;

struct interproc_header {
  struct {
    uint32_t state;
    uint32_t magic;
    uint32_t version;
    uint32_t kind;
    uint32_t capacity;
    uint32_t flags;
    uint64_t created_ms;
  } INTERPROC_LINE id;
  struct {
    uint32_t tail;
    uint32_t unused[15]; /* the receiver polls the tail: what is stored besides lies in a cache line
                            of its own */
    struct interproc_count counts[2];
    uint64_t times_full;
    uint64_t times_slept;
  } INTERPROC_LINE sender;
  struct {
    uint32_t done;
    uint32_t begun;
    uint64_t received; /* up to the last hand-back; from its low bits and a record's number follows
                          the rest */
    uint64_t times_slept;
  } INTERPROC_LINE receiver;
  struct {
    uint32_t position;
  } INTERPROC_LINE head;
  struct {
    uint32_t owner;
  } INTERPROC_LINE role[2];
  struct interproc_sleeper sleep[2];
  struct interproc_participant INTERPROC_LINE participants[INTERPROC_PARTICIPANTS];
};

#ifdef __cplusplus
static_assert(sizeof(struct interproc_header) == INTERPROC_HEADER_SIZE, "layout");
#else
_Static_assert(sizeof(struct interproc_header) == INTERPROC_HEADER_SIZE, "layout");
#endif

/* ---- words ------------------------------------------------------------------------------------
 */

static inline uint32_t interproc__load(const uint32_t* word) {
  return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}
static inline void interproc__store(uint32_t* word, uint32_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}
/* Words that only their writer needs exact, and others may look at. */
static inline uint32_t interproc__peek(const uint32_t* word) {
  return __atomic_load_n(word, __ATOMIC_RELAXED);
}
static inline void interproc__put(uint32_t* word, uint32_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELAXED);
}
static inline uint64_t interproc__peek64(const uint64_t* word) {
  return __atomic_load_n(word, __ATOMIC_RELAXED);
}
static inline void interproc__put64(uint64_t* word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELAXED);
}
static inline int interproc__swap_if(uint32_t* word, uint32_t expected, uint32_t value) {
  return __atomic_compare_exchange_n(word, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
static inline void interproc__fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

static inline uint32_t interproc__align8(uint32_t size) { return (size + 7u) & ~7u; }

/* Position a lies behind b: wrap-safe. */
static inline int interproc__after(uint32_t a, uint32_t b) { return (int32_t)(a - b) > 0; }

static inline uint64_t interproc__now_ms(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static inline void interproc__nap(long nanoseconds) {
  struct timespec nap = {0, nanoseconds};
  nanosleep(&nap, NULL);
}

/* Whoever sleeps on the bell looks again. */
static inline void interproc__ring(struct interproc_sleeper* sleeper) {
  __atomic_fetch_add(&sleeper->bell, 1, __ATOMIC_SEQ_CST);
  syscall(SYS_futex, &sleeper->bell, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* What the word said before. */
static inline uint32_t interproc__rouse(struct interproc_sleeper* sleeper) {
  return __atomic_exchange_n(&sleeper->word, INTERPROC_AWAKE, __ATOMIC_SEQ_CST);
}

/* Wakes it if it sleeps, whatever for. Pairs with interproc__sleep_on and its like. */
static inline void interproc_wake(struct interproc_sleeper* sleeper) {
  interproc__fence();
  if (interproc__peek(&sleeper->word) == INTERPROC_AWAKE) return;
  if (interproc__rouse(sleeper) == INTERPROC_ASLEEP) interproc__ring(sleeper);
}

/* ---- liveness ---------------------------------------------------------------------------------
 */

#define INTERPROC__OWNER_BASE (INT64_C(1) << 62)
#define INTERPROC__OWNER_COUNT (INT64_C(1) << 30)
#define INTERPROC__GATE (INTERPROC__OWNER_BASE - 1)
#define INTERPROC_READER_BIT 0x40000000u /* in ids of those who only read */

#ifndef F_OFD_GETLK
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#endif

/* The open file description that a participant's lock belongs to. */
struct interproc_owner {
  int fd;      /* -1 after a fork, in the child */
  uint32_t id; /* 0: none, also after a fork, in the child */
  struct interproc_owner* next;
  uint32_t shown_pid; /* as locks show it */
};

static inline int interproc__lock(int fd, int command, short type, int64_t start) {
  struct flock lock;
  memset(&lock, 0, sizeof(lock));
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = (off_t)start;
  lock.l_len = 1;
  int result;
  do {
    result = fcntl(fd, command, &lock);
  } while (result != 0 && errno == EINTR && command != F_OFD_SETLKW);
  return result == 0 ? 0 : -errno;
}

static inline int64_t interproc__byte_of(uint32_t id) {
  return INTERPROC__OWNER_BASE + (int64_t)id;
}

/*
 * The first id in [first, last] whose owner lives, 0 if none does. Ids of the description behind
 * `fd` are not seen. Asked for a read lock, which only the write locks of participants are in the
 * way of: a watcher that has just got its read lock does not look alive.
 */
static inline int64_t interproc__living(int fd, uint32_t first, uint32_t last) {
  struct flock lock;
  memset(&lock, 0, sizeof(lock));
  lock.l_type = (first & INTERPROC_READER_BIT) != 0 ? F_WRLCK : F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = (off_t)interproc__byte_of(first);
  lock.l_len = (off_t)last - (off_t)first + 1;
  int result;
  do {
    result = fcntl(fd, F_OFD_GETLK, &lock);
  } while (result != 0 && errno == EINTR);
  if (result != 0) return -errno;
  if (lock.l_type == F_UNLCK) return 0;
  const int64_t id = (int64_t)lock.l_start - INTERPROC__OWNER_BASE;
  return id < (int64_t)first ? (int64_t)first : id;
}

/* 1 or 0, or an error. `fd` is any descriptor of the file. */
static inline int interproc_owner_alive(const struct interproc_owner* me, int fd, uint32_t id) {
  if (id == 0) return 0;
  if (me != NULL && id == me->id) return 1; /* one's own byte always looks free */
  const int64_t found = interproc__living(me != NULL ? me->fd : fd, id, id);
  return found < 0 ? (int)found : found != 0;
}

/*
 * Owners of this process, for fork: the child has their descriptors too, and would keep them alive.
 * One list for all files of a program or library that include this header: what one of them joins,
 * another may leave.
 */
#define INTERPROC__ONCE __attribute__((weak, visibility("hidden")))
INTERPROC__ONCE struct interproc_owner* interproc__owners;
INTERPROC__ONCE uint32_t interproc__owners_lock;
INTERPROC__ONCE uint32_t interproc__fork_handled;

static inline void interproc__lock_owners(void) {
  while (__atomic_exchange_n(&interproc__owners_lock, 1, __ATOMIC_ACQUIRE) != 0) sched_yield();
}
static inline void interproc__unlock_owners(void) {
  __atomic_store_n(&interproc__owners_lock, 0, __ATOMIC_RELEASE);
}
static inline void interproc__after_fork_in_child(void) {
  for (struct interproc_owner* each = interproc__owners; each != NULL; each = each->next) {
    if (each->fd >= 0) close(each->fd);
    each->fd = -1;
    each->id = 0;
  }
  interproc__owners = NULL;
  interproc__unlock_owners();
}

/* Closes its description: no fork of another thread has it without finding it in the list. */
static inline void interproc__close_owner(struct interproc_owner* owner) {
  interproc__lock_owners();
  struct interproc_owner** link = &interproc__owners;
  while (*link != NULL && *link != owner) link = &(*link)->next;
  if (*link != NULL) *link = owner->next;
  if (owner->fd >= 0) close(owner->fd); /* with it go its locks */
  owner->fd = -1;
  interproc__unlock_owners();
}

/*
 * An open file description of one's own for the file behind `fd`: one that came by inheritance or
 * over a socket is shared with whoever sent it. -EACCES for another user's memfd.
 */
static inline int interproc__reopen(int fd, int flags) {
  char path[64];
  (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  const int own = open(path, flags | O_CLOEXEC | O_NONBLOCK);
  return own >= 0 ? own : -errno;
}

/* man 2 statx, of `path`, or of `fd` with "". The raw call: glibc binds stat and fstat at 2.33. */
static inline int interproc__status(int fd, const char* path, int flags, struct statx* status) {
  if (syscall(SYS_statx, fd, path, flags, STATX_BASIC_STATS, status) != 0) return -errno;
  return 0;
}
static inline int interproc__status_of(int fd, struct statx* status) {
  return interproc__status(fd, "", AT_EMPTY_PATH, status);
}

/* Where pids of this process mean something: an inode number, 0 = unknown. */
static inline uint64_t interproc__pid_namespace(void) {
  struct statx status;
  return interproc__status(AT_FDCWD, "/proc/self/ns/pid", 0, &status) == 0 ? status.stx_ino : 0;
}

/* Whether pids of that namespace are pids of this one: in two containers each has a process 1. */
static inline int interproc__pids_are_ours(uint64_t pid_namespace) {
  return pid_namespace != 0 && pid_namespace == interproc__pid_namespace();
}

/*
 * This process as locks show it, in the one word that they have for that: its pid, which takes 22
 * bits (man 5 proc, /proc/sys/kernel/pid_max), and the last 10 of the number of its pid namespace.
 * The kernel hands these numbers out in their order: those of a machine's containers differ.
 */
#define INTERPROC_PID_BITS 22
static inline uint32_t interproc__shown_pid(void) {
  return (uint32_t)getpid() | (uint32_t)interproc__pid_namespace() << INTERPROC_PID_BITS;
}
/* The pid of who is shown so; 0: in another pid namespace, where this one's pids mean nothing. */
static inline uint32_t interproc_pid_shown(uint32_t shown) {
  const uint32_t here = (uint32_t)interproc__pid_namespace() << INTERPROC_PID_BITS;
  const uint32_t pid = shown & ((1u << INTERPROC_PID_BITS) - 1u);
  return shown >> INTERPROC_PID_BITS == here >> INTERPROC_PID_BITS ? pid : 0;
}

/* Gives `owner` its description of the file behind `fd`: no fork of another thread gets it between
 * its opening and its entry in the list. */
static inline int interproc__open_owner(struct interproc_owner* owner, int fd, int flags) {
  interproc__lock_owners();
  if (interproc__fork_handled == 0) {
    interproc__fork_handled = 1;
    pthread_atfork(interproc__lock_owners, interproc__unlock_owners,
                   interproc__after_fork_in_child);
  }
  owner->fd = interproc__reopen(fd, flags);
  owner->shown_pid = interproc__shown_pid();
  if (owner->fd >= 0) {
    owner->next = interproc__owners;
    interproc__owners = owner;
  }
  interproc__unlock_owners();
  return owner->fd >= 0 ? 0 : owner->fd;
}

/*
 * The gate: held while joining and leaving, for microseconds. -EBUSY after so many tries: somebody
 * was stopped in it (SIGSTOP, a debugger, a frozen container). Each try is followed by a nap, not
 * measured by a clock: where the machine is so busy that whoever is in the gate gets no turn, naps
 * are longer, too. INTERPROC_GATE_TRIES, which C programs get, are some seconds.
 */
#define INTERPROC_GATE_TRIES 20000
static inline int interproc__enter_gate(int fd, int tries) {
  for (int tried = 0; tried < tries; ++tried) {
    const int result = interproc__lock(fd, F_OFD_SETLK, F_WRLCK, INTERPROC__GATE);
    if (result != -EAGAIN && result != -EACCES) return result;
    INTERPROC_FAILPOINT("gate.busy");
    interproc__nap(tried < 100 ? 10000 : 100000);
  }
  return -EBUSY;
}
static inline void interproc__leave_gate(int fd) {
  (void)interproc__lock(fd, F_OFD_SETLK, F_UNLCK, INTERPROC__GATE);
}

static inline int interproc__id_in_use(const struct interproc_header* header, uint32_t id) {
  for (int side = 0; side < 2; ++side) {
    if (interproc__peek(&header->role[side].owner) == id) return 1;
  }
  for (int at = 0; at < INTERPROC_PARTICIPANTS; ++at) {
    if (interproc__peek(&header->participants[at].owner) == id) return 1;
  }
  return 0;
}

/*
 * Locks the byte of a new id, one that nobody has. `header`: and that is written nowhere in it;
 * REQUIRES the gate. NULL: what only locks name it in, can't be searched. That one of 30 random
 * bits meets a dead one's in a lock is left to chance. -EBUSY when none of so many ids was free:
 * then somebody has locked the whole file (man 3 lockf), not they.
 */
#define INTERPROC_ID_TRIES 1000
static inline int interproc__claim_id(struct interproc_owner* me,
                                      const struct interproc_header* header, int read_only) {
  for (int tried = 0; tried < INTERPROC_ID_TRIES; ++tried) {
    uint32_t id = 0;
    if (syscall(SYS_getrandom, &id, sizeof(id), 0) != (long)sizeof(id)) return -errno;
    id &= INTERPROC_OWNER_MASK;
    if (id == 0 || id == INTERPROC_OWNER_MASK) continue;
    if (header != NULL && interproc__id_in_use(header, id)) continue;
    if (read_only) id |= INTERPROC_READER_BIT;
    const int result =
        interproc__lock(me->fd, F_OFD_SETLK, read_only ? F_RDLCK : F_WRLCK, interproc__byte_of(id));
    if (result == -EAGAIN || result == -EACCES) continue;
    if (result == 0) me->id = id;
    return result;
  }
  return -EBUSY;
}

/* When this process was started: man 5 proc, /proc/pid/stat, field 22. */
static inline uint64_t interproc__started_ms(void) {
  char text[1024];
  const int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t size = read(fd, text, sizeof(text) - 1);
  close(fd);
  if (size <= 0) return 0;
  text[size] = '\0';
  const char* field = strrchr(text, ')'); /* the name may hold blanks */
  for (int at = 2; field != NULL && at < 22; ++at) field = strchr(field + 1, ' ');
  if (field == NULL) return 0;
  uint64_t ticks = 0;
  for (++field; *field >= '0' && *field <= '9'; ++field) {
    ticks = ticks * 10u + (uint64_t)(*field - '0');
  }
  const uint64_t age =
      interproc__now_ms(CLOCK_BOOTTIME) - ticks * 1000u / (uint64_t)sysconf(_SC_CLK_TCK);
  return interproc__now_ms(CLOCK_REALTIME) - age;
}

/* Enters `me` among the participants, in a free entry or that of a dead one. REQUIRES the gate. */
static inline int interproc__enlist(const struct interproc_owner* me,
                                    struct interproc_header* header) {
  for (int at = 0; at < INTERPROC_PARTICIPANTS; ++at) {
    struct interproc_participant* entry = &header->participants[at];
    const uint32_t there = interproc__peek(&entry->owner);
    if (there != 0 && interproc_owner_alive(me, me->fd, there & INTERPROC_OWNER_MASK) != 0) {
      continue;
    }
    interproc__put(&entry->pid, (uint32_t)getpid());
    interproc__put(&entry->thread, (uint32_t)syscall(SYS_gettid));
    interproc__put64(&entry->pid_namespace, interproc__pid_namespace());
    interproc__put64(&entry->started_ms, interproc__started_ms());
    interproc__put64(&entry->since_ms, interproc__now_ms(CLOCK_REALTIME));
    INTERPROC_FAILPOINT("join.described");
    interproc__store(&entry->owner, me->id); /* pairs with the load in interproc_find_participant */
    return 0;
  }
  return INTERPROC_BUSY;
}

static inline const struct interproc_participant* interproc_find_participant(
    const struct interproc_header* header, uint32_t id) {
  for (int at = 0; at < INTERPROC_PARTICIPANTS; ++at) {
    if (interproc__load(&header->participants[at].owner) == id) return &header->participants[at];
  }
  return NULL;
}

/* Fills `ids` with those who take part, `me` included; returns how many. */
static inline int interproc_list_owners(const struct interproc_owner* me, uint32_t* ids, int room) {
  const uint32_t first[2] = {1, INTERPROC_READER_BIT | 1};
  const uint32_t last[2] = {INTERPROC_OWNER_MASK, INTERPROC_READER_BIT | INTERPROC_OWNER_MASK};
  int count = 0;
  if (room > 0 && me->id != 0) ids[count++] = me->id;
  for (int kind = 0; kind < 2; ++kind) {
    /* The kernel names some owner in a range: ask for what lies before and after it, too. */
    uint32_t ranges[64][2] = {{first[kind], last[kind]}};
    int open_ranges = 1;
    while (open_ranges > 0 && count < room) {
      --open_ranges;
      const uint32_t from = ranges[open_ranges][0];
      const uint32_t to = ranges[open_ranges][1];
      const int64_t found = interproc__living(me->fd, from, to);
      if (found < 0) return (int)found;
      if (found == 0) continue;
      const uint32_t id = (uint32_t)found;
      ids[count++] = id;
      if (id > from && open_ranges < 64) {
        ranges[open_ranges][0] = from;
        ranges[open_ranges++][1] = id - 1;
      }
      if (id < to && open_ranges < 64) {
        ranges[open_ranges][0] = id + 1;
        ranges[open_ranges++][1] = to;
      }
    }
  }
  return count;
}

/*
 * Makes `me` an owner in the file behind `fd`, whatever lies in it: what locks and other words of
 * shared memory can name. One a thread. -EACCES when the file may not be opened for writing,
 * -ENOLCK, -EINVAL or -EOPNOTSUPP where its file system knows no such locks, -EBUSY when another
 * program has locked all of the file.
 */
static inline int interproc_own(struct interproc_owner* me, int fd) {
  memset(me, 0, sizeof(*me));
  int result = interproc__open_owner(me, fd, O_RDWR);
  if (result != 0) return result;
  result = interproc__claim_id(me, NULL, 0);
  if (result != 0) interproc__close_owner(me);
  return result;
}

/* What it holds counts as a dead one's from now on. */
static inline void interproc_disown(struct interproc_owner* me) {
  /* Explicitly: a fork that is under way keeps the description alive for a moment. */
  if (me->fd >= 0 && me->id != 0) {
    (void)interproc__lock(me->fd, F_OFD_SETLK, F_UNLCK, interproc__byte_of(me->id));
  }
  interproc__close_owner(me);
  me->id = 0;
}

/* ---- the segment ------------------------------------------------------------------------------
 */

/* Fills in a new segment, whose bytes are all zero and which nobody else can find yet. */
static inline void interproc_init(struct interproc_header* header, uint32_t capacity,
                                  uint32_t flags) {
  header->id.magic = INTERPROC_MAGIC;
  header->id.version = INTERPROC_VERSION;
  header->id.kind = INTERPROC_KIND_CHANNEL;
  header->id.capacity = capacity;
  header->id.flags = flags;
  header->id.created_ms = interproc__now_ms(CLOCK_REALTIME);
  INTERPROC_FAILPOINT("create.filled");
  interproc__store(&header->id.state, INTERPROC_READY); /* pairs with the load in interproc_check */
  INTERPROC_FAILPOINT("create.ready");
}

/*
 * Whether this is a segment that this code can use, and the capacity of its ring: take that from
 * here and never from the header again, where a hostile peer may change it after the check.
 * REQUIRES that the header is there: size >= 4096.
 */
static inline int interproc_check(const struct interproc_header* header, uint64_t size,
                                  uint32_t* checked_capacity) {
  *checked_capacity = 0;
  const uint32_t state = interproc__load(&header->id.state);
  if (state == INTERPROC_RAW) return INTERPROC_NOT_READY;
  const uint32_t capacity = interproc__peek(&header->id.capacity);
  if (state > INTERPROC_RETIRED || interproc__peek(&header->id.magic) != INTERPROC_MAGIC ||
      interproc__peek(&header->id.version) != INTERPROC_VERSION ||
      interproc__peek(&header->id.kind) != INTERPROC_KIND_CHANNEL) {
    return INTERPROC_MISMATCH;
  }
  if (capacity < INTERPROC_CAPACITY_MIN || capacity > INTERPROC_CAPACITY_MAX ||
      (capacity & (capacity - 1)) != 0 || size < (uint64_t)INTERPROC_HEADER_SIZE + capacity) {
    return INTERPROC_CORRUPT;
  }
  *checked_capacity = capacity;
  return state == INTERPROC_RETIRED ? INTERPROC_UNLINKED : 0;
}

static inline int interproc__unlinked(const struct interproc_owner* me,
                                      const struct interproc_header* header) {
  struct statx status;
  if (interproc__load(&header->id.state) != INTERPROC_READY) return 1;
  const int named = (interproc__peek(&header->id.flags) & INTERPROC_NAMED) != 0;
  return named && interproc__status_of(me->fd, &status) == 0 && status.stx_nlink == 0;
}

/* Lets go of the lock and its description, and of nothing that is written in the segment. */
static inline void interproc_discard(struct interproc_owner* me) {
  interproc__close_owner(me);
  me->id = 0;
}

/*
 * Takes part in the segment behind `fd`. `fresh`: it is new and nobody can find it yet.
 * INTERPROC_BUSY when 48 others do, INTERPROC_UNLINKED when its name was removed, -EACCES when the
 * file may not be opened, -ENOLCK or -EINVAL where its file system knows no locks, -EBUSY when the
 * gate could not be had in so many tries.
 */
static inline int interproc_join(struct interproc_owner* me, struct interproc_header* header,
                                 int fd, int read_only, int fresh, int gate_tries) {
  memset(me, 0, sizeof(*me));
  int result = interproc__open_owner(me, fd, read_only ? O_RDONLY : O_RDWR);
  if (result != 0) return result;
  /* An opener that can't write can't lock for writing either; it passes by a retired segment
   * unseen. */
  result = read_only || fresh ? 0 : interproc__enter_gate(me->fd, gate_tries);
  INTERPROC_FAILPOINT("join.gated");
  if (result == 0 && !fresh && interproc__unlinked(me, header)) result = INTERPROC_UNLINKED;
  if (result == 0) result = interproc__claim_id(me, header, read_only);
  INTERPROC_FAILPOINT("join.locked");
  if (result == 0 && !read_only) result = interproc__enlist(me, header);
  INTERPROC_FAILPOINT("join.listed");
  if (result == 0) {
    if (!read_only && !fresh) interproc__leave_gate(me->fd);
    return 0;
  }
  interproc_discard(me);
  return result;
}

static inline int interproc__leads_to(const char* path, int fd) {
  struct statx mine;
  struct statx there;
  return interproc__status_of(fd, &mine) == 0 &&
         interproc__status(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &there) == 0 &&
         mine.stx_ino == there.stx_ino && mine.stx_dev_major == there.stx_dev_major &&
         mine.stx_dev_minor == there.stx_dev_minor;
}

/*
 * How a segment loses its name when it is not needed any more: removes `path` if that still leads
 * to it. REQUIRES the gate: who removes names without it may do so, and another be made, just
 * before the last step. -EPERM for another user's in a folder with the sticky bit (/dev/shm),
 * -EACCES in a folder that may not be written.
 */
static inline int interproc__unlink_here(int fd, const char* path) {
  if (!interproc__leads_to(path, fd)) return 0;
  INTERPROC_FAILPOINT("retire.found");
  return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}

/*
 * How it loses its name because somebody wants that: removes `path`, or with `only` >= 0, if it
 * leads to that file; else -ENOENT. With the gate of the segment that it leads to, so that nobody
 * who leaves that one takes its successor for it. Goes on without where it can't be had: it is no
 * segment, or another user's, or somebody was stopped in the gate.
 */
static inline int interproc__remove_name(const char* path, int only, int gate_tries) {
  for (;;) {
    struct statx status;
    int fd = -1;
    if (interproc__status(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &status) == 0 &&
        S_ISREG(status.stx_mode)) {
      fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    }
    const int gated = fd >= 0 && interproc__enter_gate(fd, gate_tries) == 0;
    INTERPROC_FAILPOINT("unlink.gated");
    /* Another took its place before the gate was had: that one's gate counts. */
    const int moved = gated && !interproc__leads_to(path, fd);
    int result = 0;
    if (!moved && only >= 0 && !interproc__leads_to(path, only)) {
      result = -ENOENT;
    } else if (!moved && unlink(path) != 0) {
      result = -errno;
    }
    INTERPROC_FAILPOINT("unlink.removed");
    if (gated) interproc__leave_gate(fd);
    if (fd >= 0) close(fd);
    if (!moved) return result;
  }
}

/* The name goes first: what keeps it is found by it, and has to stay of use. */
static inline int interproc__retire(struct interproc_header* header, int fd, const char* path) {
  const int removed = path != NULL ? interproc__unlink_here(fd, path) : 0;
  if (removed != 0) return removed;
  INTERPROC_FAILPOINT("retire.unlinked");
  interproc__store(&header->id.state,
                   INTERPROC_RETIRED); /* pairs with the load in interproc__unlinked */
  INTERPROC_FAILPOINT("retire.marked");
  return 0;
}

/*
 * Removes a segment whose participants are all dead: 1, or 0 when one lives, or -EBUSY when the
 * gate could not be had in so many tries, or why its name could not be removed: it stays as it is
 * then. `fd` is a description of one's own, open for writing.
 */
static inline int interproc_retire_if_dead(struct interproc_header* header, int fd,
                                           const char* path, int gate_tries) {
  /* Who sees one alive needs no gate to say so. */
  int64_t living = interproc__living(fd, 1, INTERPROC_OWNER_MASK);
  if (living != 0) return living < 0 ? (int)living : 0;
  int result = interproc__enter_gate(fd, gate_tries);
  if (result != 0) return result;
  living = interproc__living(fd, 1, INTERPROC_OWNER_MASK);
  result = living < 0 ? (int)living : living == 0;
  if (result == 1) {
    const int retired = interproc__retire(header, fd, path);
    if (retired != 0) result = retired;
  }
  interproc__leave_gate(fd);
  return result;
}

/*
 * Leaves, as the last one also removes the name `path` (NULL: has none), unless it is to persist.
 * Where the gate can't be had in so many tries, or another user's name not be removed, it stays:
 * for the next one who leaves as the last, or who creates.
 */
static inline void interproc_leave(struct interproc_owner* me, struct interproc_header* header,
                                   const char* path, int gate_tries) {
  if (me->fd >= 0 && me->id != 0 && (me->id & INTERPROC_READER_BIT) == 0) {
    const int gated = interproc__enter_gate(me->fd, gate_tries);
    INTERPROC_FAILPOINT("leave.gated");
    struct interproc_participant* entry =
        (struct interproc_participant*)interproc_find_participant(header, me->id);
    if (entry != NULL) interproc__store(&entry->owner, 0);
    INTERPROC_FAILPOINT("leave.struck");
    const uint32_t flags = interproc__peek(&header->id.flags);
    if (gated == 0 && path != NULL &&
        (flags & (INTERPROC_NAMED | INTERPROC_PERSIST)) == INTERPROC_NAMED &&
        interproc__living(me->fd, 1, INTERPROC_OWNER_MASK) == 0) {
      (void)interproc__retire(header, me->fd, path);
    }
    /* Explicitly: a fork that is under way keeps the description alive for a moment. */
    (void)interproc__lock(me->fd, F_OFD_SETLK, F_UNLCK, interproc__byte_of(me->id));
    interproc__leave_gate(me->fd);
  }
  interproc_discard(me);
}

/* ---- roles ------------------------------------------------------------------------------------
 */

/* Becomes the sender or the receiver, also in place of a dead one. */
static inline int interproc_take_role(const struct interproc_owner* me,
                                      struct interproc_header* header, enum interproc_side side) {
  uint32_t* role = &header->role[side].owner;
  if (interproc__unlinked(me, header)) return INTERPROC_UNLINKED;
  for (;;) {
    const uint32_t owner = interproc__load(role);
    const uint32_t id = owner & INTERPROC_OWNER_MASK;
    const int alive = interproc_owner_alive(me, me->fd, id);
    if (alive < 0) return alive;
    if (alive) return INTERPROC_BUSY;
    if (interproc__swap_if(role, owner, me->id)) break;
  }
  INTERPROC_FAILPOINT("attach.taken");
  interproc__put(&header->sleep[side].word, INTERPROC_AWAKE); /* the dead one's */
  /* Whatever the word says: one who died between these two may have left a sleeper AWAKE. */
  interproc__rouse(&header->sleep[!side]);
  INTERPROC_FAILPOINT("attach.roused");
  interproc__ring(&header->sleep[!side]);
  return 0;
}

/* `how`: INTERPROC_ROLE_CLOSED or INTERPROC_ROLE_DIED. Whoever waits for this side is woken. */
static inline void interproc_leave_role(const struct interproc_owner* me,
                                        struct interproc_header* header, enum interproc_side side,
                                        uint32_t how) {
  INTERPROC_FAILPOINT("close.leaving");
  (void)interproc__swap_if(&header->role[side].owner, me->id, how);
  INTERPROC_FAILPOINT("close.left");
  interproc_wake(&header->sleep[!side]);
}

enum interproc_peer {
  INTERPROC_PEER_NONE,
  INTERPROC_PEER_ALIVE,
  INTERPROC_PEER_LEFT,
  INTERPROC_PEER_GONE
};

/* How the owner of a role fares: nobody yet, alive, has closed, or ended without closing. */
static inline int interproc_judge(const struct interproc_owner* me,
                                  const struct interproc_header* header, enum interproc_side side) {
  const uint32_t owner = interproc__load(&header->role[side].owner);
  if (owner == 0) return INTERPROC_PEER_NONE;
  if (owner == INTERPROC_ROLE_CLOSED) return INTERPROC_PEER_LEFT;
  const int alive = interproc_owner_alive(me, me->fd, owner & INTERPROC_OWNER_MASK);
  if (alive < 0) return alive;
  return alive ? INTERPROC_PEER_ALIVE : INTERPROC_PEER_GONE;
}

/* What a sender finds: where its predecessor's last publication ended, and what that made. */
static inline int interproc_sender_start(const struct interproc_header* header, uint32_t capacity,
                                         struct interproc_count* start) {
  const uint32_t tail = interproc__load(&header->sender.tail);
  const uint32_t head = interproc__load(&header->head.position);
  if (tail - head > capacity || (tail & 7u) != 0) return INTERPROC_CORRUPT;
  for (int at = 0; at < 2; ++at) {
    const struct interproc_count* count = &header->sender.counts[at];
    if (interproc__peek(&count->tail) != tail) continue;
    start->tail = tail;
    start->unused = (uint32_t)at;
    start->messages = interproc__peek64(&count->messages);
    start->bytes = interproc__peek64(&count->bytes);
    return 0;
  }
  return INTERPROC_CORRUPT;
}

/* As interproc_sender_start, for those who look while a sender publishes. */
static inline int interproc_published(const struct interproc_header* header, uint32_t capacity,
                                      struct interproc_count* count) {
  for (int tries = 0; tries < 1000; ++tries) {
    const int result = interproc_sender_start(header, capacity, count);
    /* The count was read before the tail is read again: pairs with the fence in interproc_flush,
     * which comes between a tail and the next count. */
    interproc__fence();
    if (result == 0 && interproc__load(&header->sender.tail) == count->tail) return 0;
  }
  return INTERPROC_CORRUPT;
}

struct interproc_resume {
  uint32_t head;
  uint32_t done;
  uint32_t begun;
  uint64_t received;
};

/* What a receiver finds: from `done` on it goes on, and up to `begun` a dead one had messages in
 * hand. */
static inline int interproc_receiver_start(const struct interproc_header* header,
                                           const unsigned char* ring, uint32_t capacity,
                                           struct interproc_resume* start) {
  struct interproc_count count;
  if (interproc_published(header, capacity, &count) != 0) return INTERPROC_CORRUPT;
  start->head = interproc__load(&header->head.position);
  start->done = interproc__peek(&header->receiver.done);
  start->begun = interproc__peek(&header->receiver.begun);
  const uint32_t tail = count.tail;
  if (tail - start->head > capacity || tail - start->done > tail - start->head ||
      ((start->head | start->done) & 7u) != 0) {
    return INTERPROC_CORRUPT;
  }
  if (interproc__after(start->done, start->begun)) start->begun = start->done;
  /* A dead one's count is that of its last hand-back; the number of the next record tells the rest.
   */
  uint32_t next = (uint32_t)count.messages;
  uint32_t at = start->done;
  if (at != tail) {
    uint32_t record[2];
    memcpy(record, ring + (at & (capacity - 1)), sizeof(record));
    if ((record[0] & INTERPROC_RECORD_PAD) != 0) {
      at += record[0] & ~INTERPROC_RECORD_PAD;
      memcpy(record, ring + (at & (capacity - 1) & ~7u), sizeof(record));
    }
    if (at != tail) next = record[1];
  }
  const uint64_t stored = interproc__peek64(&header->receiver.received);
  start->received = stored + (uint32_t)(next - (uint32_t)stored);
  return 0;
}

/* ---- the channel ------------------------------------------------------------------------------
 */

struct interproc_channel {
  int fd;
  struct interproc_owner me;
  struct interproc_header* header;
  unsigned char* ring;
  uint32_t capacity;
  char path[4096]; /* "" for one without a name */
};

struct interproc_options {
  uint32_t capacity; /* bytes; rounded up to a power of two */
  mode_t mode;       /* 0: 0600 */
  int persist;       /* the name outlives the last participant */
};

/* "feed" is /dev/shm/interproc.feed, and anything with a slash is a path. */
static inline int interproc__path_of(struct interproc_channel* channel, const char* name) {
  const char* prefix = strchr(name, '/') != NULL ? "" : INTERPROC_NAME_PREFIX;
  const int length = snprintf(channel->path, sizeof(channel->path), "%s%s", prefix, name);
  return *name == '\0' || length < 0 || length >= (int)sizeof(channel->path) ? -ENAMETOOLONG : 0;
}

static inline void interproc__unmap(struct interproc_channel* channel) {
  if (channel->header != NULL) {
    munmap(channel->header, (size_t)INTERPROC_HEADER_SIZE + channel->capacity);
  }
  if (channel->fd >= 0) close(channel->fd);
  channel->header = NULL;
  channel->fd = -1;
}

static inline int interproc__map(struct interproc_channel* channel, uint32_t capacity) {
  void* base = mmap(NULL, (size_t)INTERPROC_HEADER_SIZE + capacity, PROT_READ | PROT_WRITE,
                    MAP_SHARED, channel->fd, 0);
  if (base == MAP_FAILED) return -errno;
  channel->header = (struct interproc_header*)base;
  channel->ring = (unsigned char*)base + INTERPROC_HEADER_SIZE;
  channel->capacity = capacity;
  return 0;
}

/* Maps and joins what `channel->fd` is open for. */
static inline int interproc__enter(struct interproc_channel* channel) {
  struct statx status;
  int result = interproc__status_of(channel->fd, &status);
  if (result != 0) return result;
  if (status.stx_size == 0) return INTERPROC_NOT_READY;
  if (status.stx_size < INTERPROC_HEADER_SIZE) return INTERPROC_MISMATCH;
  result = interproc__map(channel, 0);
  if (result != 0) return result;
  uint32_t capacity;
  result = interproc_check(channel->header, status.stx_size, &capacity);
  munmap(channel->header, INTERPROC_HEADER_SIZE);
  channel->header = NULL;
  if (result == 0) result = interproc__map(channel, capacity);
  if (result == 0) {
    result = interproc_join(&channel->me, channel->header, channel->fd, 0, 0, INTERPROC_GATE_TRIES);
  }
  return result;
}

static inline uint32_t interproc__round_capacity(uint32_t capacity) {
  uint32_t rounded = INTERPROC_CAPACITY_MIN;
  while (rounded < capacity && rounded < INTERPROC_CAPACITY_MAX) rounded *= 2;
  return rounded;
}

/* Makes what the nameless file `channel->fd` will be; nobody can find it yet. */
static inline int interproc__build(struct interproc_channel* channel,
                                   const struct interproc_options* options, uint32_t flags) {
  if (options->capacity > INTERPROC_CAPACITY_MAX) return -EINVAL;
  const uint32_t capacity = interproc__round_capacity(options->capacity);
  const off_t size = (off_t)INTERPROC_HEADER_SIZE + (off_t)capacity;
  int result = 0;
  do {
    result = posix_fallocate(channel->fd, 0, size);
  } while (result == EINTR);
  if (result != 0) return -result;
  if (fchmod(channel->fd, options->mode != 0 ? options->mode : 0600) != 0) return -errno;
  result = interproc__map(channel, capacity);
  if (result != 0) return result;
  interproc_init(channel->header, capacity, flags | (options->persist ? INTERPROC_PERSIST : 0));
  return interproc_join(&channel->me, channel->header, channel->fd, 0, 1, 0);
}

static inline void interproc__start(struct interproc_channel* channel) {
  memset(channel, 0, sizeof(*channel));
  channel->fd = -1;
  channel->me.fd = -1;
}

/* A channel without a name: hand `channel->fd` to another process, which calls interproc_from_fd.
 */
static inline int interproc_anonymous(struct interproc_channel* channel,
                                      const struct interproc_options* options) {
  interproc__start(channel);
  channel->fd =
      (int)syscall(SYS_memfd_create, "interproc", 1u | 2u); /* MFD_CLOEXEC, MFD_ALLOW_SEALING */
  if (channel->fd < 0) return -errno;
  int result = interproc__build(channel, options, 0);
  if (result == 0 && fcntl(channel->fd, 1033, 2 | 4) != 0) {
    result = -errno; /* F_ADD_SEALS: shrink, grow */
  }
  if (result != 0) {
    interproc_discard(&channel->me);
    interproc__unmap(channel);
  }
  return result;
}

/* Joins the channel behind a descriptor, which stays the caller's. */
static inline int interproc_from_fd(struct interproc_channel* channel, int fd) {
  interproc__start(channel);
  channel->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (channel->fd < 0) return -errno;
  const int result = interproc__enter(channel);
  if (result != 0) interproc__unmap(channel);
  return result;
}

/*
 * Removes the channel at `path` if all who had it open are dead: 1, or 0 when it is in use. As
 * interproc_retire_if_dead where it can't.
 */
static inline int interproc__replace_dead(const char* path) {
  const int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0) return errno == ENOENT ? 1 : 0;
  struct statx status;
  int result = 0;
  if (interproc__status_of(fd, &status) == 0 && status.stx_size >= INTERPROC_HEADER_SIZE) {
    void* base = mmap(NULL, INTERPROC_HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base != MAP_FAILED) {
      struct interproc_header* header = (struct interproc_header*)base;
      uint32_t capacity;
      const int state = interproc_check(header, status.stx_size, &capacity);
      if (state == 0 || state == INTERPROC_UNLINKED) {
        result = interproc_retire_if_dead(header, fd, path, INTERPROC_GATE_TRIES);
      }
      munmap(base, INTERPROC_HEADER_SIZE);
    }
  }
  close(fd);
  return result;
}

/*
 * Makes a channel with a name. It appears complete or not at all, and takes the place of one whose
 * participants are all dead. -EEXIST when one of those lives, or when it is something else,
 * -EOPNOTSUPP where the file system has no O_TMPFILE, -EBUSY after some seconds when a process was
 * stopped in the middle of joining or leaving a dead one that is there, -EPERM or -EACCES when a
 * dead one is there whose name this user may not remove.
 */
static inline int interproc_create(struct interproc_channel* channel, const char* name,
                                   const struct interproc_options* options) {
  interproc__start(channel);
  int result = interproc__path_of(channel, name);
  if (result != 0) return result;
  char folder[sizeof(channel->path)];
  memcpy(folder, channel->path, sizeof(folder));
  char* slash = strrchr(folder, '/');
  slash[slash == folder] = '\0';
  channel->fd = open(folder, O_RDWR | O_CLOEXEC | O_TMPFILE, 0600);
  if (channel->fd < 0) return -errno;
  result = interproc__build(channel, options, INTERPROC_NAMED);
  char self[64];
  (void)snprintf(self, sizeof(self), "/proc/self/fd/%d", channel->fd);
  while (result == 0 && linkat(AT_FDCWD, self, AT_FDCWD, channel->path, AT_SYMLINK_FOLLOW) != 0) {
    result = -errno;
    if (result != -EEXIST) break;
    const int replaced = interproc__replace_dead(channel->path);
    result = replaced == 1 ? 0 : replaced < 0 ? replaced : -EEXIST;
  }
  if (result == 0) return 0;
  if (channel->me.id != 0) {
    interproc_leave(&channel->me, channel->header, NULL, INTERPROC_GATE_TRIES);
  }
  interproc__unmap(channel);
  return result;
}

static inline int interproc__try_open(struct interproc_channel* channel) {
  /* Anybody may put a link among the names, which leads where he wants (man 3 shm_open). */
  const int is_name =
      strncmp(channel->path, INTERPROC_NAME_PREFIX, sizeof(INTERPROC_NAME_PREFIX) - 1) == 0;
  const int flags = O_RDWR | O_CLOEXEC | O_NONBLOCK;
  channel->fd = open(channel->path, is_name ? flags | O_NOFOLLOW : flags);
  if (channel->fd < 0) return -errno;
  const int result = interproc__enter(channel);
  if (result != 0) interproc__unmap(channel);
  return result;
}

/*
 * Opens a channel by its name, and waits until there is one: -ETIMEDOUT; -1 ms is for ever. -EBUSY
 * after some seconds, whatever the timeout, when a process was stopped in the middle of joining or
 * leaving it. -ELOOP where a symbolic link has the name; one in a path is followed.
 */
static inline int interproc_open(struct interproc_channel* channel, const char* name,
                                 int64_t timeout_ms) {
  interproc__start(channel);
  int result = interproc__path_of(channel, name);
  if (result != 0) return result;
  const uint64_t start = interproc__now_ms(CLOCK_MONOTONIC);
  for (;;) {
    result = interproc__try_open(channel);
    if (result != -ENOENT && result != INTERPROC_NOT_READY && result != INTERPROC_UNLINKED) {
      return result;
    }
    if (timeout_ms >= 0 && interproc__now_ms(CLOCK_MONOTONIC) - start >= (uint64_t)timeout_ms) {
      return timeout_ms == 0 ? result : -ETIMEDOUT;
    }
    interproc__nap(1000000);
  }
}

/* Removes the name of a channel, or whatever else has it; who has it open goes on. -ENOENT. */
static inline int interproc_unlink(const char* name) {
  struct interproc_channel named;
  interproc__start(&named);
  const int result = interproc__path_of(&named, name);
  return result == 0 ? interproc__remove_name(named.path, -1, INTERPROC_GATE_TRIES) : result;
}

/* Close what is attached before. Tries for some seconds to get past a process that was stopped in
 * the middle of joining or leaving; after that, the name stays. */
static inline void interproc_close(struct interproc_channel* channel) {
  if (channel->header == NULL) return;
  interproc_leave(&channel->me, channel->header, *channel->path == '\0' ? NULL : channel->path,
                  INTERPROC_GATE_TRIES);
  interproc__unmap(channel);
}

/* The longest message: one that fits in whole wherever the end of the ring happens to be. */
static inline uint32_t interproc_message_max(uint32_t capacity) {
  return capacity / 2 - INTERPROC_RECORD_HEADER;
}

/*
 * Sleeps until the other side wakes this one, for 20 ms at most: then its owner is looked at again.
 * `bell` was read, then the word was set to ASLEEP, and what is waited for looked at once more.
 */
static inline void interproc__sleep_on(struct interproc_sleeper* sleeper, uint32_t bell) {
  const struct timespec slice = {0, 20000000};
  syscall(SYS_futex, &sleeper->bell, FUTEX_WAIT, bell, &slice, NULL, 0);
}

struct interproc__deadline {
  uint64_t start_ms;
  int64_t timeout_ms;
};
static inline struct interproc__deadline interproc__deadline_in(int64_t timeout_ms) {
  const struct interproc__deadline deadline = {interproc__now_ms(CLOCK_MONOTONIC), timeout_ms};
  return deadline;
}
static inline int interproc__is_over(const struct interproc__deadline* deadline) {
  return deadline->timeout_ms >= 0 &&
         interproc__now_ms(CLOCK_MONOTONIC) - deadline->start_ms >= (uint64_t)deadline->timeout_ms;
}

#define INTERPROC_SPINS 200
/* After a run of so many messages the next ones are on their way, */
#define INTERPROC_LONG_RUN 16u
/* and the ring is looked at so often before the sender is asked to hurry. */
#define INTERPROC_GRACE_LOOKS 64u

/* ---- the sender -------------------------------------------------------------------------------
 */

struct interproc_sender {
  struct interproc_channel* channel;
  struct interproc_header* header;
  unsigned char* ring;
  uint32_t capacity;
  uint32_t tail;      /* where the next record goes */
  uint32_t published; /* what header->sender.tail says */
  uint32_t head;      /* what header->head.position said when it was last looked at */
  uint32_t claim;     /* where the open claim begins */
  uint32_t claimed;   /* its size with header and padding; 0: none */
  uint32_t turn;      /* which of the two counts is that of the last publication */
  uint32_t pending;   /* messages accepted since */
  uint64_t messages;  /* accepted, predecessors' included */
  uint64_t bytes;
  int await_peer; /* set it to wait for a successor where a receiver has died or closed */
};

/* Becomes the sender; `sender->messages` tells how many its predecessors have published. */
static inline int interproc_attach_sender(struct interproc_sender* sender,
                                          struct interproc_channel* channel) {
  memset(sender, 0, sizeof(*sender));
  int result = interproc_take_role(&channel->me, channel->header, INTERPROC_SENDER);
  if (result != 0) return result;
  struct interproc_count count;
  result = interproc_sender_start(channel->header, channel->capacity, &count);
  if (result != 0) {
    interproc_leave_role(&channel->me, channel->header, INTERPROC_SENDER, INTERPROC_ROLE_DIED);
    return result;
  }
  sender->channel = channel;
  sender->header = channel->header;
  sender->ring = channel->ring;
  sender->capacity = channel->capacity;
  sender->tail = sender->published = count.tail;
  sender->turn = count.unused;
  sender->messages = count.messages;
  sender->bytes = count.bytes;
  sender->head = interproc__load(&channel->header->head.position);
  return 0;
}

/* Lets the receiver see all that was accepted. */
static inline void interproc_flush(struct interproc_sender* sender) {
  if (sender->tail == sender->published) return;
  struct interproc_header* header = sender->header;
  INTERPROC_FAILPOINT("publish.begin");
  sender->turn ^= 1;
  struct interproc_count* count = &header->sender.counts[sender->turn];
  interproc__put(&count->tail, sender->tail);
  interproc__put64(&count->messages, sender->messages);
  interproc__put64(&count->bytes, sender->bytes);
  INTERPROC_FAILPOINT("publish.counted");
  interproc__store(&header->sender.tail,
                   sender->tail); /* pairs with the load in interproc__available */
  INTERPROC_FAILPOINT("publish.stored");
  sender->published = sender->tail;
  sender->pending = 0;
  interproc__fence(); /* pairs with the fence of a receiver about to sleep */
  /* One that starves is served now, and says so again when that is not enough. */
  if (interproc__peek(&header->sleep[INTERPROC_RECEIVER].word) != INTERPROC_AWAKE) {
    interproc_wake(&header->sleep[INTERPROC_RECEIVER]);
  }
}

/* Room for `size` bytes in the ring: 0, -EAGAIN when it is full, -EMSGSIZE, INTERPROC_CORRUPT. */
static inline int interproc_try_claim(struct interproc_sender* sender, uint32_t size, void** data) {
  if (size > interproc_message_max(sender->capacity)) return -EMSGSIZE;
  const uint32_t record = interproc__align8(INTERPROC_RECORD_HEADER + size);
  const uint32_t offset = sender->tail & (sender->capacity - 1);
  const uint32_t to_end = sender->capacity - offset;
  const uint32_t pad = to_end < record ? to_end : 0;
  if (sender->capacity - (sender->tail - sender->head) < pad + record) {
    /* Pairs with the store in interproc__hand_back: those bytes were read before. */
    const uint32_t head = interproc__load(&sender->header->head.position);
    const uint32_t used = sender->tail - head;
    if (used > sender->capacity) return INTERPROC_CORRUPT;
    sender->head = head;
    if (sender->capacity - used < pad + record) {
      interproc__put64(&sender->header->sender.times_full,
                       interproc__peek64(&sender->header->sender.times_full) + 1);
      interproc_flush(sender);
      return -EAGAIN;
    }
  }
  if (pad != 0) {
    const uint32_t header[2] = {INTERPROC_RECORD_PAD | pad, 0};
    memcpy(sender->ring + offset, header, sizeof(header));
  }
  INTERPROC_FAILPOINT("claim.padded");
  sender->claim = sender->tail + pad;
  sender->claimed = record;
  *data = sender->ring + (sender->claim & (sender->capacity - 1)) + INTERPROC_RECORD_HEADER;
  return 0;
}

/* Makes a message of the first `size` bytes of the claim. REQUIRES an open claim of as many. */
static inline void interproc_commit(struct interproc_sender* sender, uint32_t size) {
  const uint32_t header[2] = {size, (uint32_t)sender->messages};
  INTERPROC_FAILPOINT("commit.written");
  memcpy(sender->ring + (sender->claim & (sender->capacity - 1)), header, sizeof(header));
  sender->tail = sender->claim + interproc__align8(INTERPROC_RECORD_HEADER + size);
  sender->claimed = 0;
  sender->messages++;
  sender->bytes += size;
  sender->pending++;
  INTERPROC_FAILPOINT("commit.accepted");
  if (sender->pending >= INTERPROC_BATCH_MESSAGES ||
      sender->tail - sender->published >= INTERPROC_BATCH_BYTES ||
      interproc__peek(&sender->header->sleep[INTERPROC_RECEIVER].word) != INTERPROC_AWAKE) {
    interproc_flush(sender);
  }
}

/* Gives the claim back: no message comes of it. */
static inline void interproc_abort(struct interproc_sender* sender) { sender->claimed = 0; }

/*
 * Publishes it with the 32nd, with 64 KiB, or at once to a receiver that starves or sleeps. Call
 * interproc_flush before you wait for what comes of it.
 */
static inline int interproc_try_send(struct interproc_sender* sender, const void* data,
                                     uint32_t size) {
  void* room;
  const int result = interproc_try_claim(sender, size, &room);
  if (result != 0) return result;
  if (size != 0) memcpy(room, data, size);
  interproc_commit(sender, size);
  return 0;
}

/* Waits for space; -1 ms is for ever. INTERPROC_PEER_DIED, INTERPROC_PEER_CLOSED, -ETIMEDOUT. */
static inline int interproc_claim(struct interproc_sender* sender, uint32_t size, void** data,
                                  int64_t timeout_ms) {
  int result = interproc_try_claim(sender, size, data);
  if (result != -EAGAIN) return result;
  const struct interproc__deadline deadline = interproc__deadline_in(timeout_ms);
  struct interproc_header* header = sender->header;
  struct interproc_sleeper* sleeper = &header->sleep[INTERPROC_SENDER];
  for (;;) {
    for (int spins = 0; spins < INTERPROC_SPINS; ++spins) {
      if (interproc__load(&header->head.position) != sender->head) break;
    }
    const uint32_t role = interproc__load(&header->role[INTERPROC_RECEIVER].owner);
    const int peer = interproc_judge(&sender->channel->me, header, INTERPROC_RECEIVER);
    if (peer < 0) return peer;
    const uint32_t bell = interproc__load(&sleeper->bell);
    interproc__store(&sleeper->word, INTERPROC_ASLEEP);
    interproc__fence(); /* pairs with the fences in interproc__hand_back and interproc_wake */
    result = interproc_try_claim(sender, size, data);
    if (result != -EAGAIN) break;
    if (interproc__load(&header->role[INTERPROC_RECEIVER].owner) == role) {
      if (!sender->await_peer && peer == INTERPROC_PEER_LEFT) result = INTERPROC_PEER_CLOSED;
      if (!sender->await_peer && peer == INTERPROC_PEER_GONE) result = INTERPROC_PEER_DIED;
      if (result != -EAGAIN) break;
      if (interproc__is_over(&deadline)) {
        result = -ETIMEDOUT;
        break;
      }
      INTERPROC_FAILPOINT("send.asleep");
      interproc__put64(&header->sender.times_slept,
                       interproc__peek64(&header->sender.times_slept) + 1);
      interproc__sleep_on(sleeper, bell);
    }
  }
  interproc__store(&sleeper->word, INTERPROC_AWAKE);
  return result;
}

/* Sends and publishes. */
static inline int interproc_send(struct interproc_sender* sender, const void* data, uint32_t size,
                                 int64_t timeout_ms) {
  void* room;
  const int result = interproc_claim(sender, size, &room, timeout_ms);
  if (result != 0) return result;
  if (size != 0) memcpy(room, data, size);
  interproc_commit(sender, size);
  interproc_flush(sender);
  return 0;
}

/* Publishes, and ends what the receiver reads. */
static inline void interproc_close_sender(struct interproc_sender* sender) {
  if (sender->channel == NULL) return;
  interproc_flush(sender);
  interproc_leave_role(&sender->channel->me, sender->header, INTERPROC_SENDER,
                       INTERPROC_ROLE_CLOSED);
  sender->channel = NULL;
}

/* ---- the receiver -----------------------------------------------------------------------------
 */

struct interproc_receiver {
  struct interproc_channel* channel;
  struct interproc_header* header;
  const unsigned char* ring;
  uint32_t capacity;
  uint32_t position;    /* of the next record */
  uint32_t next;        /* behind the record in hand; == position: none */
  uint32_t tail;        /* what header->sender.tail said when it was last looked at */
  uint32_t handed_back; /* what header->head.position says */
  uint32_t begun;
  uint32_t begun_before; /* up to here a predecessor had messages in hand */
  uint64_t received;     /* finished, predecessors' included */
  uint32_t run_start;    /* the same, when last all was empty for long */
  uint32_t empty_looks;  /* looks in vain since */
  int await_peer;        /* set it to wait for a successor where a sender has died */
};

static inline int interproc_attach_receiver(struct interproc_receiver* receiver,
                                            struct interproc_channel* channel) {
  memset(receiver, 0, sizeof(*receiver));
  int result = interproc_take_role(&channel->me, channel->header, INTERPROC_RECEIVER);
  if (result != 0) return result;
  struct interproc_resume start;
  result = interproc_receiver_start(channel->header, channel->ring, channel->capacity, &start);
  if (result != 0) {
    interproc_leave_role(&channel->me, channel->header, INTERPROC_RECEIVER, INTERPROC_ROLE_DIED);
    return result;
  }
  receiver->channel = channel;
  receiver->header = channel->header;
  receiver->ring = channel->ring;
  receiver->capacity = channel->capacity;
  receiver->position = receiver->next = receiver->tail = start.done;
  receiver->handed_back = start.head;
  receiver->begun = receiver->begun_before = start.begun;
  receiver->received = start.received;
  receiver->run_start = (uint32_t)start.received;
  return 0;
}

/* Gives the space of finished messages to the sender. */
static inline void interproc__hand_back(struct interproc_receiver* receiver) {
  struct interproc_header* header = receiver->header;
  if (receiver->handed_back == receiver->position) return;
  interproc__put64(&header->receiver.received, receiver->received);
  INTERPROC_FAILPOINT("release.counted");
  /* Pairs with the load in interproc_try_claim. */
  interproc__store(&header->head.position, receiver->position);
  INTERPROC_FAILPOINT("release.stored");
  receiver->handed_back = receiver->position;
  interproc__fence(); /* pairs with the fence of a sender about to sleep */
  if (interproc__peek(&header->sleep[INTERPROC_SENDER].word) == INTERPROC_ASLEEP) {
    interproc_wake(&header->sleep[INTERPROC_SENDER]);
  }
}

/* All space goes back, and the sender is asked to publish at once: for who is about to sleep. */
static inline void interproc__starve(struct interproc_receiver* receiver) {
  receiver->run_start = (uint32_t)receiver->received;
  receiver->empty_looks = 0;
  interproc__hand_back(receiver);
  uint32_t* word = &receiver->header->sleep[INTERPROC_RECEIVER].word;
  if (interproc__peek(word) == INTERPROC_AWAKE) interproc__store(word, INTERPROC_STARVED);
}

/*
 * Nothing to read. To publish at once costs both sides more than a batch does: so the sender is not
 * asked to while it is likely to be at one.
 */
static inline void interproc__find_nothing(struct interproc_receiver* receiver) {
  interproc__hand_back(receiver);
  const uint32_t run = (uint32_t)receiver->received - receiver->run_start;
  if (run < INTERPROC_LONG_RUN || ++receiver->empty_looks >= INTERPROC_GRACE_LOOKS) {
    interproc__starve(receiver);
  }
}

/* The record in hand is finished: it is not delivered again. */
static inline void interproc_done(struct interproc_receiver* receiver) {
  if (receiver->next == receiver->position) return;
  INTERPROC_FAILPOINT("receive.handled");
  receiver->position = receiver->next;
  receiver->received++;
  interproc__put(&receiver->header->receiver.done, receiver->position);
  INTERPROC_FAILPOINT("receive.done");
  if (receiver->position - receiver->handed_back >= receiver->capacity / 8) {
    interproc__hand_back(receiver);
  }
}

/* Bytes that are published behind `position`, or INTERPROC_CORRUPT. */
static inline int64_t interproc__available(struct interproc_receiver* receiver, uint32_t position) {
  if (receiver->tail == position) {
    receiver->tail = interproc__load(
        &receiver->header->sender.tail); /* pairs with the store in interproc_flush */
  }
  const uint32_t available = receiver->tail - position;
  if (available > receiver->capacity || (available & 7u) != 0) return INTERPROC_CORRUPT;
  return (int64_t)available;
}

/*
 * The next message, in place: valid until interproc_done or the next read, which finishes the one
 * before. 0; 1 when a predecessor died with it in hand; -EAGAIN when there is none;
 * INTERPROC_CORRUPT.
 */
static inline int interproc_try_read(struct interproc_receiver* receiver, const void** data,
                                     uint32_t* size) {
  interproc_done(receiver);
  uint32_t position = receiver->position;
  int64_t available = interproc__available(receiver, position);
  uint32_t record[2] = {0, 0};
  if (available > 0) {
    /* Once, into locals: a hostile peer may change them. */
    memcpy(record, receiver->ring + (position & (receiver->capacity - 1)), sizeof(record));
    if ((record[0] & INTERPROC_RECORD_PAD) != 0) {
      const uint32_t pad = record[0] & ~INTERPROC_RECORD_PAD;
      if (pad != receiver->capacity - (position & (receiver->capacity - 1)) ||
          pad >= (uint64_t)available) {
        return INTERPROC_CORRUPT;
      }
      position += pad;
      available -= pad;
      memcpy(record, receiver->ring + (position & (receiver->capacity - 1)), sizeof(record));
    }
  }
  if (available < 0) return (int)available;
  if (available == 0) {
    interproc__find_nothing(receiver);
    return -EAGAIN;
  }
  const uint32_t length = record[0];
  if (length > interproc_message_max(receiver->capacity)) return INTERPROC_CORRUPT;
  const uint32_t total = interproc__align8(INTERPROC_RECORD_HEADER + length);
  const uint32_t offset = position & (receiver->capacity - 1);
  if (total > (uint64_t)available || total > receiver->capacity - offset ||
      record[1] != (uint32_t)receiver->received) {
    return INTERPROC_CORRUPT;
  }
  if (interproc__peek(&receiver->header->sleep[INTERPROC_RECEIVER].word) != INTERPROC_AWAKE) {
    interproc__store(&receiver->header->sleep[INTERPROC_RECEIVER].word, INTERPROC_AWAKE);
  }
  receiver->empty_looks = 0;
  receiver->next = position + total;
  const int again = interproc__after(receiver->begun_before, receiver->position);
  /* Carried along: 2 GiB behind, it would lie before the position again. */
  if (!again) receiver->begun_before = receiver->position;
  if (interproc__after(receiver->next, receiver->begun)) {
    receiver->begun = receiver->next;
    interproc__put(&receiver->header->receiver.begun, receiver->begun);
  }
  INTERPROC_FAILPOINT("receive.begun");
  *data = receiver->ring + offset + INTERPROC_RECORD_HEADER;
  *size = length;
  return again;
}

/*
 * Waits for the next message; -1 ms is for ever. INTERPROC_ENDED when the sender has closed and all
 * is read, INTERPROC_PEER_DIED when it ended otherwise, -ETIMEDOUT.
 */
static inline int interproc_receive(struct interproc_receiver* receiver, const void** data,
                                    uint32_t* size, int64_t timeout_ms) {
  int result = interproc_try_read(receiver, data, size);
  if (result != -EAGAIN) return result;
  const struct interproc__deadline deadline = interproc__deadline_in(timeout_ms);
  struct interproc_header* header = receiver->header;
  struct interproc_sleeper* sleeper = &header->sleep[INTERPROC_RECEIVER];
  for (;;) {
    for (int spins = 0; spins < INTERPROC_SPINS; ++spins) {
      if (interproc__load(&header->sender.tail) != receiver->tail) break;
    }
    result = interproc_try_read(receiver, data, size);
    if (result != -EAGAIN) break;
    const uint32_t role = interproc__load(&header->role[INTERPROC_SENDER].owner);
    const int peer = interproc_judge(&receiver->channel->me, header, INTERPROC_SENDER);
    if (peer < 0) return peer;
    const uint32_t bell = interproc__load(&sleeper->bell);
    interproc__store(&sleeper->word, INTERPROC_ASLEEP);
    interproc__fence(); /* pairs with the fences in interproc_flush and interproc_wake */
    result = interproc_try_read(receiver, data, size);
    if (result != -EAGAIN) break;
    interproc__starve(receiver);
    if (interproc__load(&header->role[INTERPROC_SENDER].owner) == role) {
      if (peer == INTERPROC_PEER_LEFT) result = INTERPROC_ENDED;
      if (peer == INTERPROC_PEER_GONE && !receiver->await_peer) result = INTERPROC_PEER_DIED;
      if (result != -EAGAIN) break;
      if (interproc__is_over(&deadline)) {
        result = -ETIMEDOUT;
        break;
      }
      INTERPROC_FAILPOINT("receive.asleep");
      interproc__put64(&header->receiver.times_slept,
                       interproc__peek64(&header->receiver.times_slept) + 1);
      interproc__sleep_on(sleeper, bell);
    }
  }
  interproc__store(&sleeper->word, INTERPROC_AWAKE);
  return result;
}

/* Finishes the message in hand, and leaves. */
static inline void interproc_close_receiver(struct interproc_receiver* receiver) {
  if (receiver->channel == NULL) return;
  interproc_done(receiver);
  interproc__hand_back(receiver);
  interproc_leave_role(&receiver->channel->me, receiver->header, INTERPROC_RECEIVER,
                       INTERPROC_ROLE_CLOSED);
  receiver->channel = NULL;
}

/* ---- locks ------------------------------------------------------------------------------------
 *
 * A mutex lies at a multiple of 8 in any file that is mapped by those who share it, and is free as
 * zeros. Who has it is named by its owner id, so that a dead holder is found out, and the next one
 * is told INTERPROC_ABANDONED.
 *
 *   struct interproc_owner me;                        one a thread, for all locks of a file
 *   interproc_own(&me, fd);
 *   struct interproc_lock lock;
 *   interproc_mutex_open(&lock, &me, memory + 64);
 *   if (interproc_mutex_lock(&lock, -1) == INTERPROC_ABANDONED) {
 *     (make the data whole, and then)
 *     interproc_mutex_recovered(&lock);
 *   }
 *   interproc_mutex_unlock(&lock);
 *   interproc_disown(&me);
 *
 * A thread that ends while its process goes on disowns before: else what it holds stays held.
 *
 *     0               4               8               12
 *    +---------------+---------------+---------------+---------------+
 *    | state         | kind          | shown pid     | (other kinds) |
 *    +---------------+---------------+---------------+---------------+
 *
 *            31        30         29                                 0
 *           +---------+----------+------------------------------------+
 *    state: | WAITERS | STARVING | owner id; 0 = free, all 1 = RUINED |
 *           +---------+----------+------------------------------------+
 *
 * WAITERS: who unlocks wakes one. Whoever has slept sets it when he takes the mutex: he can't know
 * whether others sleep. STARVING: somebody has waited for long. Unlocked with it, the mutex is free
 * only for those who have slept on it, and for who tries once. No wake-up can be lost for good: who
 * sleeps looks again after 20 ms at most, and a promise of Node after 50.
 *
 * MEMORY ORDER: all that has to be agreed on is in one word, whose changes have one order for
 * everybody; WAITERS is set in the word that whoever unlocks changes, and futex(2) compares it once
 * more under a lock that a wake-up takes, too. So there is no pair of words that would need a fence
 * between them. What the mutex guards needs the change that takes it to acquire and the one that
 * lets go of it to release: no more. The compare-and-swaps here do both, as those of Node do, which
 * knows no weaker ones; that costs nothing, since one locked instruction (x64) or CASAL, or LDAXR
 * with STLXR (arm64) is all that either would be. What a dead holder has written is seen by who
 * inherits, though no word of his was released: his stores come before the kernel takes his byte's
 * lock away, and F_OFD_GETLK finds it gone under the same spin lock.
 */
#define INTERPROC_LOCK_WAITERS 0x80000000u
#define INTERPROC_LOCK_STARVING 0x40000000u
#define INTERPROC_LOCK_RUINED INTERPROC_OWNER_MASK
/* What lies at an offset: these bits, flags << 4, and the kind. */
#define INTERPROC_LOCK_MAGIC 0x6b636c00u /* "lck" */
#define INTERPROC_LOCK_KINDS 0x0fu
#define INTERPROC_LOCK_PLAIN 0x10u /* nobody's death is noticed */
#define INTERPROC_LOCK_MUTEX 1u
/* So long somebody may have waited before it is his turn. */
#define INTERPROC_LOCK_PATIENCE_MS 1u

/* After so long who sleeps looks again; with a margin. */
#define INTERPROC_LOCK_LONGEST_SLEEP_MS 100u

#define INTERPROC_ABANDONED 1 /* the mutex is had; its last holder died */

struct interproc_mutex {
  uint32_t state;
  uint32_t kind;
  /* Of the last one who took it, soon after he did: see interproc_pid_shown. For display only. */
  uint32_t shown_pid;
  uint32_t other;
};

/* A mutex as one owner has it open. */
struct interproc_lock {
  const struct interproc_owner* me;
  struct interproc_mutex* mutex;
  int held;
  int abandoned;          /* not recovered yet */
  uint64_t kept_since_ms; /* when it was first found free, but kept for others */
};

/*
 * `memory`: 16 bytes at a multiple of 8, in a writable mapping, that is shared, of the file that
 * `me` is an owner in. -EINVAL, or INTERPROC_MISMATCH where something else lies there.
 */
static inline int interproc_mutex_open(struct interproc_lock* lock,
                                       const struct interproc_owner* me, void* memory) {
  const uint32_t kind = INTERPROC_LOCK_MAGIC | INTERPROC_LOCK_MUTEX;
  memset(lock, 0, sizeof(*lock));
  if (((uintptr_t)memory & 7u) != 0) return -EINVAL;
  struct interproc_mutex* mutex = (struct interproc_mutex*)memory;
  (void)interproc__swap_if(&mutex->kind, 0, kind);
  INTERPROC_FAILPOINT("lock.named");
  if (interproc__load(&mutex->kind) != kind) return INTERPROC_MISMATCH;
  lock->me = me;
  lock->mutex = mutex;
  return 0;
}

static inline void interproc__lock_held(struct interproc_lock* lock, int abandoned) {
  lock->held = 1;
  lock->abandoned = abandoned;
  interproc__put(&lock->mutex->shown_pid, lock->me->shown_pid);
}

static inline uint32_t interproc__mutex_owner(const struct interproc_lock* lock) {
  return interproc__load(&lock->mutex->state) & INTERPROC_OWNER_MASK;
}

/* Whether the mutex is had through `lock`. What a forked child has inherited, or who was disowned
 * meanwhile, believes so without a right to. */
static inline int interproc__mutex_is_had(const struct interproc_lock* lock) {
  return lock->held && lock->me->id != 0 && interproc__mutex_owner(lock) == lock->me->id;
}

/* Whether this owner may wait for it: else it would wait for itself, or be nobody. */
static inline int interproc__mutex_check(const struct interproc_lock* lock) {
  if (lock->me->id == 0) return -EBADF;
  return interproc__mutex_owner(lock) == lock->me->id ? -EDEADLK : 0;
}

/* How somebody wants a mutex. */
struct interproc__wanting {
  int tries;     /* takes it out of turn: nobody is there whose turn it could be */
  int has_slept; /* on it */
  int is_late;   /* has waited for long */
};

/* The state in which `id` has the mutex whose state is `there`, 0 when it can't have it. */
static inline uint32_t interproc__lock_taken(uint32_t there, uint32_t id,
                                             const struct interproc__wanting* how) {
  const uint32_t starving = there & INTERPROC_LOCK_STARVING;
  if ((there & INTERPROC_OWNER_MASK) != 0) return 0;
  if (starving != 0 && !how->has_slept && !how->tries) return 0;
  return id | (how->has_slept ? INTERPROC_LOCK_WAITERS : there & INTERPROC_LOCK_WAITERS) |
         (how->tries || how->is_late ? starving : 0);
}

/* The state to sleep on. */
static inline uint32_t interproc__lock_awaited(uint32_t there,
                                               const struct interproc__wanting* how) {
  return there | INTERPROC_LOCK_WAITERS |
         (how->has_slept && how->is_late ? INTERPROC_LOCK_STARVING : 0);
}

/* The state in which nobody has it any more. */
static inline uint32_t interproc__lock_released(uint32_t there) {
  return (there & INTERPROC_LOCK_STARVING) != 0 ? INTERPROC_LOCK_STARVING | INTERPROC_LOCK_WAITERS
                                                : 0;
}

/* 0 when it is had, -EBUSY, INTERPROC_NOT_RECOVERABLE. */
static inline int interproc__mutex_take(struct interproc_lock* lock,
                                        const struct interproc__wanting* how) {
  uint32_t* state = &lock->mutex->state;
  for (;;) {
    const uint32_t there = interproc__load(state);
    if ((there & INTERPROC_OWNER_MASK) == INTERPROC_LOCK_RUINED) return INTERPROC_NOT_RECOVERABLE;
    const uint32_t mine = interproc__lock_taken(there, lock->me->id, how);
    if (mine == 0) return -EBUSY;
    if (!interproc__swap_if(state, there, mine)) continue;
    INTERPROC_FAILPOINT("lock.taken");
    interproc__lock_held(lock, 0);
    return 0;
  }
}

/* Takes it from a dead holder: INTERPROC_ABANDONED, or -EBUSY when he lives or nobody has it. */
static inline int interproc__mutex_inherit(struct interproc_lock* lock) {
  uint32_t* state = &lock->mutex->state;
  const uint32_t there = interproc__load(state);
  const uint32_t holder = there & INTERPROC_OWNER_MASK;
  if (holder == 0 || holder == INTERPROC_LOCK_RUINED) return -EBUSY;
  const int alive = interproc_owner_alive(lock->me, lock->me->fd, holder);
  if (alive != 0) return alive < 0 ? alive : -EBUSY;
  const uint32_t flags = INTERPROC_LOCK_WAITERS | (there & INTERPROC_LOCK_STARVING);
  if (!interproc__swap_if(state, there, lock->me->id | flags)) return -EBUSY;
  INTERPROC_FAILPOINT("lock.inherited");
  interproc__lock_held(lock, 1);
  return INTERPROC_ABANDONED;
}

/* One attempt. A mutex that is kept for who has slept for it is his; but if it is for longer than
 * anybody sleeps, he has died. */
static inline int interproc__mutex_try(struct interproc_lock* lock) {
  static const struct interproc__wanting comes_anew = {0, 0, 0};
  static const struct interproc__wanting out_of_turn = {1, 0, 0};
  const int result = interproc__mutex_take(lock, &comes_anew);
  if (result != -EBUSY) return result;
  if ((interproc__load(&lock->mutex->state) & (INTERPROC_OWNER_MASK | INTERPROC_LOCK_STARVING)) !=
      INTERPROC_LOCK_STARVING) {
    lock->kept_since_ms = 0;
    return interproc__mutex_inherit(lock);
  }
  const uint64_t now = interproc__now_ms(CLOCK_MONOTONIC);
  if (lock->kept_since_ms == 0) lock->kept_since_ms = now;
  if (now - lock->kept_since_ms <= INTERPROC_LOCK_LONGEST_SLEEP_MS) return -EBUSY;
  return interproc__mutex_take(lock, &out_of_turn);
}

/*
 * Takes the mutex if it is free, or its holder is dead: 0, INTERPROC_ABANDONED, or -EBUSY,
 * -EDEADLK when this owner has it, INTERPROC_NOT_RECOVERABLE, -EBADF when `me` is an owner no more
 * (disowned, or in a forked child, which becomes one of its own by interproc_own).
 */
static inline int interproc_mutex_trylock(struct interproc_lock* lock) {
  const int wrong = interproc__mutex_check(lock);
  return wrong != 0 ? wrong : interproc__mutex_try(lock);
}

/*
 * Sleeps until the mutex may be had, at most so long. 0 when it was woken, 1 when the time is over
 * or a signal came (else one who gets many would never look whether the holder lives), -EAGAIN when
 * it didn't sleep.
 */
static inline int interproc__mutex_sleep(struct interproc_lock* lock,
                                         const struct interproc__wanting* how, uint32_t ms) {
  uint32_t* state = &lock->mutex->state;
  const uint32_t there = interproc__load(state);
  if ((there & INTERPROC_OWNER_MASK) == INTERPROC_LOCK_RUINED ||
      interproc__lock_taken(there, lock->me->id, how) != 0) {
    return -EAGAIN;
  }
  const uint32_t awaited = interproc__lock_awaited(there, how);
  if (awaited != there && !interproc__swap_if(state, there, awaited)) return -EAGAIN;
  INTERPROC_FAILPOINT("lock.flagged");
  const struct timespec slice = {0, (long)ms * 1000000};
  const int error =
      syscall(SYS_futex, state, FUTEX_WAIT, awaited, &slice, NULL, 0) == 0 ? 0 : errno;
  INTERPROC_FAILPOINT("lock.woken");
  return error == ETIMEDOUT || error == EINTR ? 1 : -error;
}

/* For one who waits no more. It may have been its turn: a wake-up that it got, or a mutex that is
 * free for those who have slept, is for another one. */
static inline void interproc__mutex_give_up(struct interproc_lock* lock) {
  uint32_t* state = &lock->mutex->state;
  const uint32_t there = interproc__load(state);
  if ((there & INTERPROC_OWNER_MASK) == 0 && (there & INTERPROC_LOCK_STARVING) != 0) {
    (void)interproc__swap_if(state, there, 0);
  }
  INTERPROC_FAILPOINT("lock.given-up");
  syscall(SYS_futex, state, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* As interproc_mutex_lock, for one whom the mutex was refused. */
static inline int interproc__mutex_wait(struct interproc_lock* lock, int64_t timeout_ms) {
  struct interproc__wanting how = {0, 0, 0};
  const uint64_t start = interproc__now_ms(CLOCK_MONOTONIC);
  for (;;) {
    /* In whole milliseconds that have begun: one more than the timeout is not too early. */
    const uint64_t waited = interproc__now_ms(CLOCK_MONOTONIC) - start;
    if (timeout_ms >= 0 && waited > (uint64_t)timeout_ms) {
      const int result = interproc__mutex_try(lock);
      return result == -EBUSY ? -ETIMEDOUT : result;
    }
    how.is_late = waited > INTERPROC_LOCK_PATIENCE_MS;
    const uint64_t left = timeout_ms < 0 ? 20 : (uint64_t)timeout_ms - waited + 1;
    const int slept = interproc__mutex_sleep(lock, &how, left < 20 ? (uint32_t)left : 20);
    if (slept >= 0) how.has_slept = 1;
    int result = interproc__mutex_take(lock, &how);
    if (result == -EBUSY && slept == 1) result = interproc__mutex_inherit(lock);
    if (result != -EBUSY) return result;
    if (slept < 0 && slept != -EAGAIN) return slept;
  }
}

/*
 * Takes the mutex, waiting for it; -1 ms is for ever, 0 one attempt. As interproc_mutex_trylock,
 * but -ETIMEDOUT instead of -EBUSY.
 */
static inline int interproc_mutex_lock(struct interproc_lock* lock, int64_t timeout_ms) {
  static const struct interproc__wanting how = {0, 0, 0};
  int result = interproc__mutex_check(lock);
  if (result != 0) return result;
  if (timeout_ms == 0) {
    result = interproc__mutex_try(lock);
    return result == -EBUSY ? -ETIMEDOUT : result;
  }
  result = interproc__mutex_take(lock, &how);
  if (result != -EBUSY) return result;
  result = interproc__mutex_wait(lock, timeout_ms);
  if (result < 0 && result != INTERPROC_NOT_RECOVERABLE) interproc__mutex_give_up(lock);
  return result;
}

/* The data of an abandoned mutex is whole again. -EPERM without the mutex. */
static inline int interproc_mutex_recovered(struct interproc_lock* lock) {
  if (!interproc__mutex_is_had(lock)) return -EPERM;
  lock->abandoned = 0;
  return 0;
}

/* Where there is more to do than to let go of it: those who wait are served. */
static inline void interproc__mutex_release(struct interproc_lock* lock) {
  uint32_t* state = &lock->mutex->state;
  uint32_t there;
  uint32_t free;
  do {
    there = interproc__load(state);
    free = interproc__lock_released(there);
  } while (!interproc__swap_if(state, there, free));
  INTERPROC_FAILPOINT("lock.released");
  if ((there & INTERPROC_LOCK_WAITERS) == 0) return;
  const long woken = syscall(SYS_futex, state, FUTEX_WAKE, 1, NULL, NULL, 0);
  INTERPROC_FAILPOINT("lock.roused");
  /* Reserved for nobody; but a newcomer may have gone to sleep meanwhile. */
  if (free != 0 && woken == 0 && interproc__swap_if(state, free, 0)) {
    syscall(SYS_futex, state, FUTEX_WAKE, 1, NULL, NULL, 0);
  }
}

/*
 * Gives the mutex back. Abandoned and not recovered, it is INTERPROC_NOT_RECOVERABLE for all from
 * now on. -EPERM without the mutex.
 */
static inline int interproc_mutex_unlock(struct interproc_lock* lock) {
  const int had = interproc__mutex_is_had(lock);
  lock->held = 0;
  if (!had) return -EPERM;
  INTERPROC_FAILPOINT("lock.releasing");
  if (lock->abandoned) {
    interproc__store(&lock->mutex->state, INTERPROC_LOCK_RUINED);
    INTERPROC_FAILPOINT("lock.ruined");
    syscall(SYS_futex, &lock->mutex->state, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
    return 0;
  }
  if (interproc__swap_if(&lock->mutex->state, lock->me->id, 0)) {
    INTERPROC_FAILPOINT("lock.released");
  } else {
    interproc__mutex_release(lock);
  }
  return 0;
}

#ifdef __cplusplus
}
#endif

#endif /* INTERPROC_H_ */
