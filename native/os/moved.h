// Moved: how many bytes a call moved that never waits, or none where it would have had to.
#ifndef INTERPROC_OS_MOVED_H_
#define INTERPROC_OS_MOVED_H_

#include <sys/types.h>

#include <cstddef>
#include <optional>

#include "os/result.h"

namespace interproc::os {

using Moved = std::optional<size_t>;

// Of what a system call gave, and of errno.
inline Result<Moved> ToMoved(ssize_t moved, const char* syscall) {
  if (moved >= 0) return Moved(static_cast<size_t>(moved));
  if (errno == EAGAIN) return Moved();
  return LastError(syscall);
}

inline bool WouldBlock(const Result<Moved>& moved) {
  return moved.ok() && !moved.value().has_value();
}

}  // namespace interproc::os

#endif  // INTERPROC_OS_MOVED_H_
