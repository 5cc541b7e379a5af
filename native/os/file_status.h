// FileStatus: what the file system says of an object, by descriptor or path.
#ifndef INTERPROC_OS_FILE_STATUS_H_
#define INTERPROC_OS_FILE_STATUS_H_

#include <cstdint>
#include <string>

#include "os/result.h"

namespace interproc::os {

struct FileStatus {
  uint64_t size = 0;
  uint64_t allocated = 0;  // bytes that memory or disk back now
  uint32_t mode = 0;       // permission bits only
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t links = 0;
  uint64_t inode = 0;
  uint64_t device = 0;
  double modified_ms = 0;  // since the epoch
  double changed_ms = 0;
  uint32_t type = 0;  // S_IFREG and its like: man 7 inode
};

// man 2 statx. Follows no symbolic link. The second form looks at a path.
Result<FileStatus> StatusOf(int fd);
Result<FileStatus> StatusOf(const std::string& path, const char* syscall);

// Also for what the path leads to over symbolic links.
Result<FileStatus> StatusBehind(const std::string& path, const char* syscall);

// man 2 unlink. EINVAL for what is of another type.
Result<void> UnlinkOfType(const std::string& path, uint32_t type);

inline bool SameFile(const FileStatus& a, const FileStatus& b) {
  return a.inode == b.inode && a.device == b.device;
}

}  // namespace interproc::os

#endif  // INTERPROC_OS_FILE_STATUS_H_
