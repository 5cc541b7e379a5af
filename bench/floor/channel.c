/*
 * The floor of channels: what a good C engineer gets out of native/include/interproc.h, with the
 * batch rule of that header (32 messages or 64 KiB). The sizes that matter are compile-time
 * constants in their loops, so that a copy of 64 bytes is a few moves and no call.
 */
#include "interproc.h"

#include "control.h"
#include "messages.h"
#include "roles.h"

enum method { ALL_BYTES, SPARSE, COPY };

/* Longer than any honest wait: the other side is lost. */
#define PATIENCE_NS UINT64_C(60000000000)
#define PATIENCE_MS 60000
#define LOOKS_PER_CHECK (1u << 22)

struct state {
  struct interproc_channel channels[2];
  struct interproc_sender sender;
  struct interproc_receiver receiver;
  uint32_t bytes;
  enum method method;
  int sleeps;
  int32_t* own; /* what is copied from, or to */
  uint32_t* latencies;
};

struct patience {
  uint32_t looks;
  uint64_t since;
};
static inline void look_again(struct patience* patience) {
  control_relax();
  if ((++patience->looks & (LOOKS_PER_CHECK - 1)) != 0) return;
  const uint64_t now = control_now();
  if (patience->since == 0) patience->since = now;
  if (now - patience->since > PATIENCE_NS) control_fail("the other side is not heard of any more");
}

static void check(int result, const char* what) {
  if (result < 0) control_fail("%s: %d", what, result);
}

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE int32_t* claim(struct state* state, uint32_t bytes, int sleeps) {
  void* room;
  if (sleeps) {
    check(interproc_claim(&state->sender, bytes, &room, PATIENCE_MS), "claim");
    return room;
  }
  struct patience patience = {0, 0};
  int result;
  while ((result = interproc_try_claim(&state->sender, bytes, &room)) == -EAGAIN) {
    look_again(&patience);
  }
  check(result, "try_claim");
  return room;
}

ALWAYS_INLINE const int32_t* receive(struct state* state, uint32_t bytes, int sleeps) {
  const void* data;
  uint32_t size;
  int result;
  if (sleeps) {
    result = interproc_receive(&state->receiver, &data, &size, PATIENCE_MS);
  } else {
    struct patience patience = {0, 0};
    while ((result = interproc_try_read(&state->receiver, &data, &size)) == -EAGAIN) {
      look_again(&patience);
    }
  }
  check(result, "receive");
  if (size != bytes) control_fail("%u bytes, and not %u", size, bytes);
  return data;
}

ALWAYS_INLINE void send_all(struct state* state, uint64_t count, uint32_t bytes, enum method method,
                            int sleeps) {
  for (uint64_t i = 0; i < count; ++i) {
    const int32_t sequence = (int32_t)i;
    int32_t* lanes = claim(state, bytes, sleeps);
    if (method == COPY) {
      state->own[0] = sequence;
      memcpy(lanes, state->own, bytes);
    } else {
      const uint32_t written = method == SPARSE ? 4 : bytes / 4;
      for (uint32_t lane = 0; lane < written; ++lane) {
        lanes[lane] = (int32_t)((uint32_t)sequence + lane);
      }
    }
    interproc_commit(&state->sender, bytes);
  }
  interproc_flush(&state->sender);
}

ALWAYS_INLINE void receive_all(struct state* state, uint64_t count, uint32_t bytes,
                               enum method method, int sleeps) {
  const uint32_t lane_count = bytes / 4;
  uint32_t sum = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const int32_t* lanes = receive(state, bytes, sleeps);
    if (method == COPY) {
      memcpy(state->own, lanes, bytes);
      CONTROL_KEEP(state->own);
      lanes = state->own;
    } else if (method == ALL_BYTES) {
      for (uint32_t lane = 0; lane < lane_count; ++lane) sum += (uint32_t)lanes[lane];
    }
    check_number(lanes[0], i);
  }
  interproc_done(&state->receiver);
  interproc__hand_back(&state->receiver);
  if (method == ALL_BYTES) {
    /* Lane i of message k holds k + i. */
    const uint64_t numbers = count * (count - 1) / 2;
    const uint64_t lanes = (uint64_t)lane_count * (lane_count - 1) / 2;
    const uint32_t expected = (uint32_t)(numbers * lane_count + count * lanes);
    if (sum != expected) control_fail("the checksum is %u, and not %u", sum, expected);
  }
  if (method == COPY && count > 0) check_pattern(state->own, bytes);
}

