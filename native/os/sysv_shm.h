// System V shared memory (man 7 sysvipc): segments that a number names and that live until somebody
// removes them.
#ifndef INTERPROC_OS_SYSV_SHM_H_
#define INTERPROC_OS_SYSV_SHM_H_

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "os/result.h"
#include "os/sysv_ipc.h"

namespace interproc::os {

struct SysvShmStatus : SysvPermissions {
  uint64_t size = 0;
  int32_t creator_pid = 0, last_pid = 0;
  uint64_t attached = 0;  // mappings, over all processes
  bool removed = false;   // marked for destruction when the last one detaches
  bool locked = false;
  double attached_at_s = 0, detached_at_s = 0, changed_at_s = 0;  // since the epoch; 0 = never
};

// man 2 shmget. `create` means IPC_CREAT | IPC_EXCL.
Result<int> GetSysvShm(int32_t key, uint64_t size, bool create, mode_t mode);
Result<SysvShmStatus> StatSysvShm(int id);
Result<void> ChangeSysvShm(int id, const SysvChange& change);
Result<void> RemoveSysvShm(int id);
// SHM_LOCK and SHM_UNLOCK: the whole segment stays in memory, whoever maps it.
Result<void> LockSysvShm(int id, bool locked);
Result<std::vector<SysvShmStatus>> ListSysvShm();

}  // namespace interproc::os

#endif  // INTERPROC_OS_SYSV_SHM_H_
