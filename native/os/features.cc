#include "os/features.h"

#include <fcntl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

#include "os/memfd.h"
#include "os/mq_notice.h"
#include "os/protocol.h"
#include "os/unix_socket.h"

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

namespace interproc::os {
namespace {

// The call is there, and what it was to make was refused for want of room alone.
bool ForWantOfRoom(const Error& error) {
  return error.number == EMFILE || error.number == ENFILE || error.number == ENOMEM ||
         error.number == ENOBUFS;
}

bool Makes(const Result<UniqueFd>& made) { return made.ok() || ForWantOfRoom(made.error()); }

}  // namespace

bool HasPosixShm() { return access("/dev/shm", W_OK | X_OK) == 0; }

bool HasMemfd() {
  // Flags that no kernel knows.
  return syscall(SYS_memfd_create, "", ~0U) == -1 && errno == EINVAL;
}

bool HasSysvShm() {
  // No segment has 0 bytes.
  return shmget(IPC_PRIVATE, 0, 0600) == -1 && errno == EINVAL;
}

bool HasSysvMq() {
  // Only looks: any key would do.
  return msgget(INT_MAX, 0) != -1 || errno == ENOENT || errno == EACCES;
}

bool HasSysvMqCopy() {
  // Whether it can copy is asked before the queue is looked for, which nobody has: ids go up to
  // 2^31 only after as many queues.
  char message[sizeof(long)];
  return msgrcv(INT_MAX, message, 0, 0, MSG_COPY | IPC_NOWAIT) == -1 &&
         (errno == EINVAL || errno == EIDRM || errno == ENOMSG);
}

bool HasSysvSem() {
  // No set has -1 semaphores.
  return semget(IPC_PRIVATE, -1, 0600) == -1 && errno == EINVAL;
}

bool HasUnixSocket() { return Makes(CreateSocket(SOCK_STREAM)); }

bool HasMqNotify() {
  if (syscall(SYS_mq_notify, -1, nullptr) != -1 || errno != EBADF) return false;
  return Makes(OpenNoticeSocket());
}

bool HasOwnerLocks() {
  // Of a file that the kernel keeps itself: other file systems may still refuse.
  const UniqueFd fd(open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
  return fd.valid() && interproc__lock(fd.get(), F_OFD_GETLK, F_RDLCK, 0) == 0;
}

bool HasSeal(int seal) {
  const Result<Ref<MemoryFile>> file = CreateMemfd("interproc", Access{}, 1, Pages::kSparse);
  return file.ok() && file.value()->AddSeals(seal).ok();
}

bool HasAdvice(int advice) {
  // man 2 madvise: no bytes at all, to ask.
  return madvise(nullptr, 0, advice) == 0;
}

}  // namespace interproc::os
