// System V shared memory (man 7 sysvipc): segments that a number names and that live until somebody
// removes them.
#ifndef INTERPROC_OS_SYSV_SHM_H_
#define INTERPROC_OS_SYSV_SHM_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "os/result.h"

namespace interproc::os {

struct SysvShmStatus {
  int id = -1;
  int32_t key = 0;  // 0 (IPC_PRIVATE): found by its id only
  uint64_t size = 0;
  uint32_t mode = 0;
  uint32_t uid = 0, gid = 0, creator_uid = 0, creator_gid = 0;
  int32_t creator_pid = 0, last_pid = 0;
  uint64_t attached = 0;  // mappings, over all processes
  bool removed = false;   // marked for destruction when the last one detaches
  bool locked = false;
  double attached_at_s = 0, detached_at_s = 0, changed_at_s = 0;  // since the epoch; 0 = never
};

struct SysvShmChange {
  std::optional<mode_t> mode;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
};

// man 2 shmget. `create` means IPC_CREAT | IPC_EXCL.
Result<int> GetSysvShm(int32_t key, uint64_t size, bool create, mode_t mode);
Result<SysvShmStatus> StatSysvShm(int id);
Result<void> ChangeSysvShm(int id, const SysvShmChange& change);
Result<void> RemoveSysvShm(int id);
// SHM_LOCK and SHM_UNLOCK: the whole segment stays in memory, whoever maps it.
Result<void> LockSysvShm(int id, bool locked);
Result<std::vector<SysvShmStatus>> ListSysvShm();

// man 3 ftok
Result<int32_t> Ftok(const std::string& path, int project_id);

}  // namespace interproc::os

#endif  // INTERPROC_OS_SYSV_SHM_H_
