// The fault guard: keeps a process alive whose mapping has no page behind it any more.
//
// SIGBUS: another process truncated the object, or its file system is full. The handler puts zero
// pages over the hole and marks the mapping; the interrupted instruction then goes on. SIGSEGV:
// a store into a System V segment attached read-only. The handler puts a private copy of the page
// in its place, which is what MAP_PRIVATE does for mappings of files. Faults anywhere else go to
// the handler that was there before.
//
// Thread safety: Register, Unregister and FaultOf from any thread; the handler takes no lock and
// allocates nothing. Entries are never freed, only used again.
#ifndef INTERPROC_OS_FAULT_GUARD_H_
#define INTERPROC_OS_FAULT_GUARD_H_

#include <cstddef>
#include <cstdint>

namespace interproc::os {

enum class Fault : uint32_t {
  kNone = 0,
  kTruncated = 1,  // the object had become shorter than the mapping
  kUnbacked = 2,   // no page could be had: the file system was full, or reading failed
};

struct GuardedRange {
  enum class Stores {
    kShared,     // stores reach the object
    kPrivate,    // MAP_PRIVATE: the kernel gives a store its own copy of the page
    kProtected,  // mapped PROT_READ: the guard gives a store its own copy of the page
  };

  void* address = nullptr;
  size_t length = 0;  // whole pages
  size_t page_size = 0;
  int fd = -1;  // asked for the object's size; -1 where the object can't shrink
  uint64_t offset = 0;
  Stores stores = Stores::kShared;
};

struct GuardEntry;

// Installs the handlers too, again if somebody has replaced them meanwhile. Null when there is no
// memory left.
GuardEntry* RegisterRange(const GuardedRange& range);
// After this the handler doesn't know the range. REQUIRES that nothing can fault there any more.
void UnregisterRange(GuardEntry* entry);

Fault FaultOf(const GuardEntry* entry);
// For a fault that a system call ran into: the kernel says so where a load would have died.
void ReportFault(GuardEntry* entry, Fault fault);

// Puts the handlers back where `process.on('SIGBUS')`, say, replaced them.
void KeepHandlersInstalled();

}  // namespace interproc::os

#endif  // INTERPROC_OS_FAULT_GUARD_H_
