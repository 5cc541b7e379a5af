#include "os/sysv_ipc.h"

namespace interproc::os {
namespace {

constexpr uint32_t kPermissionBits = 0777;

}  // namespace

SysvPermissions PermissionsOf(int id, const struct ipc_perm& raw) {
  SysvPermissions permissions;
  permissions.id = id;
  permissions.key = raw.__key;
  permissions.mode = raw.mode & kPermissionBits;
  permissions.uid = raw.uid;
  permissions.gid = raw.gid;
  permissions.creator_uid = raw.cuid;
  permissions.creator_gid = raw.cgid;
  return permissions;
}

void ApplyChange(const SysvChange& change, struct ipc_perm* raw) {
  raw->uid = change.uid.value_or(raw->uid);
  raw->gid = change.gid.value_or(raw->gid);
  if (change.mode.has_value()) raw->mode = *change.mode & kPermissionBits;
}

Result<int32_t> Ftok(const std::string& path, int project_id) {
  errno = 0;
  const key_t key = ftok(path.c_str(), project_id);
  // -1 alone says nothing: a file may really have that key.
  if (key == -1 && errno != 0) return LastError("ftok");
  return key;
}

}  // namespace interproc::os
