// How much memory this process could still take, in bytes: what the kernel calls available plus
// free swap, or less where a cgroup (a container's limit) allows less. An estimate, for refusing
// what can't be had; any thread may ask.
#ifndef INTERPROC_OS_AVAILABLE_MEMORY_H_
#define INTERPROC_OS_AVAILABLE_MEMORY_H_

#include <cstdint>

namespace interproc::os {

// UINT64_MAX where /proc is not mounted.
uint64_t AvailableMemory();

}  // namespace interproc::os

#endif  // INTERPROC_OS_AVAILABLE_MEMORY_H_
