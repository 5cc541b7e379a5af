#include "os/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "os/sysv_shm.h"

#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

namespace interproc::os {
namespace {

constexpr int kZeroPages = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

size_t RoundUp(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

using Stores = GuardedRange::Stores;

// The least of the huge page sizes of any architecture, which the start of a huge page is a
// multiple of (the smallest of arm64 is 64 KiB).
constexpr uintptr_t kHugeAlignment = uintptr_t{64} << 10;

// The unit in which the kernel has mapped what begins at `base`: a System V segment says nowhere
// else that it is made of huge pages (SHM_HUGETLB).
size_t PageSizeAt(const void* base) {
  const auto usual = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (reinterpret_cast<uintptr_t>(base) % kHugeAlignment != 0) return usual;
  const std::unique_ptr<FILE, int (*)(FILE*)> smaps(fopen("/proc/self/smaps", "re"), fclose);
  if (smaps == nullptr) return usual;
  static constexpr char kLabel[] = "KernelPageSize:";  // in KiB
  char line[512];
  bool ours = false;
  while (fgets(line, sizeof(line), smaps.get()) != nullptr) {
    char* behind = line;
    const uintptr_t begin = std::strtoull(line, &behind, 16);
    if (behind != line && *behind == '-') {
      ours = begin == reinterpret_cast<uintptr_t>(base);
    } else if (ours && std::strncmp(line, kLabel, sizeof(kLabel) - 1) == 0) {
      return std::strtoull(line + sizeof(kLabel) - 1, nullptr, 10) << 10;
    }
  }
  return usual;
}

}  // namespace

Result<Ref<Mapping>> Mapping::OfFile(const Ref<MemoryFile>& file, uint64_t offset, size_t length) {
  Ref<Mapping> mapping = Ref<Mapping>::Adopt(new Mapping());
  mapping->file_ = file;
  mapping->read_only_ = file->read_only();
  mapping->page_size_ = file->page_size();
  mapping->lead_ = offset % mapping->page_size_;
  mapping->offset_ = offset - mapping->lead_;
  mapping->length_ = length;
  mapping->mapped_length_ = RoundUp(mapping->lead_ + length, mapping->page_size_);
  const auto map = [&](int protection, int flags) {
    return mmap(nullptr, mapping->mapped_length_, protection, flags, file->fd(),
                static_cast<off_t>(mapping->offset_));
  };
  void* base;
  if (!file->read_only()) {
    base = map(PROT_READ | PROT_WRITE, MAP_SHARED);
  } else {
    mapping->stores_ = Stores::kPrivate;
    base = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE);
    // With vm.overcommit_memory=2 the kernel counts every page that could be copied: let the guard
    // copy those that are. Only of a descriptor that can't write: else the guard could not tell.
    const bool cannot_write = (fcntl(file->fd(), F_GETFL) & O_ACCMODE) == O_RDONLY;
    if (base == MAP_FAILED && cannot_write) {
      mapping->stores_ = Stores::kProtected;
      base = map(PROT_READ, MAP_SHARED);
    }
  }
  if (base == MAP_FAILED) return LastError("mmap");
  mapping->base_ = static_cast<char*>(base);
  mapping->guard_ = mapping->Guard(mapping->base_, mapping->stores_);
  if (mapping->guard_ == nullptr) return Error{ENOMEM, "mmap"};
  return mapping;
}

Result<Ref<Mapping>> Mapping::OfSysv(int id, bool read_only) {
  void* base = shmat(id, nullptr, read_only ? SHM_RDONLY : 0);
  if (base == reinterpret_cast<void*>(-1)) return LastError("shmat");
  // After the attach: now the segment can't go away.
  Result<SysvShmStatus> status = StatSysvShm(id);
  if (!status.ok()) {
    shmdt(base);
    return status.error();
  }
  Ref<Mapping> mapping = Ref<Mapping>::Adopt(new Mapping());
  mapping->sysv_id_ = id;
  mapping->read_only_ = read_only;
  mapping->stores_ = read_only ? Stores::kProtected : Stores::kShared;
  mapping->base_ = static_cast<char*>(base);
  mapping->page_size_ = PageSizeAt(base);
  mapping->length_ = status.value().size;
  mapping->mapped_length_ = RoundUp(mapping->length_, mapping->page_size_);
  mapping->guard_ = mapping->Guard(mapping->base_, mapping->stores_);
  if (mapping->guard_ == nullptr) return Error{ENOMEM, "shmat"};
  return mapping;
}

Result<Ref<Mapping>> Mapping::Part(size_t offset, size_t length) const {
  if (sysv_id_ < 0) return OfFile(file_, offset_ + lead_ + offset, length);
  // A segment is attached whole.
  Result<Ref<Mapping>> mapping = OfSysv(sysv_id_, read_only_);
  if (mapping.ok()) {
    mapping.value()->lead_ = lead_ + offset;
    mapping.value()->length_ = length;
  }
  return mapping;
}

GuardEntry* Mapping::Guard(char* base, Stores stores) const {
  GuardedRange range;
  range.address = base;
  range.length = mapped_length_;
  range.page_size = page_size_;
  range.fd = file_ ? file_->fd() : -1;
  range.offset = offset_;
  range.stores = stores;
  return RegisterRange(range);
}

Mapping::~Mapping() {
  Close();
  if (cover_guard_ != nullptr) UnregisterRange(cover_guard_);
  if (base_ != nullptr) munmap(base_, mapped_length_);
}

Fault Mapping::fault() const {
  if (closed()) return Fault::kNone;
  const Fault fault = FaultOf(guard_);
  return fault == Fault::kNone && twin_ ? twin_->fault() : fault;
}

void Mapping::Close() {
  if (closed_.exchange(true)) return;
  if (base_ != nullptr && exposed_) CoverWithZeros();
  twin_ = Ref<Twin>();
  if (guard_ != nullptr) UnregisterRange(guard_);
  file_ = Ref<MemoryFile>();
}

// In one step, so that a thread which is inside the range sees bytes or zeros, no gap.
void Mapping::CoverWithZeros() {
  if (mmap(base_, mapped_length_, PROT_READ | PROT_WRITE, MAP_FIXED | kZeroPages, -1, 0) !=
      MAP_FAILED) {
    return;
  }
  // vm.overcommit_memory=2 counts writable pages, used or not. Zeros to be read cost nothing, and
  // the guard, which has to know before, gives a page of its own to each store.
  cover_guard_ = Guard(base_, Stores::kProtected);
  (void)mmap(base_, mapped_length_, PROT_READ, MAP_FIXED | kZeroPages, -1, 0);
}

Mapping::Pages Mapping::PagesOf(char* base, size_t offset, size_t length) const {
  const size_t first = (lead_ + offset) / page_size_ * page_size_;
  return Pages{base + first, RoundUp(lead_ + offset + length - first, page_size_)};
}

Twin::~Twin() {
  UnregisterRange(guard_);
  munmap(base_, length_);
}

Result<Twin*> Mapping::NeedTwin() {
  if (twin_) return twin_.get();
  void* base;
  if (sysv_id_ >= 0) {
    base = shmat(sysv_id_, nullptr, SHM_RDONLY);
    if (base == reinterpret_cast<void*>(-1)) return LastError("shmat");
  } else {
    base = mmap(nullptr, mapped_length_, PROT_READ, MAP_SHARED, file_->fd(),
                static_cast<off_t>(offset_));
    if (base == MAP_FAILED) return LastError("mmap");
  }
  GuardEntry* guard = Guard(static_cast<char*>(base), Stores::kPrivate);
  if (guard == nullptr) {
    munmap(base, mapped_length_);
    return Error{ENOMEM, "mmap"};
  }
  twin_ = Ref<Twin>::Adopt(new Twin(static_cast<char*>(base), mapped_length_, guard));
  return twin_.get();
}

Result<char*> Mapping::SharedBase() {
  // A System V segment attached read-only is shared already.
  if (!read_only_ || sysv_id_ >= 0) return base_;
  Result<Twin*> twin = NeedTwin();
  if (!twin.ok()) return twin.error();
  return twin.value()->base();
}

// A page that can't be had is EFAULT to madvise, and to mlock ENOMEM, which RLIMIT_MEMLOCK is too.
Error Mapping::AboutMissingPage(Error error, size_t end) const {
  if (!file_ || (error.number != EFAULT && error.number != ENOMEM)) return error;
  const Result<FileStatus> status = StatusOf(file_->fd());
  if (!status.ok()) return error;
  const uint64_t size = status.value().size;
  if (RoundUp(offset_ + lead_ + end, page_size_) > RoundUp(size, page_size_)) {
    ReportFault(guard_, Fault::kTruncated);
    return Error{EFAULT, error.syscall};
  }
  struct statfs fs;
  const bool full = fstatfs(file_->fd(), &fs) == 0 && fs.f_blocks != 0 && fs.f_bavail == 0;
  if (full && status.value().allocated < size) return Error{ENOSPC, error.syscall};
  return error;
}

Result<void> Mapping::Sync(size_t offset, size_t length) const {
  const Pages pages = PagesOf(base_, offset, length);
  if (RetryOnEintr([&] { return msync(pages.address, pages.length, MS_SYNC); }) != 0) {
    return LastError("msync");
  }
  return {};
}

Result<void> Mapping::Lock(size_t offset, size_t length, bool on_fault) {
  Result<char*> base = SharedBase();
  if (!base.ok()) return base.error();
  const Pages pages = PagesOf(base.value(), offset, length);
  // Raw calls: glibc has mlock2 since 2.27, but other C libraries only later, and qemu-user not;
  // and AddressSanitizer makes mlock and munlock do nothing.
  const int64_t failed = on_fault ? syscall(SYS_mlock2, pages.address, pages.length, MLOCK_ONFAULT)
                                  : syscall(SYS_mlock, pages.address, pages.length);
  if (failed == 0) return {};
  const Error error = AboutMissingPage(LastError("mlock"), offset + length);
  // Where pages were missing the rest stays locked.
  if (error.number == ENOSPC || error.number == EFAULT) {
    (void)syscall(SYS_munlock, pages.address, pages.length);
  }
  return error;
}

Result<void> Mapping::Unlock(size_t offset, size_t length) {
  Result<char*> base = SharedBase();
  if (!base.ok()) return base.error();
  const Pages pages = PagesOf(base.value(), offset, length);
  if (syscall(SYS_munlock, pages.address, pages.length) != 0) return LastError("munlock");
  return {};
}

Result<void> Mapping::Advise(size_t offset, size_t length, int advice) {
  Result<char*> base = advice == MADV_POPULATE_READ ? SharedBase() : Result<char*>(base_);
  if (!base.ok()) return base.error();
  const Pages pages = PagesOf(base.value(), offset, length);
  if (RetryOnEintr([&] { return madvise(pages.address, pages.length, advice); }) != 0) {
    return AboutMissingPage(LastError("madvise"), offset + length);
  }
  return {};
}

Result<WaitWord> Mapping::WordAt(size_t offset) {
  Result<Twin*> twin = NeedTwin();
  if (!twin.ok()) return twin.error();
  char* const address = twin.value()->base() + lead_ + offset;
  return WaitWord{twin_, reinterpret_cast<const std::atomic<uint32_t>*>(address)};
}

Result<void> Mapping::Refresh() {
  if (sysv_id_ >= 0) {
    // Attaches once more in the same place, over the copies (man 2 shmat, SHM_REMAP).
    const int flags = SHM_REMAP | (read_only_ ? SHM_RDONLY : 0);
    if (shmat(sysv_id_, base_, flags) == reinterpret_cast<void*>(-1)) return LastError("shmat");
    return {};
  }
  if (!read_only_) return {};
  if (stores_ == Stores::kProtected) {
    if (mmap(base_, mapped_length_, PROT_READ, MAP_FIXED | MAP_SHARED, file_->fd(),
             static_cast<off_t>(offset_)) == MAP_FAILED) {
      return LastError("mmap");
    }
    return {};
  }
  if (madvise(base_, mapped_length_, MADV_DONTNEED) != 0) return LastError("madvise");
  return {};
}

}  // namespace interproc::os
