// What all System V objects have in common (man 7 sysvipc): keys, ids, owners and permissions.
#ifndef INTERPROC_OS_SYSV_IPC_H_
#define INTERPROC_OS_SYSV_IPC_H_

#include <sys/ipc.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "os/result.h"

namespace interproc::os {

struct SysvPermissions {
  int id = -1;
  int32_t key = 0;    // 0 (IPC_PRIVATE): found by its id only
  uint32_t mode = 0;  // permission bits
  uint32_t uid = 0, gid = 0, creator_uid = 0, creator_gid = 0;
};

struct SysvChange {
  std::optional<mode_t> mode;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
};

SysvPermissions PermissionsOf(int id, const struct ipc_perm& raw);
// Makes the change in what IPC_SET takes.
void ApplyChange(const SysvChange& change, struct ipc_perm* raw);

// man 3 ftok
Result<int32_t> Ftok(const std::string& path, int project_id);

}  // namespace interproc::os

#endif  // INTERPROC_OS_SYSV_IPC_H_
