#include "os/access.h"

#include <sys/stat.h>
#include <unistd.h>

namespace interproc::os {

Result<void> SetAccess(int fd, const Access& access) {
  if (access.uid.has_value() || access.gid.has_value()) {
    const uid_t uid = access.uid.value_or(static_cast<uid_t>(-1));
    const gid_t gid = access.gid.value_or(static_cast<gid_t>(-1));
    if (fchown(fd, uid, gid) != 0) return LastError("fchown");
  }
  // Last: a new owner clears set-id bits.
  if (fchmod(fd, access.mode) != 0) return LastError("fchmod");
  return {};
}

}  // namespace interproc::os
