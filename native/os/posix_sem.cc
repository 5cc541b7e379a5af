#include "os/posix_sem.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "os/futex.h"
#include "os/posix_shm.h"

namespace interproc::os {
namespace {

struct Layout {
  uint32_t value;
  uint32_t waiters;
  uint32_t is_private;  // to be mixed into the flags of the futex call
  uint32_t rest[5];
};
static_assert(sizeof(Layout) == kSemSize && offsetof(Layout, waiters) == kSemWaiters &&
              offsetof(Layout, is_private) == kSemPrivate);

constexpr uint32_t kShared = 128;  // FUTEX_PRIVATE_FLAG taken out again

FutexWord* WordAt(const Mapping& mapping, size_t offset) {
  return reinterpret_cast<FutexWord*>(mapping.data() + offset);
}

bool TryTake(FutexWord* value) {
  uint32_t there = value->load(std::memory_order_relaxed);
  // Pairs with the adding of who releases: what he did before that is seen.
  while (there != 0) {
    if (value->compare_exchange_weak(there, there - 1, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

}  // namespace

Result<void> SleepOnPosixSem(const Mapping& mapping, uint64_t timeout_ns) {
  FutexWord* const waiters = WordAt(mapping, kSemWaiters);
  // Sequentially consistent, as the adding and the look of who releases: one sees the other.
  waiters->fetch_add(1);
  const Result<void> woken = FutexWait(WordAt(mapping, kSemValue), 0, timeout_ns);
  waiters->fetch_sub(1);
  return woken;
}

Outcome AcquirePosixSem(const BlockingCall& call, const Mapping& mapping) {
  FutexWord* const value = WordAt(mapping, kSemValue);
  Outcome outcome;
  for (;;) {
    if (TryTake(value)) {
      outcome.number = 1;
      return outcome;
    }
    if (mapping.fault() != Fault::kNone) return outcome;
    if (call.cancelled()) break;
    const Result<void> woken = SleepOnPosixSem(mapping, 0);
    if (woken.ok() || woken.error().number == EAGAIN || woken.error().number == EINTR) continue;
    // A look at a page that is gone is what marks the mapping.
    (void)value->load(std::memory_order_relaxed);
    if (mapping.fault() == Fault::kNone) outcome.error = woken.error();
    return outcome;
  }
  outcome.error = Error{ECANCELED, "sem_wait"};
  return outcome;
}

void ReleasePosixSem(const Mapping& mapping) {
  FutexWord* const value = WordAt(mapping, kSemValue);
  value->fetch_add(1);
  if (WordAt(mapping, kSemWaiters)->load() != 0) (void)FutexWake(value, 1);
}

void InitPosixSem(void* memory, uint32_t value) {
  const Layout layout = {value, 0, kShared, {}};
  std::memcpy(memory, &layout, sizeof(layout));
}

Result<Ref<MemoryFile>> CreatePosixSem(const std::string& name, uint32_t value,
                                       const Access& access) {
  char bytes[kSemSize];
  InitPosixSem(bytes, value);
  Result<UniqueFd> fd = CreateExclusively(
      PosixSemPath(name), access, kSemSize, Pages::kReserved, "sem_open",
      [&](int file) -> Result<void> {
        if (pwrite(file, bytes, sizeof(bytes), 0) != static_cast<ssize_t>(sizeof(bytes))) {
          return LastError("sem_open");
        }
        return {};
      });
  if (!fd.ok()) return fd.error();
  return Ref<MemoryFile>::Adopt(new MemoryFile(std::move(fd.value()), false));
}

Result<Ref<MemoryFile>> OpenPosixSem(const std::string& name) {
  Result<UniqueFd> fd = OpenRegular(PosixSemPath(name), false, O_NOFOLLOW, "sem_open");
  if (!fd.ok()) return fd.error();
  const Result<FileStatus> status = StatusOf(fd.value().get());
  if (!status.ok()) return status.error();
  if (status.value().size < kSemSize) return Error{EINVAL, "sem_open"};
  return Ref<MemoryFile>::Adopt(new MemoryFile(std::move(fd.value()), false));
}

Result<FileStatus> StatPosixSem(const std::string& name) {
  return StatusOf(PosixSemPath(name), "stat");
}

Result<uint32_t> ValueOfPosixSem(const std::string& name) {
  const Result<UniqueFd> fd = OpenRegular(PosixSemPath(name), true, O_NOFOLLOW, "sem_open");
  if (!fd.ok()) return fd.error();
  uint32_t value = 0;
  if (pread(fd.value().get(), &value, sizeof(value), kSemValue) != sizeof(value)) {
    return Error{EINVAL, "sem_open"};
  }
  return value;
}

Result<void> UnlinkPosixSem(const std::string& name) {
  if (unlink(PosixSemPath(name).c_str()) != 0) return LastError("sem_unlink");
  return {};
}

std::string PosixSemPath(const std::string& name) {
  return PosixShmPath(kSemaphorePrefix + (name.compare(0, 1, "/") == 0 ? name.substr(1) : name));
}

Result<std::vector<std::string>> ListPosixSem() {
  Result<std::vector<std::string>> list = ListSemaphoreFiles();
  if (!list.ok()) return list;
  for (std::string& name : list.value()) name.erase(0, sizeof(kSemaphorePrefix) - 1);
  return list;
}

}  // namespace interproc::os
