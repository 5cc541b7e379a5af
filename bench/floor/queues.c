/*
 * The floor of message queues, POSIX and System V: the system calls alone. A pair is a message sent
 * and received by one process, with calls that don't block. Round trips are between two processes
 * that block in the call, also where others have an event loop: a System V queue knows no other
 * way to wait, and to sleep in the call is the fastest one of a POSIX queue.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <string.h>
#include <sys/msg.h>

#include "control.h"
#include "messages.h"
#include "roles.h"

/* The longest that a queue takes here; who receives from a POSIX queue must have room for it. */
#define QUEUE_BYTES 8192

struct letter {
  long type; /* of System V, and with that calls it takes */
  int32_t lanes[QUEUE_BYTES / 4];
};

struct post {
  int out; /* an mqd_t, which on Linux is a descriptor; or an id */
  int back;
  int flags; /* IPC_NOWAIT or none */
  uint32_t bytes;
  struct letter sent;
  struct letter received;
  uint32_t* latencies;
};

static int64_t check(int64_t result, const char* call) {
  if (result < 0) control_fail("%s: %s", call, strerror(errno));
  return result;
}

static void check_length(int64_t length, uint32_t bytes) {
  if (length != bytes) control_fail("%" PRId64 " bytes, and not %u", length, bytes);
}

static inline void put_posix(const struct post* post) {
  check(mq_send(post->out, (const char*)post->sent.lanes, post->bytes, 0), "mq_send");
}

static inline void get_posix(struct post* post) {
  unsigned int priority;
  char* const into = (char*)post->received.lanes;
  check_length(check(mq_receive(post->back, into, QUEUE_BYTES, &priority), "mq_receive"),
               post->bytes);
  CONTROL_KEEP(priority);
}

static inline void put_sysv(const struct post* post) {
  check(msgsnd(post->out, &post->sent, post->bytes, post->flags), "msgsnd");
}

static inline void get_sysv(struct post* post) {
  check_length(check(msgrcv(post->back, &post->received, QUEUE_BYTES, 0, post->flags), "msgrcv"),
               post->bytes);
}

#define LOOPS(api)                                      \
  static void pair_##api(void* state, uint64_t count) { \
    struct post* post = state;                          \
    for (uint64_t i = 0; i < count; ++i) {              \
      post->sent.lanes[0] = (int32_t)i;                 \
      put_##api(post);                                  \
      get_##api(post);                                  \
      check_number(post->received.lanes[0], i);         \
    }                                                   \
    check_pattern(post->received.lanes, post->bytes);   \
  }                                                     \
  static void ping_##api(void* state, uint64_t count) { \
    struct post* post = state;                          \
    uint64_t before = control_now();                    \
    for (uint64_t i = 0; i < count; ++i) {              \
      fill_ping(post->sent.lanes, (int32_t)i);          \
      put_##api(post);                                  \
      get_##api(post);                                  \
      check_ping(post->received.lanes, (int32_t)i);     \
      before = lap(&post->latencies[i], before);        \
    }                                                   \
  }                                                     \
  static void pong_##api(void* state, uint64_t count) { \
    struct post* post = state;                          \
    for (uint64_t i = 0; i < count; ++i) {              \
      get_##api(post);                                  \
      check_ping(post->received.lanes, (int32_t)i);     \
      fill_ping(post->sent.lanes, (int32_t)i);          \
      put_##api(post);                                  \
    }                                                   \
  }

LOOPS(posix)
LOOPS(sysv)

/* floor queue ROLE WORK API BYTES MOST OUT BACK; names of POSIX queues, keys of System V's. */
void floor_queue(char** arguments) {
  const int leads = strcmp(arguments[0], "lead") == 0;
  const int is_pair = strcmp(arguments[1], "pair") == 0;
  const int is_posix = strcmp(arguments[2], "posix") == 0;
  static struct post post;
  post.bytes = (uint32_t)atoi(arguments[3]);
  if (post.bytes > QUEUE_BYTES) control_fail("there is room for %d bytes", QUEUE_BYTES);
  if (is_posix) {
    const int flags = O_RDWR | O_CLOEXEC | (is_pair ? O_NONBLOCK : 0);
    post.out = (int)check(mq_open(arguments[5], flags), "mq_open");
    post.back = (int)check(mq_open(arguments[6], flags), "mq_open");
  } else {
    post.flags = is_pair ? IPC_NOWAIT : 0;
    post.out = (int)check(msgget((key_t)atol(arguments[5]), 0), "msgget");
    post.back = (int)check(msgget((key_t)atol(arguments[6]), 0), "msgget");
  }
  post.sent.type = 1;
  for (uint32_t lane = 0; lane < QUEUE_BYTES / 4; ++lane) post.sent.lanes[lane] = pattern(lane);

  struct control_side side = {.state = &post};
  if (is_pair) {
    side.run = is_posix ? pair_posix : pair_sysv;
  } else if (leads) {
    side.run = is_posix ? ping_posix : ping_sysv;
    post.latencies = calloc((size_t)atol(arguments[4]), sizeof(uint32_t));
    if (post.latencies == NULL) control_fail("no memory");
    side.latencies = post.latencies;
  } else {
    side.run = is_posix ? pong_posix : pong_sysv;
  }
  control_serve(&side);
}
