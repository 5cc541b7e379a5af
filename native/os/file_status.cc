#include "os/file_status.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifndef STATX_BASIC_STATS  // musl before 1.2.5 has it not, and a later one only once
#include <linux/stat.h>
#endif

namespace interproc::os {
namespace {

double Milliseconds(const struct statx_timestamp& time) {
  return static_cast<double>(time.tv_sec) * 1e3 + time.tv_nsec / 1e6;
}

Result<FileStatus> Statx(int fd, const char* path, int flags, const char* syscall_name) {
  struct statx raw;
  // The raw call: glibc's fstat binds at 2.33.
  if (syscall(SYS_statx, fd, path, flags, STATX_BASIC_STATS, &raw) != 0) {
    return LastError(syscall_name);
  }
  FileStatus status;
  status.size = raw.stx_size;
  status.allocated = raw.stx_blocks * 512;
  status.mode = raw.stx_mode & 07777;
  status.uid = raw.stx_uid;
  status.gid = raw.stx_gid;
  status.links = raw.stx_nlink;
  status.inode = raw.stx_ino;
  status.device = (uint64_t{raw.stx_dev_major} << 32) | raw.stx_dev_minor;
  status.modified_ms = Milliseconds(raw.stx_mtime);
  status.changed_ms = Milliseconds(raw.stx_ctime);
  status.type = raw.stx_mode & S_IFMT;
  return status;
}

}  // namespace

Result<FileStatus> StatusOf(int fd) { return Statx(fd, "", AT_EMPTY_PATH, "fstat"); }

Result<FileStatus> StatusOf(const std::string& path, const char* syscall) {
  return Statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, syscall);
}

Result<FileStatus> StatusBehind(const std::string& path, const char* syscall) {
  return Statx(AT_FDCWD, path.c_str(), 0, syscall);
}

Result<void> UnlinkOfType(const std::string& path, uint32_t type) {
  const Result<FileStatus> status = StatusOf(path, "unlink");
  if (!status.ok()) return status.error();
  if (status.value().type != type) return Error{EINVAL, "unlink"};
  if (unlink(path.c_str()) != 0) return LastError("unlink");
  return {};
}

}  // namespace interproc::os
