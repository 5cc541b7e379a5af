// Memory with no name at all (man 2 memfd_create): whoever holds the descriptor can map it.
#ifndef INTERPROC_OS_MEMFD_H_
#define INTERPROC_OS_MEMFD_H_

#include <string>

#include "os/memory_file.h"

namespace interproc::os {

// `label` shows in /proc/PID/fd and maps only. Seals can be added later (MemoryFile::AddSeals).
Result<Ref<MemoryFile>> CreateMemfd(const std::string& label, const Access& access, uint64_t size,
                                    Pages pages);

}  // namespace interproc::os

#endif  // INTERPROC_OS_MEMFD_H_
