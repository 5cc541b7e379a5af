/*
 * How a measured C program talks with the bench: lines of JSON over descriptor 3, as bench/peer.ts
 * does, which tells what they mean. The end of the stream ends the program. Between runs it sleeps
 * in read(2).
 */
#ifndef INTERPROC_BENCH_CONTROL_H_
#define INTERPROC_BENCH_CONTROL_H_

#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>

#define CONTROL_FD 3

/* Nanoseconds of CLOCK_MONOTONIC, which process.hrtime.bigint() reads, too. */
uint64_t control_now(void);

/* Ends the program with a message for people. */
_Noreturn void control_fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

/* One side of a scenario: runs `count` messages, round trips or calls. What is not needed is NULL.
 */
struct control_side {
  void (*run)(void* state, uint64_t count);
  void* state;
  /* Nanoseconds of each round trip of the last run. */
  const uint32_t* latencies;
  /* How many of them there are, where it is not one for each of `count`. */
  const uint64_t* timed;
  /* Before each run, and no part of it: returns when all sides are there. */
  void (*prepare)(void* state);
  /* How many of what all sides did together in the last run were done by this one. */
  const uint64_t* share;
};

/* Says that it is ready, and serves runs until the bench is gone. */
void control_serve(const struct control_side* side);

/* The same for a program with answers of its own: `answer` writes one line of JSON. */
void control_serve_lines(void (*answer)(void* state, const char* line), void* state);
void control_say(const char* format, ...) __attribute__((format(printf, 1, 2)));

/* In loops that spin. */
static inline void control_relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* What must not be optimised away. */
#define CONTROL_KEEP(value) __asm__ volatile("" : : "r"(value) : "memory")

#endif /* INTERPROC_BENCH_CONTROL_H_ */
