// POSIX shared-memory objects (man 7 shm_overview): files of a tmpfs at /dev/shm.
// The calls are made on that directory itself: glibc's shm_open binds at 2.34, and a bare one can
// neither make an object that appears complete nor list.
// REQUIRES of every name: one path component, checked by the caller; no leading slash needed.
#ifndef INTERPROC_OS_POSIX_SHM_H_
#define INTERPROC_OS_POSIX_SHM_H_

#include <string>
#include <vector>

#include "os/memory_file.h"

namespace interproc::os {

std::string PosixShmPath(const std::string& name);

Result<Ref<MemoryFile>> CreatePosixShm(const std::string& name, const Access& access, uint64_t size,
                                       Pages pages);
Result<Ref<MemoryFile>> OpenPosixShm(const std::string& name, bool read_only);
Result<FileStatus> StatPosixShm(const std::string& name);
Result<void> UnlinkPosixShm(const std::string& name);

// Named semaphores live there, too (man 7 sem_overview): their files begin with this.
constexpr char kSemaphorePrefix[] = "sem.";

// Names of all objects, without slash; named semaphores left out.
Result<std::vector<std::string>> ListPosixShm();
// Those of semaphores, as files have them.
Result<std::vector<std::string>> ListSemaphoreFiles();

}  // namespace interproc::os

#endif  // INTERPROC_OS_POSIX_SHM_H_
