#include "os/sysv_shm.h"

#include <sys/ipc.h>
#include <sys/shm.h>

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

namespace interproc::os {
namespace {

SysvShmStatus StatusFrom(int id, const struct shmid_ds& raw) {
  SysvShmStatus status;
  static_cast<SysvPermissions&>(status) = PermissionsOf(id, raw.shm_perm);
  status.size = raw.shm_segsz;
  status.creator_pid = raw.shm_cpid;
  status.last_pid = raw.shm_lpid;
  status.attached = raw.shm_nattch;
  status.removed = (raw.shm_perm.mode & SHM_DEST) != 0;
  status.locked = (raw.shm_perm.mode & SHM_LOCKED) != 0;
  status.attached_at_s = static_cast<double>(raw.shm_atime);
  status.detached_at_s = static_cast<double>(raw.shm_dtime);
  status.changed_at_s = static_cast<double>(raw.shm_ctime);
  return status;
}

}  // namespace

Result<int> GetSysvShm(int32_t key, uint64_t size, bool create, mode_t mode) {
  const int flags = create ? IPC_CREAT | IPC_EXCL | static_cast<int>(mode & 0777) : 0;
  const int id = shmget(key, size, flags);
  if (id < 0) return LastError("shmget");
  return id;
}

Result<SysvShmStatus> StatSysvShm(int id) {
  struct shmid_ds raw;
  if (shmctl(id, IPC_STAT, &raw) != 0) return LastError("shmctl");
  return StatusFrom(id, raw);
}

Result<void> ChangeSysvShm(int id, const SysvChange& change) {
  struct shmid_ds raw;
  if (shmctl(id, IPC_STAT, &raw) != 0) return LastError("shmctl");
  ApplyChange(change, &raw.shm_perm);
  if (shmctl(id, IPC_SET, &raw) != 0) return LastError("shmctl");
  return {};
}

Result<void> RemoveSysvShm(int id) {
  if (shmctl(id, IPC_RMID, nullptr) != 0) return LastError("shmctl");
  return {};
}

Result<void> LockSysvShm(int id, bool locked) {
  if (shmctl(id, locked ? SHM_LOCK : SHM_UNLOCK, nullptr) != 0) return LastError("shmctl");
  return {};
}

Result<std::vector<SysvShmStatus>> ListSysvShm() {
  struct shm_info info;
  const int last = shmctl(0, SHM_INFO, reinterpret_cast<struct shmid_ds*>(&info));
  if (last < 0) return LastError("shmctl");
  std::vector<SysvShmStatus> list;
  for (int index = 0; index <= last; ++index) {
    struct shmid_ds raw;
    int id = shmctl(index, SHM_STAT_ANY, &raw);
    // Where seccomp knows no SHM_STAT_ANY: only what we may read.
    if (id < 0 && errno != EINVAL && errno != EIDRM) id = shmctl(index, SHM_STAT, &raw);
    if (id >= 0) list.push_back(StatusFrom(id, raw));
  }
  return list;
}

}  // namespace interproc::os
