// UniqueFd: the one owner of a file descriptor; closes it when it goes.
// Not thread-safe; move-only. Invariant: get() is -1 or an open descriptor that nobody else closes.
#ifndef INTERPROC_OS_UNIQUE_FD_H_
#define INTERPROC_OS_UNIQUE_FD_H_

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "os/result.h"

namespace interproc::os {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(std::exchange(other.fd_, -1));
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  // Hands the descriptor to somebody else; REQUIRES that he closes it.
  int Release() { return std::exchange(fd_, -1); }

  // EINTR of close(2) is not retried: on Linux the descriptor is gone by then.
  void Reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

// Another descriptor of what somebody else's `fd` has open; above those of standard input and
// output.
inline Result<UniqueFd> DuplicateFd(int fd) {
  UniqueFd own(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!own.valid()) return LastError("fcntl");
  return own;
}

}  // namespace interproc::os

#endif  // INTERPROC_OS_UNIQUE_FD_H_
