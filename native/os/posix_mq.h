// POSIX message queues (man 7 mq_overview). On Linux a queue is a descriptor: it can be polled and
// handed on.
//
// The raw system calls: glibc's mq_open binds at 2.34, and librt is not loaded everywhere. Sending
// and receiving take a deadline that is over already, so that they never wait whatever O_NONBLOCK
// of the description says, which belongs to whoever shares it.
// REQUIRES of every name: one path component, checked by the caller; no leading slash needed.
#ifndef INTERPROC_OS_POSIX_MQ_H_
#define INTERPROC_OS_POSIX_MQ_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "os/access.h"
#include "os/moved.h"
#include "os/result.h"
#include "os/unique_fd.h"

namespace interproc::os {

// Whether the kernel has them: ENOSYS and a seccomp filter's EPERM both mean no.
bool HasPosixMq();

enum class MqUse { kBoth, kReceiving, kSending };

struct MqSizes {
  int64_t messages;      // at most so many
  int64_t message_size;  // bytes
};

struct MqAttributes {
  MqSizes limits{0, 0};
  int64_t messages = 0;  // now
  bool non_blocking = false;
};

// man 3 mq_open. Fails with EEXIST where the name is taken. The mode is exact from the return on,
// and stricter before.
Result<UniqueFd> CreatePosixMq(const std::string& name, MqUse use, const MqSizes& sizes,
                               const Access& access);
Result<UniqueFd> OpenPosixMq(const std::string& name, MqUse use);
// A descriptor from somewhere else, which is duplicated. EBADF where it is of no queue.
Result<UniqueFd> DuplicatePosixMq(int fd);
// man 3 mq_unlink
Result<void> UnlinkPosixMq(const std::string& name);
// Whether the name leads to this very queue.
bool PosixMqLinkedAt(int fd, const std::string& name);

// man 3 mq_getattr
Result<MqAttributes> AttributesOfMq(int fd);
// man 3 mq_setattr
Result<void> SetMqNonBlocking(int fd, bool non_blocking);

// man 3 mq_send. Nothing moved: it is full.
Result<Moved> SendToMq(int fd, const void* data, size_t length, uint32_t priority);
// man 3 mq_receive. Nothing moved: it is empty. EMSGSIZE where `length` is below the queue's
// message size.
Result<Moved> ReceiveFromMq(int fd, void* data, size_t length, uint32_t* priority);

}  // namespace interproc::os

#endif  // INTERPROC_OS_POSIX_MQ_H_
