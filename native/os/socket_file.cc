#include "os/socket_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os/draft.h"
#include "os/unix_socket.h"

namespace interproc::os {
namespace {

// Whether a socket that lives is bound to the file. A datagram socket is connected to it, which
// sends nothing: the kernel refuses another type (EPROTOTYPE) or a full one only where there is a
// socket. So it also finds one that does not listen yet.
bool IsLive(const std::string& path) {
  const Result<UniqueFd> probe = CreateSocket(SOCK_DGRAM);
  if (!probe.ok()) return true;
  const Result<bool> connected = TryConnect(probe.value().get(), path);
  return connected.ok() || connected.error().number != ECONNREFUSED;
}

bool IsSocket(const std::string& path) {
  const Result<FileStatus> status = StatusOf(path, "stat");
  return status.ok() && S_ISSOCK(status.value().type);
}

// Takes the file of a dead socket away. It is moved aside first, and looked at again there: between
// the look and the removal somebody else may have put a live one in its place.
bool RemoveStale(const std::string& path, const UniqueFd& folder) {
  if (!IsSocket(path) || IsLive(path)) return false;
  Result<std::string> named = DraftOf(path);
  if (!named.ok()) return false;
  if (named.value().size() > kSocketPathMax) {
    // By the folder's descriptor, which is short.
    named = DraftOf("/proc/self/fd/" + std::to_string(folder.get()) + "/socket");
    if (!named.ok()) return false;
  }
  const std::string& aside = named.value();
  if (rename(path.c_str(), aside.c_str()) != 0) return errno == ENOENT;
  if (IsSocket(aside) && !IsLive(aside)) return unlink(aside.c_str()) == 0;
  (void)RenameExclusively(aside, path);
  return false;
}

// One at a time in this folder. The others hold it for a few system calls, and may be about
// another file; only one that was stopped meanwhile, or who locks it for something else, is waited
// for in vain: EAGAIN.
Result<void> LockFolder(const UniqueFd& folder) {
  constexpr int kTries = 500;
  constexpr struct timespec kPause = {0, 1'000'000};
  int error = EWOULDBLOCK;
  for (int i = 0; i < kTries && (error == EWOULDBLOCK || error == EINTR); ++i) {
    if (i > 0) (void)nanosleep(&kPause, nullptr);
    if (flock(folder.get(), LOCK_EX | LOCK_NB) == 0) return {};
    error = errno;
  }
  return Error{error, "flock"};
}

// Gives the file exactly what was asked for, where bind(2), which obeys the umask, has not.
Result<FileStatus> SetAccessOf(const std::string& path, const Access& access) {
  const UniqueFd file(open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!file.valid()) return LastError("bind");
  const Result<FileStatus> made = StatusOf(file.get());
  if (!made.ok()) return made;
  // In a folder of others somebody may have put something else there, to have it given away.
  if (!S_ISSOCK(made.value().type)) return Error{ENOENT, "bind"};
  const Result<void> owned = SetOwner(file.get(), access);
  if (!owned.ok()) return owned.error();
  const Result<FileStatus> status = StatusOf(file.get());
  if (!status.ok() || status.value().mode == access.mode) return status;
  const std::string self = "/proc/self/fd/" + std::to_string(file.get());
  // By the path where there is no /proc.
  if (chmod(self.c_str(), access.mode) != 0 &&
      (errno != ENOENT || chmod(path.c_str(), access.mode) != 0)) {
    return LastError("chmod");
  }
  return status;
}

}  // namespace

Result<FileStatus> BindSocketFile(int fd, const std::string& path, const Access& access,
                                  bool replace_stale) {
  // The file gets the mode of the socket, less the umask.
  if (fchmod(fd, access.mode) != 0) return LastError("fchmod");
  Result<void> bound = BindSocket(fd, path);
  if (!bound.ok() && bound.error().number == EADDRINUSE && replace_stale) {
    const UniqueFd folder(open(DirectoryOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid()) return LastError("bind");
    const Result<void> locked = LockFolder(folder);
    if (!locked.ok()) return locked.error();
    if (RemoveStale(path, folder)) bound = BindSocket(fd, path);
  }
  if (!bound.ok()) return bound.error();
  Result<FileStatus> status = SetAccessOf(path, access);
  if (!status.ok()) (void)unlink(path.c_str());
  return status;
}

Result<bool> UnlinkSocketFile(const std::string& path, const FileStatus& status) {
  const Result<FileStatus> there = StatusOf(path, "unlink");
  if (!there.ok() || !SameFile(there.value(), status)) return false;
  if (unlink(path.c_str()) != 0) return LastError("unlink");
  return true;
}

Result<void> UnlinkSocketFile(const std::string& path) { return UnlinkOfType(path, S_IFSOCK); }

}  // namespace interproc::os
