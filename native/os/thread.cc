#include "os/thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "os/glibc_baseline.h"

namespace interproc::os {

Result<void> StartThread(void* (*run)(void*), void* argument) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  // A fault is for the thread that makes it, and the guard must see it there.
  sigdelset(&all, SIGBUS);
  sigdelset(&all, SIGSEGV);
  // On Linux this is the calling thread's mask only; a new thread inherits it.
  sigprocmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int failed = pthread_create(&thread, nullptr, run, argument);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  if (failed != 0) return Error{failed, "pthread_create"};
  pthread_detach(thread);
  return {};
}

void YieldProcessor() { sched_yield(); }

}  // namespace interproc::os
