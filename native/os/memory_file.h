// MemoryFile: an open object that can be mapped: a POSIX shared-memory object, a memfd or a file.
// They differ in how they are named and made (posix_shm.h, memfd.h, mapped_file.h); from then on
// they are one thing: a descriptor with a size.
//
// Thread safety: the descriptor never changes while a reference is held, so any thread may call
// const methods.
#ifndef INTERPROC_OS_MEMORY_FILE_H_
#define INTERPROC_OS_MEMORY_FILE_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "os/access.h"
#include "os/file_status.h"
#include "os/ref_counted.h"
#include "os/result.h"
#include "os/unique_fd.h"

namespace interproc::os {

// Whether pages are taken now (a full file system is an error here and now) or on first touch.
enum class Pages { kReserved, kSparse };

class MemoryFile : public RefCounted<MemoryFile> {
 public:
  MemoryFile(UniqueFd fd, bool read_only);

  // A descriptor from somewhere else: it is duplicated, the caller keeps his own. It is opened
  // read-only where it can't be written (access mode, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE) or where
  // the caller asks for that. ENODEV for what is no file, EACCES for a write-only descriptor.
  static Result<Ref<MemoryFile>> Duplicate(int fd, bool read_only);

  int fd() const { return fd_.get(); }
  bool read_only() const { return read_only_; }
  // The unit in which this object is mapped: huge on hugetlbfs, else the system's page.
  size_t page_size() const { return page_size_; }

  // Changes the size. Growing with kReserved either gets all pages or changes nothing.
  Result<void> Resize(uint64_t size, Pages pages) const;

  // Whether both are descriptors of one object.
  bool SameAs(const MemoryFile& other) const;
  // Whether `path` leads to this very object.
  bool LinkedAt(const std::string& path) const;

  // man 2 fcntl, "File Sealing". EINVAL where the object knows no seals.
  Result<int> Seals() const;
  Result<void> AddSeals(int seals) const;

 private:
  UniqueFd fd_;
  bool read_only_;
  size_t page_size_;
};

// Sets owner, mode and size of a just-made, still empty object.
Result<void> Prepare(int fd, const Access& access, uint64_t size, Pages pages);

// Fills in a new file, which nobody can find yet.
using FillFile = std::function<Result<void>(int fd)>;

// Makes a regular file at `path` that appears there complete (owner, mode, size, what `fill` wrote)
// or not at all; EEXIST if the path is taken. `syscall` names the call that errors speak of.
Result<UniqueFd> CreateExclusively(const std::string& path, const Access& access, uint64_t size,
                                   Pages pages, const char* syscall, const FillFile& fill = {});

// Opens a regular file; ENODEV for anything else, without waiting for the other end of a FIFO.
Result<UniqueFd> OpenRegular(const std::string& path, bool read_only, int extra_flags,
                             const char* syscall);

}  // namespace interproc::os

#endif  // INTERPROC_OS_MEMORY_FILE_H_
