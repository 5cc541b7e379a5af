// Files of any file system, to be mapped (man 2 open, man 2 mmap).
#ifndef INTERPROC_OS_MAPPED_FILE_H_
#define INTERPROC_OS_MAPPED_FILE_H_

#include <string>

#include "os/memory_file.h"

namespace interproc::os {

Result<Ref<MemoryFile>> CreateMappedFile(const std::string& path, const Access& access,
                                         uint64_t size, Pages pages);
Result<Ref<MemoryFile>> OpenMappedFile(const std::string& path, bool read_only);
Result<void> UnlinkMappedFile(const std::string& path);

}  // namespace interproc::os

#endif  // INTERPROC_OS_MAPPED_FILE_H_
