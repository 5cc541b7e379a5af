// Writing to pipes whose reader is gone: EPIPE, and never the signal that ends the process where
// nobody ignores it. Node ignores it at first, but `process.on('SIGPIPE')` and its removal bring
// the default back. (For sockets there is MSG_NOSIGNAL.)
#ifndef INTERPROC_OS_SIGPIPE_H_
#define INTERPROC_OS_SIGPIPE_H_

#include <signal.h>
#include <sys/uio.h>

#include <cstddef>

namespace interproc::os {

// man 2 writev; repeated where a signal interrupts it.
ssize_t WriteWithoutSignal(int fd, const struct iovec* parts, size_t count);

// While it lives, a SIGPIPE for this thread is held back; one that came meanwhile is dropped.
class SigpipeHeldBack {
 public:
  SigpipeHeldBack();
  ~SigpipeHeldBack();
  SigpipeHeldBack(const SigpipeHeldBack&) = delete;
  SigpipeHeldBack& operator=(const SigpipeHeldBack&) = delete;

 private:
  sigset_t before_;
  bool was_pending_;
};

}  // namespace interproc::os

#endif  // INTERPROC_OS_SIGPIPE_H_
