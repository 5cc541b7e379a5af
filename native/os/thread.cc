#include "os/thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include <cstdint>

#include "os/glibc_baseline.h"
#include "os/signal_mask.h"

namespace interproc::os {
namespace {

// Some times what a sleep and a wake-up cost, and a fraction of the slice that a busy thread gets.
constexpr int64_t kLongYieldNs = 100'000;

int64_t NowNs() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1'000'000'000) + now.tv_nsec;
}

}  // namespace

Result<void> StartThread(void* (*run)(void*), void* argument) {
  sigset_t all;
  sigfillset(&all);
  // A fault is for the thread that makes it, and the guard must see it there.
  sigdelset(&all, SIGBUS);
  sigdelset(&all, SIGSEGV);
  // A new thread inherits it.
  const sigset_t before = ChangeSignalMask(SIG_SETMASK, all);
  pthread_t thread;
  const int failed = pthread_create(&thread, nullptr, run, argument);
  ChangeSignalMask(SIG_SETMASK, before);
  if (failed != 0) return Error{failed, "pthread_create"};
  pthread_detach(thread);
  return {};
}

bool YieldProcessor() {
  const int64_t before = NowNs();
  sched_yield();
  return NowNs() - before < kLongYieldNs;
}

}  // namespace interproc::os
