// The soft limit of a resource (man 2 getrlimit), for messages that tell which limit was hit.
#ifndef INTERPROC_OS_RESOURCE_LIMIT_H_
#define INTERPROC_OS_RESOURCE_LIMIT_H_

#include <sys/resource.h>

#include <cstdint>

#include "os/result.h"

namespace interproc::os {

// UINT64_MAX = unlimited.
inline Result<uint64_t> SoftLimitOf(int resource) {
  struct rlimit limit;
  // An enumeration in glibc, a number in musl.
  using Kind = decltype(RLIMIT_NOFILE);
  if (getrlimit(static_cast<Kind>(resource), &limit) != 0) return LastError("getrlimit");
  return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : uint64_t{limit.rlim_cur};
}

}  // namespace interproc::os

#endif  // INTERPROC_OS_RESOURCE_LIMIT_H_
