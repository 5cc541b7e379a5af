#include "os/posix_mq.h"

#include <fcntl.h>
#include <mqueue.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/file_status.h"

namespace interproc::os {
namespace {

int FlagsOf(MqUse use) {
  switch (use) {
    case MqUse::kReceiving:
      return O_RDONLY;
    case MqUse::kSending:
      return O_WRONLY;
    case MqUse::kBoth:
      break;
  }
  return O_RDWR;
}

// The kernel knows names without the slash. It is there all the same: qemu-user, which calls its C
// library, takes the byte before the name for it.
std::string Slashed(const std::string& name) {
  return name.compare(0, 1, "/") == 0 ? name : "/" + name;
}

UniqueFd Open(const std::string& name, int flags, mode_t mode, const struct mq_attr* attributes) {
  const std::string slashed = Slashed(name);
  return UniqueFd(static_cast<int>(RetryOnEintr([&] {
    return syscall(SYS_mq_open, slashed.c_str() + 1, flags | O_CLOEXEC, mode, attributes);
  })));
}

// What a call says whose time is up: a queue in O_NONBLOCK mode says EAGAIN.
Result<Moved> ToMovedInTime(ssize_t moved, const char* name) {
  if (moved < 0 && errno == ETIMEDOUT) return Moved();
  return ToMoved(moved, name);
}

}  // namespace

bool HasPosixMq() {
  // No descriptor: EBADF from a kernel that knows the call; from QEMU, which emulates one, no error
  // at all.
  const bool failed = syscall(SYS_mq_getsetattr, -1, nullptr, nullptr) == -1;
  return !failed || (errno != ENOSYS && errno != EPERM);
}

Result<UniqueFd> CreatePosixMq(const std::string& name, MqUse use, const MqSizes& sizes,
                               const Access& access) {
  struct mq_attr attributes = {};
  attributes.mq_maxmsg = sizes.messages;
  attributes.mq_msgsize = sizes.message_size;
  UniqueFd fd = Open(name, FlagsOf(use) | O_CREAT | O_EXCL, access.mode & 0777, &attributes);
  if (!fd.valid()) return LastError("mq_open");
  const Result<void> done = SetAccess(fd.get(), access);
  if (done.ok()) return fd;
  (void)UnlinkPosixMq(name);
  return done.error();
}

Result<UniqueFd> OpenPosixMq(const std::string& name, MqUse use) {
  UniqueFd fd = Open(name, FlagsOf(use), 0, nullptr);
  if (!fd.valid()) return LastError("mq_open");
  return fd;
}

Result<UniqueFd> DuplicatePosixMq(int fd) {
  Result<UniqueFd> duplicate = DuplicateFd(fd);
  if (!duplicate.ok()) return duplicate;
  const Result<MqAttributes> attributes = AttributesOfMq(duplicate.value().get());
  if (!attributes.ok()) return attributes.error();
  return duplicate;
}

Result<void> UnlinkPosixMq(const std::string& name) {
  const std::string slashed = Slashed(name);
  if (syscall(SYS_mq_unlink, slashed.c_str() + 1) != 0) return LastError("mq_unlink");
  return {};
}

bool PosixMqLinkedAt(int fd, const std::string& name) {
  const Result<FileStatus> mine = StatusOf(fd);
  // Its maker can be kept from opening it by its mode, and then it can't be told: who may do both
  // is not lied to.
  for (const MqUse use : {MqUse::kReceiving, MqUse::kSending}) {
    const Result<UniqueFd> there = OpenPosixMq(name, use);
    if (!there.ok()) continue;
    const Result<FileStatus> status = StatusOf(there.value().get());
    return mine.ok() && status.ok() && SameFile(mine.value(), status.value());
  }
  return false;
}

Result<MqAttributes> AttributesOfMq(int fd) {
  struct mq_attr raw;
  if (syscall(SYS_mq_getsetattr, fd, nullptr, &raw) != 0) return LastError("mq_getattr");
  MqAttributes attributes;
  attributes.limits = {raw.mq_maxmsg, raw.mq_msgsize};
  attributes.messages = raw.mq_curmsgs;
  attributes.non_blocking = (raw.mq_flags & O_NONBLOCK) != 0;
  return attributes;
}

Result<void> SetMqNonBlocking(int fd, bool non_blocking) {
  struct mq_attr change = {};
  change.mq_flags = non_blocking ? O_NONBLOCK : 0;
  if (syscall(SYS_mq_getsetattr, fd, &change, nullptr) != 0) return LastError("mq_setattr");
  return {};
}

Result<Moved> SendToMq(int fd, const void* data, size_t length, uint32_t priority) {
  struct timespec over = {};  // writable: QEMU writes it back, and says EFAULT where it can't
  const long sent =
      RetryOnEintr([&] { return syscall(SYS_mq_timedsend, fd, data, length, priority, &over); });
  if (sent == 0) return Moved(length);
  return ToMovedInTime(sent, "mq_send");
}

Result<Moved> ReceiveFromMq(int fd, void* data, size_t length, uint32_t* priority) {
  struct timespec over = {};  // writable, as above
  const long received =
      RetryOnEintr([&] { return syscall(SYS_mq_timedreceive, fd, data, length, priority, &over); });
  return ToMovedInTime(received, "mq_receive");
}

}  // namespace interproc::os
