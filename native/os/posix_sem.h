// POSIX semaphores (man 7 sem_overview), as glibc lays them out: sem_t of C programs is the same.
//
//   offset   0        4        8         12    16                32
//           | value  | waiters | private | 0   | 0              |
//
// `value` and `waiters` are 32-bit words (glibc changes them together as one of 64 bits). Who is
// going to sleep on `value` counts himself in `waiters` first; who adds to `value` looks at
// `waiters` after that, and wakes (man 2 futex) if there are any. What doesn't wait is done by
// lib/semaphore over the mapped words. Who is woken takes his permit here and now, on his thread:
// an event loop may be busy, or its process be killed, and the wake-up was for nobody else.
//
// A named one is a file /dev/shm/sem.NAME.
//
// REQUIRES of every name: one path component, checked by the caller; no leading slash needed.
#ifndef INTERPROC_OS_POSIX_SEM_H_
#define INTERPROC_OS_POSIX_SEM_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "os/blocking_call.h"
#include "os/mapping.h"
#include "os/memory_file.h"

namespace interproc::os {

constexpr size_t kSemSize = 32;
constexpr size_t kSemValue = 0;
constexpr size_t kSemWaiters = 4;
constexpr size_t kSemPrivate = 8;  // never 0 in one that processes share

// man 3 sem_init, for all processes that map it. REQUIRES kSemSize bytes, aligned to 8.
void InitPosixSem(void* memory, uint32_t value);

// Sleeps while there is no permit, as sem_wait does: until it is woken, or `timeout_ns` are over
// (ETIMEDOUT); 0 = for ever. EAGAIN: there is one. EFAULT: the memory is gone. EINTR. REQUIRES
// kSemSize bytes at the start of the mapping.
Result<void> SleepOnPosixSem(const Mapping& mapping, uint64_t timeout_ns);

// man 3 sem_wait, on the thread of a call that can be taken back. The number is 1 when a permit was
// taken, 0 where the memory is gone. Same REQUIRES, and that nobody else uses this mapping: what JS
// sees shows zeros of its own once its env ends.
Outcome AcquirePosixSem(const BlockingCall& call, const Mapping& mapping);
// man 3 sem_post, of one permit. Same REQUIRES.
void ReleasePosixSem(const Mapping& mapping);

// man 3 sem_open. It appears complete (owner, mode, value) or not at all; EEXIST.
Result<Ref<MemoryFile>> CreatePosixSem(const std::string& name, uint32_t value,
                                       const Access& access);
// EINVAL where the file is no semaphore.
Result<Ref<MemoryFile>> OpenPosixSem(const std::string& name);
Result<FileStatus> StatPosixSem(const std::string& name);
// Of one that may be looked at; EACCES.
Result<uint32_t> ValueOfPosixSem(const std::string& name);
// man 3 sem_unlink
Result<void> UnlinkPosixSem(const std::string& name);
std::string PosixSemPath(const std::string& name);
// Names of all of them, without slash.
Result<std::vector<std::string>> ListPosixSem();

}  // namespace interproc::os

#endif  // INTERPROC_OS_POSIX_SEM_H_