/* A loop for each combination. */
#define DISPATCH(function)                                                               \
  ALWAYS_INLINE void function##_waiting(struct state* s, uint64_t n, uint32_t bytes,     \
                                        enum method method) {                            \
    if (s->sleeps)                                                                       \
      function(s, n, bytes, method, 1);                                                  \
    else                                                                                 \
      function(s, n, bytes, method, 0);                                                  \
  }                                                                                      \
  ALWAYS_INLINE void function##_sized(struct state* s, uint64_t n, enum method method) { \
    if (s->bytes == 64)                                                                  \
      function##_waiting(s, n, 64, method);                                              \
    else if (s->bytes == 1024)                                                           \
      function##_waiting(s, n, 1024, method);                                            \
    else                                                                                 \
      function##_waiting(s, n, s->bytes, method);                                        \
  }                                                                                      \
  static void run_##function(void* state, uint64_t n) {                                  \
    struct state* s = state;                                                             \
    if (s->method == ALL_BYTES)                                                          \
      function##_sized(s, n, ALL_BYTES);                                                 \
    else if (s->method == SPARSE)                                                        \
      function##_sized(s, n, SPARSE);                                                    \
    else                                                                                 \
      function##_sized(s, n, COPY);                                                      \
  }
DISPATCH(send_all)
DISPATCH(receive_all)

ALWAYS_INLINE void put(struct state* state, int32_t sequence, int sleeps) {
  fill_ping(claim(state, PING_BYTES, sleeps), sequence);
  interproc_commit(&state->sender, PING_BYTES);
  interproc_flush(&state->sender);
}

ALWAYS_INLINE void get(struct state* state, int32_t sequence, int sleeps) {
  check_ping(receive(state, PING_BYTES, sleeps), sequence);
  interproc_done(&state->receiver);
}

ALWAYS_INLINE void ping_all(struct state* state, uint64_t count, int sleeps) {
  uint64_t before = control_now();
  for (uint64_t i = 0; i < count; ++i) {
    put(state, (int32_t)i, sleeps);
    get(state, (int32_t)i, sleeps);
    before = lap(&state->latencies[i], before);
  }
}
ALWAYS_INLINE void pong_all(struct state* state, uint64_t count, int sleeps) {
  for (uint64_t i = 0; i < count; ++i) {
    get(state, (int32_t)i, sleeps);
    put(state, (int32_t)i, sleeps);
  }
}
static void ping(void* state, uint64_t count) {
  if (((struct state*)state)->sleeps) {
    ping_all(state, count, 1);
  } else {
    ping_all(state, count, 0);
  }
}
static void pong(void* state, uint64_t count) {
  if (((struct state*)state)->sleeps) {
    pong_all(state, count, 1);
  } else {
    pong_all(state, count, 0);
  }
}

static struct state* start(uint32_t bytes, const char* waiting) {
  struct state* state = calloc(1, sizeof(*state));
  if (state == NULL) control_fail("no memory");
  state->bytes = bytes;
  state->sleeps = strcmp(waiting, "sleeping") == 0;
  return state;
}

static struct interproc_channel* join(struct state* state, int index) {
  check(interproc_from_fd(&state->channels[index], CONTROL_FD + 1 + index), "from_fd");
  return &state->channels[index];
}

static void leave(struct state* state) {
  interproc_close_sender(&state->sender);
  interproc_close_receiver(&state->receiver);
  interproc_close(&state->channels[0]);
  interproc_close(&state->channels[1]);
}

/* floor one-way ROLE BYTES METHOD WAITING */
void floor_one_way(char** arguments) {
  struct state* state = start((uint32_t)atoi(arguments[1]), arguments[3]);
  state->method = strcmp(arguments[2], "in-place") == 0          ? ALL_BYTES
                  : strcmp(arguments[2], "in-place-sparse") == 0 ? SPARSE
                                                                 : COPY;
  if (posix_memalign((void**)&state->own, 64, state->bytes) != 0) control_fail("no memory");
  memset(state->own, 0, state->bytes);
  struct control_side side = {.state = state};
  if (strcmp(arguments[0], "lead") == 0) {
    check(interproc_attach_sender(&state->sender, join(state, 0)), "attach_sender");
    for (uint32_t lane = 0; lane < state->bytes / 4; ++lane) state->own[lane] = pattern(lane);
    side.run = run_send_all;
  } else {
    check(interproc_attach_receiver(&state->receiver, join(state, 0)), "attach_receiver");
    side.run = run_receive_all;
  }
  control_serve(&side);
  leave(state);
}

/* floor ping-pong ROLE WAITING MOST */
void floor_ping_pong(char** arguments) {
  struct state* state = start(PING_BYTES, arguments[1]);
  const int leads = strcmp(arguments[0], "lead") == 0;
  check(interproc_attach_sender(&state->sender, join(state, leads ? 0 : 1)), "attach_sender");
  check(interproc_attach_receiver(&state->receiver, join(state, leads ? 1 : 0)), "attach_receiver");
  struct control_side side = {.run = leads ? ping : pong, .state = state};
  if (leads) {
    state->latencies = calloc((size_t)atol(arguments[2]), sizeof(uint32_t));
    if (state->latencies == NULL) control_fail("no memory");
    side.latencies = state->latencies;
  }
  control_serve(&side);
  leave(state);
}
