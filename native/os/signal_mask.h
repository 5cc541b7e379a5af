// The signals that the calling thread holds back. POSIX leaves open what sigprocmask(2) does in a
// process of many threads; on Linux it is the calling thread's mask, as with pthread_sigmask(3),
// which glibc binds at 2.32.
#ifndef INTERPROC_OS_SIGNAL_MASK_H_
#define INTERPROC_OS_SIGNAL_MASK_H_

#include <signal.h>

namespace interproc::os {

// `how`: SIG_BLOCK, SIG_UNBLOCK or SIG_SETMASK. Gives what was before.
inline sigset_t ChangeSignalMask(int how, const sigset_t& change) {
  sigset_t before;
  sigemptyset(&before);
  (void)sigprocmask(how, &change, &before);  // NOLINT(concurrency-mt-unsafe): see above
  return before;
}

}  // namespace interproc::os

#endif  // INTERPROC_OS_SIGNAL_MASK_H_
