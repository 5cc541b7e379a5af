// Access: who may do what with a new object of the file system: owner and permission bits.
#ifndef INTERPROC_OS_ACCESS_H_
#define INTERPROC_OS_ACCESS_H_

#include <sys/types.h>

#include <optional>

#include "os/result.h"

namespace interproc::os {

struct Access {
  mode_t mode = 0600;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
};

// Sets the owner, also of what was opened by O_PATH. man 2 fchownat
Result<void> SetOwner(int fd, const Access& access);
// Sets all of it on an open object, so the umask plays no part. man 2 fchmod
Result<void> SetAccess(int fd, const Access& access);

}  // namespace interproc::os

#endif  // INTERPROC_OS_ACCESS_H_
