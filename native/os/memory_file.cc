#include "os/memory_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <utility>

#include "os/available_memory.h"
#include "os/draft.h"
#include "os/resource_limit.h"

namespace interproc::os {
namespace {

// Below this an allocation can't hurt the machine, and looking first would cost more than it saves.
constexpr uint64_t kLookBeforeReserving = uint64_t{64} << 20;
constexpr int kWriteSeals = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
constexpr uint64_t kReserveStepLeast = uint64_t{1} << 20;

size_t PageSizeOf(int fd) {
  struct statfs fs;
  if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC) return fs.f_bsize;
  return static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// A tmpfs without a limit (every memfd lives in one) would take memory until the OOM killer comes:
// ask first whether so much is there.
Result<void> CheckRoom(int fd, uint64_t bytes) {
  struct statfs fs;
  if (fstatfs(fd, &fs) != 0) return LastError("fstatfs");
  const bool limited = fs.f_blocks != 0 && fs.f_bsize != 0;
  if (limited && bytes / fs.f_bsize > fs.f_bavail) return Error{ENOSPC, "fallocate"};
  if (fs.f_type == TMPFS_MAGIC && bytes > AvailableMemory()) return Error{ENOMEM, "fallocate"};
  return {};
}

// Backs [from, to) with pages and, where the file system can, leaves the size alone.
Result<void> Reserve(int fd, uint64_t from, uint64_t to) {
  if (to - from >= kLookBeforeReserving) {
    Result<void> room = CheckRoom(fd, to - from);
    if (!room.ok()) return room;
  }
  // tmpfs gives back all of a call that a signal interrupts: go in ever smaller steps then, so that
  // a process with a frequent timer signal gets on.
  uint64_t step = to - from;
  while (from < to) {
    const uint64_t length = std::min(step, to - from);
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from), static_cast<off_t>(length)) ==
        0) {
      from += length;
    } else if (errno == EINTR) {
      step = std::max(step / 2, kReserveStepLeast);
    } else if (errno == EOPNOTSUPP) {
      // glibc writes a byte into each block instead.
      const int failed =
          posix_fallocate(fd, static_cast<off_t>(from), static_cast<off_t>(to - from));
      if (failed != 0) return Error{failed, "fallocate"};
      return {};
    } else {
      return LastError("fallocate");
    }
  }
  return {};
}

// Past RLIMIT_FSIZE the kernel would end the process with SIGXFSZ before it returns an error.
Result<void> CheckFileSizeLimit(uint64_t size) {
  const Result<uint64_t> limit = SoftLimitOf(RLIMIT_FSIZE);
  if (limit.ok() && size > limit.value()) return Error{EFBIG, "fallocate"};
  return {};
}

Result<void> Truncate(int fd, uint64_t size) {
  if (RetryOnEintr([&] { return ftruncate(fd, static_cast<off_t>(size)); }) != 0) {
    return LastError("ftruncate");
  }
  return {};
}

