// Sleeping on 32-bit words of shared memory (man 2 futex; futex_waitv since Linux 5.16). Words are
// shared between processes, never FUTEX_PRIVATE unless said so: the kernel finds the sleepers by
// the page behind the address.
#ifndef INTERPROC_OS_FUTEX_H_
#define INTERPROC_OS_FUTEX_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "os/result.h"

namespace interproc::os {

using FutexWord = std::atomic<uint32_t>;
static_assert(sizeof(FutexWord) == sizeof(uint32_t) && FutexWord::is_always_lock_free);

struct FutexEntry {
  const FutexWord* word;
  uint32_t expected;
  bool is_private;  // a word of this process alone
};

constexpr size_t kFutexEntriesMax = 128;  // FUTEX_WAITV_MAX

// Whether futex_waitv is there: asked once; ENOSYS and a seccomp filter's EPERM both mean no, and
// so does INTERPROC_NO_FUTEX_WAITV=1 in the environment.
bool HasFutexWaitv();

// Sleeps until one of the words is woken; gives its index. EAGAIN: a word differs from what was
// expected. EINTR. ETIMEDOUT after `timeout_ns`; 0 = never. Two words woken at once are reported as
// one: look at all again.
Result<int> FutexWaitAny(const FutexEntry* entries, size_t count, uint64_t timeout_ns = 0);

// Sleeps until the word is woken, or `timeout_ns` are over (ETIMEDOUT); 0 = for ever. EAGAIN,
// EINTR.
Result<void> FutexWait(const FutexWord* word, uint32_t expected, uint64_t timeout_ns);

// Wakes at most `count` sleepers, tells how many.
Result<int> FutexWake(const FutexWord* word, int count);
Result<int> FutexWakePrivate(const FutexWord* word, int count);

}  // namespace interproc::os

#endif  // INTERPROC_OS_FUTEX_H_
