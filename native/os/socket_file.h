// The files that UNIX sockets with a path are found by: their owner and mode, and what dead servers
// leave behind.
#ifndef INTERPROC_OS_SOCKET_FILE_H_
#define INTERPROC_OS_SOCKET_FILE_H_

#include <string>

#include "os/access.h"
#include "os/file_status.h"

namespace interproc::os {

// Binds a socket to `path`. The file never has more permissions than `access` gives. EADDRINUSE if
// the path is taken; with `replace_stale` only if it is no socket or a live one: a file whose
// socket nobody has bound any more is replaced. Two that do so at once don't take it from each
// other: the folder is locked meanwhile (man 2 flock), and EAGAIN if it stays so for half a second.
Result<FileStatus> BindSocketFile(int fd, const std::string& path, const Access& access,
                                  bool replace_stale);

// Removes the file, if it is still the one of `status`; false if not.
Result<bool> UnlinkSocketFile(const std::string& path, const FileStatus& status);
// Whatever socket it is. EINVAL for what is none.
Result<void> UnlinkSocketFile(const std::string& path);

}  // namespace interproc::os

#endif  // INTERPROC_OS_SOCKET_FILE_H_
