#include "os/posix_shm.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <utility>

namespace interproc::os {
namespace {

constexpr char kDirectory[] = "/dev/shm/";

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

Result<std::vector<std::string>> ListFiles(bool semaphores) {
  std::unique_ptr<DIR, CloseDirectory> directory(opendir(kDirectory));
  if (directory == nullptr) return LastError("opendir");
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread has this directory
    const struct dirent* entry = readdir(directory.get());
    if (entry == nullptr) break;
    std::string name = entry->d_name;
    const bool is_semaphore = name.compare(0, sizeof(kSemaphorePrefix) - 1, kSemaphorePrefix) == 0;
    if (is_semaphore == semaphores && entry->d_type == DT_REG) names.push_back(std::move(name));
  }
  if (errno != 0) return LastError("readdir");
  return names;
}

}  // namespace

std::string PosixShmPath(const std::string& name) {
  return kDirectory + (name.compare(0, 1, "/") == 0 ? name.substr(1) : name);
}

Result<Ref<MemoryFile>> CreatePosixShm(const std::string& name, const Access& access, uint64_t size,
                                       Pages pages) {
  Result<UniqueFd> fd = CreateExclusively(PosixShmPath(name), access, size, pages, "shm_open");
  if (!fd.ok()) return fd.error();
  return Ref<MemoryFile>::Adopt(new MemoryFile(std::move(fd.value()), false));
}

Result<Ref<MemoryFile>> OpenPosixShm(const std::string& name, bool read_only) {
  Result<UniqueFd> fd = OpenRegular(PosixShmPath(name), read_only, O_NOFOLLOW, "shm_open");
  if (!fd.ok()) return fd.error();
  return Ref<MemoryFile>::Adopt(new MemoryFile(std::move(fd.value()), read_only));
}

Result<FileStatus> StatPosixShm(const std::string& name) {
  return StatusOf(PosixShmPath(name), "stat");
}

Result<void> UnlinkPosixShm(const std::string& name) {
  if (unlink(PosixShmPath(name).c_str()) != 0) return LastError("shm_unlink");
  return {};
}

Result<std::vector<std::string>> ListPosixShm() { return ListFiles(false); }

Result<std::vector<std::string>> ListSemaphoreFiles() { return ListFiles(true); }

}  // namespace interproc::os
