#include "os/mapped_file.h"

#include <unistd.h>

#include <utility>

namespace interproc::os {

Result<Ref<MemoryFile>> CreateMappedFile(const std::string& path, const Access& access,
                                         uint64_t size, Pages pages) {
  Result<UniqueFd> fd = CreateExclusively(path, access, size, pages, "open");
  if (!fd.ok()) return fd.error();
  return Ref<MemoryFile>::Adopt(new MemoryFile(std::move(fd.value()), false));
}

Result<Ref<MemoryFile>> OpenMappedFile(const std::string& path, bool read_only) {
  Result<UniqueFd> fd = OpenRegular(path, read_only, 0, "open");
  if (!fd.ok()) return fd.error();
  return Ref<MemoryFile>::Adopt(new MemoryFile(std::move(fd.value()), read_only));
}

Result<void> UnlinkMappedFile(const std::string& path) {
  if (unlink(path.c_str()) != 0) return LastError("unlink");
  return {};
}

}  // namespace interproc::os
