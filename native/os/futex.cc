#include "os/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/environment.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

namespace interproc::os {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr uint32_t kFlagSize32 = 2;     // FUTEX_32 of <linux/futex.h>, which older headers lack
constexpr uint32_t kFlagPrivate = 128;  // FUTEX_PRIVATE_FLAG

// struct futex_waitv of <linux/futex.h>, which headers before 5.16 lack.
struct WaitvEntry {
  uint64_t value;
  uint64_t address;
  uint32_t flags;
  uint32_t reserved;
};

long Futex(const FutexWord* word, int operation, uint32_t value, const struct timespec* timeout) {
  return syscall(SYS_futex, word, operation, value, timeout, nullptr, 0);
}

bool ProbeWaitv() {
  if (IsSwitchedOn("INTERPROC_NO_FUTEX_WAITV")) return false;
  // No entries: EINVAL from a kernel that knows the call.
  return syscall(SYS_futex_waitv, nullptr, 0, 0, nullptr, CLOCK_MONOTONIC) == -1 && errno == EINVAL;
}

Result<int> Wake(const FutexWord* word, int operation, int count) {
  const long woken = Futex(word, operation, static_cast<uint32_t>(count), nullptr);
  if (woken < 0) return LastError("futex");
  return static_cast<int>(woken);
}

}  // namespace

bool HasFutexWaitv() {
  static const bool has = ProbeWaitv();
  return has;
}

Result<int> FutexWaitAny(const FutexEntry* entries, size_t count, uint64_t timeout_ns) {
  WaitvEntry raw[kFutexEntriesMax];
  for (size_t index = 0; index < count; ++index) {
    const FutexEntry& entry = entries[index];
    raw[index] = {entry.expected, reinterpret_cast<uintptr_t>(entry.word),
                  kFlagSize32 | (entry.is_private ? kFlagPrivate : 0), 0};
  }
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  const uint64_t end_ns = static_cast<uint64_t>(until.tv_nsec) + timeout_ns;
  until.tv_sec += static_cast<time_t>(end_ns / kNsPerSecond);
  until.tv_nsec = static_cast<long>(end_ns % kNsPerSecond);
  const long index =
      syscall(SYS_futex_waitv, raw, count, 0, timeout_ns == 0 ? nullptr : &until, CLOCK_MONOTONIC);
  if (index < 0) return LastError("futex_waitv");
  return static_cast<int>(index);
}

Result<void> FutexWait(const FutexWord* word, uint32_t expected, uint64_t timeout_ns) {
  struct timespec timeout;
  timeout.tv_sec = static_cast<time_t>(timeout_ns / kNsPerSecond);
  timeout.tv_nsec = static_cast<long>(timeout_ns % kNsPerSecond);
  if (Futex(word, FUTEX_WAIT, expected, timeout_ns == 0 ? nullptr : &timeout) != 0) {
    return LastError("futex");
  }
  return {};
}

Result<int> FutexWake(const FutexWord* word, int count) { return Wake(word, FUTEX_WAKE, count); }

Result<int> FutexWakePrivate(const FutexWord* word, int count) {
  return Wake(word, FUTEX_WAKE_PRIVATE, count);
}

}  // namespace interproc::os
