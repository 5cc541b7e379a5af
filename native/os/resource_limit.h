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
  if (getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0) {
    return LastError("getrlimit");
  }
  return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : uint64_t{limit.rlim_cur};
}

}  // namespace interproc::os

#endif  // INTERPROC_OS_RESOURCE_LIMIT_H_
