#include "os/fifo.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "os/draft.h"
#include "os/file_status.h"

namespace interproc::os {
namespace {

int FlagsOf(FifoAccess access) {
  const int mode = access == FifoAccess::kReading   ? O_RDONLY
                   : access == FifoAccess::kWriting ? O_WRONLY
                                                    : O_RDWR;
  return mode | O_CLOEXEC;
}

// Finds the FIFO without opening it.
Result<UniqueFd> Find(const std::string& path) {
  UniqueFd found(open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!found.valid()) return LastError("open");
  const Result<FileStatus> status = StatusOf(found.get());
  if (!status.ok()) return status.error();
  if (!S_ISFIFO(status.value().type)) return Error{EINVAL, "open"};
  return found;
}

// Opens what was found; by its path where there is no /proc.
int OpenFound(const UniqueFd& found, const std::string& path, int flags) {
  const std::string self = "/proc/self/fd/" + std::to_string(found.get());
  const int fd = open(self.c_str(), flags);
  return fd >= 0 || errno != ENOENT ? fd : open(path.c_str(), flags);
}

void SetBlocking(int fd) { (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK); }

// Whether anybody has the FIFO open for writing: what tee(2) says of an empty pipe tells, and it
// takes nothing out of one that isn't.
Result<bool> HasWriter(int reader) {
  int scratch[2];
  if (pipe2(scratch, O_CLOEXEC) != 0) return LastError("pipe");
  const UniqueFd ends[] = {UniqueFd(scratch[0]), UniqueFd(scratch[1])};
  return tee(reader, ends[1].get(), 1, SPLICE_F_NONBLOCK) != 0;
}

// Opens a draft of ours to set its mode. A umask that takes the owner's bits is in the way of that
// first.
UniqueFd OpenDraft(const char* name) {
  constexpr int kFlags = O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW;
  UniqueFd fd(open(name, kFlags));
  if (fd.valid() || errno != EACCES) return fd;
  const UniqueFd bare(open(name, O_PATH | O_CLOEXEC | O_NOFOLLOW));
  if (!bare.valid()) return fd;
  const std::string self = "/proc/self/fd/" + std::to_string(bare.get());
  if (chmod(self.c_str(), 0600) == 0) fd.Reset(open(name, kFlags));
  return fd;
}

}  // namespace

Result<void> CreateFifo(const std::string& path, const Access& access) {
  // Said before anything is made; the renaming below is what decides.
  if (StatusOf(path, "mkfifo").ok()) return Error{EEXIST, "mkfifo"};
  const Result<std::string> draft = DraftOf(path);
  if (!draft.ok()) return draft.error();
  const char* name = draft.value().c_str();
  if (mkfifo(name, 0600) != 0) return LastError("mkfifo");
  Result<void> done;
  {
    const UniqueFd fd = OpenDraft(name);
    done = fd.valid() ? SetAccess(fd.get(), access) : LastError("mkfifo");
  }
  if (done.ok() && RenameExclusively(draft.value(), path)) return {};
  if (done.ok()) done = LastError("mkfifo");
  unlink(name);
  return done;
}

Result<void> UnlinkFifo(const std::string& path) { return UnlinkOfType(path, S_IFIFO); }

Result<UniqueFd> TryOpenFifo(const std::string& path, FifoAccess access) {
  Result<UniqueFd> found = Find(path);
  if (!found.ok()) return found;
  UniqueFd fd(OpenFound(found.value(), path, FlagsOf(access) | O_NONBLOCK));
  if (!fd.valid() && errno == ENXIO) return UniqueFd();
  if (!fd.valid()) return LastError("open");
  if (access == FifoAccess::kReading) {
    const Result<bool> has_writer = HasWriter(fd.get());
    if (!has_writer.ok()) return has_writer.error();
    if (!has_writer.value()) return UniqueFd();
  }
  SetBlocking(fd.get());
  return fd;
}

Outcome OpenFifo(const BlockingCall& call, const std::string& path, FifoAccess access) {
  Outcome outcome;
  const Result<UniqueFd> found = Find(path);
  if (!found.ok()) {
    outcome.error = found.error();
    return outcome;
  }
  while (!call.cancelled()) {
    outcome.fd.Reset(OpenFound(found.value(), path, FlagsOf(access)));
    if (outcome.fd.valid()) return outcome;
    if (errno != EINTR) {
      outcome.error = LastError("open");
      return outcome;
    }
  }
  outcome.error = Error{ECANCELED, "open"};
  return outcome;
}

}  // namespace interproc::os
