#include "os/access.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace interproc::os {

Result<void> SetOwner(int fd, const Access& access) {
  if (!access.uid.has_value() && !access.gid.has_value()) return {};
  const uid_t uid = access.uid.value_or(static_cast<uid_t>(-1));
  const gid_t gid = access.gid.value_or(static_cast<gid_t>(-1));
  if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) != 0) return LastError("fchown");
  return {};
}

Result<void> SetAccess(int fd, const Access& access) {
  Result<void> owned = SetOwner(fd, access);
  if (!owned.ok()) return owned;
  // Last: a new owner clears set-id bits.
  if (fchmod(fd, access.mode) != 0) return LastError("fchmod");
  return {};
}

}  // namespace interproc::os
