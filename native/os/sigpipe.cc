#include "os/sigpipe.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

#include "os/result.h"
#include "os/signal_mask.h"

namespace interproc::os {
namespace {

constexpr int kNoSignal = 0x100;  // RWF_NOSIGNAL, since Linux 6.18
std::atomic<bool> has_no_signal{true};

sigset_t SigpipeAlone() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  return set;
}

bool IsPending() {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGPIPE) == 1;
}

// errno is that of the write: a signal that came is taken without touching it.
ssize_t WriteHeldBack(int fd, const struct iovec* parts, size_t count) {
  const SigpipeHeldBack held_back;
  return RetryOnEintr([&] { return writev(fd, parts, static_cast<int>(count)); });
}

}  // namespace

SigpipeHeldBack::SigpipeHeldBack() {
  const sigset_t alone = SigpipeAlone();
  was_pending_ = IsPending();
  before_ = ChangeSignalMask(SIG_BLOCK, alone);
}

SigpipeHeldBack::~SigpipeHeldBack() {
  const int error = errno;
  if (!was_pending_ && IsPending()) {
    const sigset_t alone = SigpipeAlone();
    const struct timespec none = {0, 0};
    (void)RetryOnEintr([&] { return sigtimedwait(&alone, nullptr, &none); });
  }
  ChangeSignalMask(SIG_SETMASK, before_);
  errno = error;
}

ssize_t WriteWithoutSignal(int fd, const struct iovec* parts, size_t count) {
  if (has_no_signal.load(std::memory_order_relaxed)) {
    // The raw call: glibc refuses flags that it doesn't know. An offset of -1 means none.
    const ssize_t written =
        RetryOnEintr([&] { return syscall(SYS_pwritev2, fd, parts, count, -1L, -1L, kNoSignal); });
    const bool is_absent = errno == EOPNOTSUPP || errno == ENOSYS || errno == EPERM;
    if (written >= 0 || !is_absent) return written;
    has_no_signal.store(false, std::memory_order_relaxed);
  }
  return WriteHeldBack(fd, parts, count);
}

}  // namespace interproc::os