// Gives the nameless file behind `fd` a name. AT_EMPTY_PATH would need a capability.
bool LinkAt(int fd, const std::string& path) {
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  return linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

// The kernel shows a file that was nameless once as deleted for ever, in /proc/PID/maps, lsof and
// fuser. A descriptor opened by the name is shown by it, so take that, if it is the same file and
// its mode lets us.
UniqueFd ReopenByName(UniqueFd nameless, const std::string& path, int flags) {
  UniqueFd named(RetryOnEintr([&] { return open(path.c_str(), flags | O_NOFOLLOW | O_NONBLOCK); }));
  if (!named.valid()) return nameless;
  const Result<FileStatus> mine = StatusOf(nameless.get());
  const Result<FileStatus> there = StatusOf(named.get());
  return mine.ok() && there.ok() && SameFile(mine.value(), there.value()) ? std::move(named)
                                                                          : std::move(nameless);
}

Result<void> PrepareAndFill(int fd, const Access& access, uint64_t size, Pages pages,
                            const FillFile& fill) {
  Result<void> prepared = Prepare(fd, access, size, pages);
  if (!prepared.ok() || !fill) return prepared;
  return fill(fd);
}

// For a file system without O_TMPFILE, or no /proc to link from: the file is made under another
// name and gets its own when it is complete. A process that is killed before that leaves the other
// name.
Result<UniqueFd> CreateAndRename(const std::string& path, const Access& access, uint64_t size,
                                 Pages pages, const char* syscall_name, const FillFile& fill) {
  Result<std::string> named = DraftOf(path);
  if (!named.ok()) return named.error();
  const std::string& draft = named.value();
  UniqueFd fd(RetryOnEintr([&] {
    return open(draft.c_str(), O_RDWR | O_CLOEXEC | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  }));
  if (!fd.valid()) return LastError(syscall_name);
  Result<void> done = PrepareAndFill(fd.get(), access, size, pages, fill);
  if (done.ok() && RenameExclusively(draft, path)) return fd;
  if (done.ok()) done = LastError(syscall_name);
  unlink(draft.c_str());
  return done.error();
}

}  // namespace

MemoryFile::MemoryFile(UniqueFd fd, bool read_only)
    : fd_(std::move(fd)), read_only_(read_only), page_size_(PageSizeOf(fd_.get())) {}

Result<Ref<MemoryFile>> MemoryFile::Duplicate(int fd, bool read_only) {
  Result<UniqueFd> duplicate = DuplicateFd(fd);
  if (!duplicate.ok()) return duplicate.error();
  UniqueFd own = std::move(duplicate.value());
  Result<FileStatus> status = StatusOf(own.get());
  if (!status.ok()) return status.error();
  if (!S_ISREG(status.value().type)) return Error{ENODEV, "mmap"};
  const int flags = fcntl(own.get(), F_GETFL);
  // An O_PATH descriptor names a file and opens nothing.
  if ((flags & O_PATH) != 0) return Error{EBADF, "mmap"};
  const int access = flags & O_ACCMODE;
  if (access == O_WRONLY) return Error{EACCES, "mmap"};
  const int seals = fcntl(own.get(), F_GET_SEALS);
  const bool sealed = seals > 0 && (seals & kWriteSeals) != 0;
  return Ref<MemoryFile>::Adopt(
      new MemoryFile(std::move(own), read_only || access == O_RDONLY || sealed));
}

Result<void> MemoryFile::Resize(uint64_t size, Pages pages) const {
  Result<FileStatus> status = StatusOf(fd());
  if (!status.ok()) return status.error();
  const uint64_t old_size = status.value().size;
  if (size > old_size) {
    Result<void> allowed = CheckFileSizeLimit(size);
    if (!allowed.ok()) return allowed;
  }
  if (size > old_size && pages == Pages::kReserved) {
    Result<void> reserved = Reserve(fd(), old_size, size);
    if (!reserved.ok()) {
      if (reserved.error().number != EOPNOTSUPP) {
        // Gives back what was reserved behind the end, unless somebody else has moved that
        // meanwhile.
        const Result<FileStatus> now = StatusOf(fd());
        if (now.ok() && now.value().size == old_size) (void)Truncate(fd(), old_size);
        return reserved;
      }
      // The file system can't reserve: glibc writes a byte into each block instead.
      const int failed =
          posix_fallocate(fd(), static_cast<off_t>(old_size), static_cast<off_t>(size - old_size));
      if (failed != 0) {
        (void)Truncate(fd(), old_size);
        return Error{failed, "fallocate"};
      }
    }
  }
  return Truncate(fd(), size);
}

bool MemoryFile::SameAs(const MemoryFile& other) const {
  const Result<FileStatus> mine = StatusOf(fd());
  const Result<FileStatus> there = StatusOf(other.fd());
  return mine.ok() && there.ok() && SameFile(mine.value(), there.value());
}

bool MemoryFile::LinkedAt(const std::string& path) const {
  Result<FileStatus> mine = StatusOf(fd());
  Result<FileStatus> there = StatusBehind(path, "stat");
  return mine.ok() && there.ok() && mine.value().links > 0 && SameFile(mine.value(), there.value());
}

Result<int> MemoryFile::Seals() const {
  const int seals = fcntl(fd(), F_GET_SEALS);
  if (seals < 0) return LastError("fcntl");
  return seals;
}

Result<void> MemoryFile::AddSeals(int seals) const {
  if (fcntl(fd(), F_ADD_SEALS, seals) != 0) return LastError("fcntl");
  return {};
}

Result<void> Prepare(int fd, const Access& access, uint64_t size, Pages pages) {
  if (size > 0) {
    Result<void> allowed = CheckFileSizeLimit(size);
    if (!allowed.ok()) return allowed;
    if (pages == Pages::kReserved) {
      Result<void> reserved = Reserve(fd, 0, size);
      if (!reserved.ok()) return reserved;
    }
    Result<void> sized = Truncate(fd, size);
    if (!sized.ok()) return sized;
  }
  // Last: for users without privileges a new size clears set-id bits.
  return SetAccess(fd, access);
}

Result<UniqueFd> CreateExclusively(const std::string& path, const Access& access, uint64_t size,
                                   Pages pages, const char* syscall, const FillFile& fill) {
  // Said before pages are taken for nothing; the link below is what decides.
  if (StatusOf(path, syscall).ok()) return Error{EEXIST, syscall};
  const int flags = O_RDWR | O_CLOEXEC;
  UniqueFd nameless(RetryOnEintr(
      [&] { return open(DirectoryOf(path).c_str(), flags | O_TMPFILE, S_IRUSR | S_IWUSR); }));
  if (nameless.valid()) {
    Result<void> prepared = PrepareAndFill(nameless.get(), access, size, pages, fill);
    if (!prepared.ok()) return prepared.error();
    if (LinkAt(nameless.get(), path)) return ReopenByName(std::move(nameless), path, flags);
    if (errno == EEXIST) return Error{EEXIST, syscall};
    nameless.Reset();
  }
  return CreateAndRename(path, access, size, pages, syscall, fill);
}

Result<UniqueFd> OpenRegular(const std::string& path, bool read_only, int extra_flags,
                             const char* syscall) {
  // O_NONBLOCK: the path may turn out to be a FIFO; a regular file doesn't care.
  const int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  UniqueFd fd(RetryOnEintr([&] { return open(path.c_str(), flags | extra_flags); }));
  // A socket: it can't even be opened.
  if (!fd.valid() && errno == ENXIO) return Error{ENODEV, syscall};
  if (!fd.valid()) return LastError(syscall);
  Result<FileStatus> status = StatusOf(fd.get());
  if (!status.ok()) return status.error();
  if (!S_ISREG(status.value().type)) return Error{ENODEV, syscall};
  return fd;
}

}  // namespace interproc::os
