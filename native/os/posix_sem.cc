#include "os/posix_sem.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <utility>

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

}  // namespace

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
