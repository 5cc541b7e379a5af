#include "os/pipe.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "os/file_status.h"
#include "os/sigpipe.h"

namespace interproc::os {
namespace {

// So much at once: a cancelled call ends soon, whatever the disk is like.
constexpr uint64_t kSpliceStep = 1 << 20;

// Makes a socket or a terminal non-blocking while it exists: SPLICE_F_NONBLOCK is for pipes only.
// Where splice(2) waits for one of those it keeps the pipe locked, and whoever then uses that, the
// event loop with it, can't even be interrupted.
class WithoutWaiting {
 public:
  explicit WithoutWaiting(int fd) : fd_(fd) {
    const Result<FileStatus> status = StatusOf(fd);
    if (!status.ok() || (!S_ISSOCK(status.value().type) && !S_ISCHR(status.value().type))) return;
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_NONBLOCK) != 0) return;
    if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0) before_ = flags;
  }
  WithoutWaiting(const WithoutWaiting&) = delete;
  WithoutWaiting& operator=(const WithoutWaiting&) = delete;
  ~WithoutWaiting() {
    const int error = errno;
    if (before_ >= 0) (void)fcntl(fd_, F_SETFL, before_);
    errno = error;
  }

 private:
  const int fd_;
  int before_ = -1;
};

ssize_t SpliceOnce(int from, int to, size_t length) {
  const WithoutWaiting ends[] = {WithoutWaiting(from), WithoutWaiting(to)};
  return splice(from, nullptr, to, nullptr, length, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
}

// Sleeps until `fd` has `events`; a signal ends it, too.
void Sleep(int fd, short events) {
  struct pollfd entry = {fd, events, 0};
  (void)poll(&entry, 1, -1);
}

// After EAGAIN, which doesn't say which of the two is not ready.
void SleepUntilBothReady(const BlockingCall& call, int from, int to) {
  Sleep(from, POLLIN);
  if (!call.cancelled()) Sleep(to, POLLOUT);
}

}  // namespace

Result<Pipe> CreatePipe(bool packet) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | (packet ? O_DIRECT : 0)) != 0) return LastError("pipe");
  return Pipe{
      Ref<Descriptor>::Adopt(new Descriptor(UniqueFd(ends[0]), DescriptorKind::kPipeReader)),
      Ref<Descriptor>::Adopt(new Descriptor(UniqueFd(ends[1]), DescriptorKind::kPipeWriter))};
  // NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDeleteLeaks): the pipe that is returned has both
}

Result<Ref<Descriptor>> DuplicatePipe(int fd, DescriptorKind kind, bool packet) {
  Result<UniqueFd> duplicate = DuplicateFd(fd);
  if (!duplicate.ok()) return duplicate.error();
  UniqueFd own = std::move(duplicate.value());
  const Result<FileStatus> status = StatusOf(own.get());
  if (!status.ok()) return status.error();
  if (!S_ISFIFO(status.value().type)) return Error{EINVAL, "pipe"};
  const int flags = fcntl(own.get(), F_GETFL);
  const int access = flags & O_ACCMODE;
  const int other = kind == DescriptorKind::kPipeReader ? O_WRONLY : O_RDONLY;
  if (access == other || (flags & O_PATH) != 0) return Error{EBADF, "pipe"};
  if (packet && kind == DescriptorKind::kPipeWriter && (flags & O_DIRECT) == 0 &&
      fcntl(own.get(), F_SETFL, flags | O_DIRECT) != 0) {
    return LastError("fcntl");
  }
  return Ref<Descriptor>::Adopt(new Descriptor(std::move(own), kind));
}

Result<int> PipeCapacity(const Descriptor& pipe) {
  const int bytes = fcntl(pipe.fd(), F_GETPIPE_SZ);
  if (bytes < 0) return LastError("F_GETPIPE_SZ");
  return bytes;
}

Result<int> SetPipeCapacity(const Descriptor& pipe, int bytes) {
  const int now = fcntl(pipe.fd(), F_SETPIPE_SZ, bytes);
  if (now < 0) return LastError("F_SETPIPE_SZ");
  return now;
}

Result<int> BytesInPipe(const Descriptor& pipe) {
  int bytes = 0;
  if (ioctl(pipe.fd(), FIONREAD, &bytes) != 0) return LastError("ioctl");
  return bytes;
}

Result<Moved> Splice(int from, int to, size_t length) {
  const SigpipeHeldBack held_back;
  return ToMoved(RetryOnEintr([&] { return SpliceOnce(from, to, length); }), "splice");
}

Result<Moved> Tee(int from, int to, size_t length) {
  const SigpipeHeldBack held_back;
  return ToMoved(RetryOnEintr([&] { return tee(from, to, length, SPLICE_F_NONBLOCK); }), "tee");
}

Outcome SpliceAll(const BlockingCall& call, int from, int to, uint64_t length) {
  Outcome outcome;
  uint64_t moved = 0;
  // Not Splice: a signal is to end it. This thread takes no SIGPIPE.
  while (moved < length) {
    if (call.cancelled()) {
      outcome.error = Error{ECANCELED, "splice"};
      break;
    }
    const ssize_t step = SpliceOnce(from, to, std::min(length - moved, kSpliceStep));
    if (step > 0) {
      moved += static_cast<uint64_t>(step);
    } else if (step == 0) {
      break;
    } else if (errno == EAGAIN) {
      SleepUntilBothReady(call, from, to);
    } else if (errno != EINTR) {
      outcome.error = LastError("splice");
      break;
    }
  }
  outcome.number = static_cast<int64_t>(moved);
  return outcome;
}

Outcome TeeOnce(const BlockingCall& call, int from, int to, uint64_t length) {
  Outcome outcome;
  while (!call.cancelled()) {
    outcome.number = tee(from, to, length, SPLICE_F_NONBLOCK);
    if (outcome.number >= 0) return outcome;
    outcome.number = 0;
    if (errno == EAGAIN) {
      SleepUntilBothReady(call, from, to);
    } else if (errno != EINTR) {
      outcome.error = LastError("tee");
      return outcome;
    }
  }
  outcome.error = Error{ECANCELED, "tee"};
  return outcome;
}

}  // namespace interproc::os
