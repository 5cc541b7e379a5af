/* What messages hold: bench/support/work.ts and round-trips.ts have the same. */
#ifndef INTERPROC_BENCH_MESSAGES_H_
#define INTERPROC_BENCH_MESSAGES_H_

#include "control.h"

#define PING_BYTES 64
#define PING_LANES (PING_BYTES / 4)

/* What lane `index` holds of data that is copied, but for the first: that is the message's number.
 */
static inline int32_t pattern(uint32_t index) { return (int32_t)(index * 0x9e3779b1u); }

static inline void check_number(int32_t number, uint64_t expected) {
  if (number != (int32_t)expected) {
    control_fail("message %" PRIu64 " came out of order, as %d", expected, number);
  }
}

/* Of the last one that came. */
static inline void check_pattern(const int32_t* lanes, uint32_t bytes) {
  for (uint32_t lane = 1; lane < bytes / 4; ++lane) {
    if (lanes[lane] != pattern(lane)) control_fail("what was copied is damaged");
  }
}

static inline void fill_ping(int32_t* lanes, int32_t number) {
  for (int lane = 0; lane < PING_LANES; ++lane) lanes[lane] = number + lane;
}

static inline void check_ping(const int32_t* lanes, int32_t number) {
  for (int lane = 0; lane < PING_LANES; ++lane) {
    if (lanes[lane] != number + lane) control_fail("a round trip came back wrong");
  }
}

/* Keeps how long a round trip took, and returns when the next one begins. */
static inline uint64_t lap(uint32_t* latency, uint64_t before) {
  const uint64_t now = control_now();
  *latency = now - before > UINT32_MAX ? UINT32_MAX : (uint32_t)(now - before);
  return now;
}

#endif /* INTERPROC_BENCH_MESSAGES_H_ */
