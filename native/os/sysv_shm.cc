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
  status.id = id;
  status.key = raw.shm_perm.__key;
  status.size = raw.shm_segsz;
  status.mode = raw.shm_perm.mode & 0777;
  status.uid = raw.shm_perm.uid;
  status.gid = raw.shm_perm.gid;
  status.creator_uid = raw.shm_perm.cuid;
  status.creator_gid = raw.shm_perm.cgid;
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

Result<void> ChangeSysvShm(int id, const SysvShmChange& change) {
  struct shmid_ds raw;
  if (shmctl(id, IPC_STAT, &raw) != 0) return LastError("shmctl");
  raw.shm_perm.uid = change.uid.value_or(raw.shm_perm.uid);
  raw.shm_perm.gid = change.gid.value_or(raw.shm_perm.gid);
  if (change.mode.has_value()) raw.shm_perm.mode = *change.mode & 0777;
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

Result<int32_t> Ftok(const std::string& path, int project_id) {
  errno = 0;
  const key_t key = ftok(path.c_str(), project_id);
  // -1 alone says nothing: a file may really have that key.
  if (key == -1 && errno != 0) return LastError("ftok");
  return key;
}

}  // namespace interproc::os
