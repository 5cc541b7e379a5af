#include "os/mapping.h"

#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

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

size_t SystemPageSize() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

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
  const int flags = file->read_only() ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED;
  void* base = mmap(nullptr, mapping->mapped_length_, PROT_READ | PROT_WRITE, flags, file->fd(),
                    static_cast<off_t>(mapping->offset_));
  if (base == MAP_FAILED) return LastError("mmap");
  mapping->base_ = static_cast<char*>(base);
  if (!mapping->Guard(mapping->offset_)) return Error{ENOMEM, "mmap"};
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
  mapping->base_ = static_cast<char*>(base);
  mapping->page_size_ = SystemPageSize();
  mapping->length_ = status.value().size;
  mapping->mapped_length_ = RoundUp(mapping->length_, mapping->page_size_);
  if (!mapping->Guard(0)) return Error{ENOMEM, "shmat"};
  return mapping;
}

Result<Ref<Mapping>> Mapping::Again() const {
  return sysv_id_ >= 0 ? OfSysv(sysv_id_, read_only_) : OfFile(file_, offset_ + lead_, length_);
}

bool Mapping::Guard(uint64_t offset) {
  GuardedRange range;
  range.address = base_;
  range.length = mapped_length_;
  range.page_size = page_size_;
  range.fd = file_ ? file_->fd() : -1;
  range.offset = offset;
  range.copy_on_store = sysv_id_ >= 0 && read_only_;
  guard_ = RegisterRange(range);
  return guard_ != nullptr;
}

Mapping::~Mapping() {
  Close();
  if (base_ != nullptr) munmap(base_, mapped_length_);
}

Fault Mapping::fault() const { return closed() ? Fault::kNone : FaultOf(guard_); }

void Mapping::Close() {
  if (closed_.exchange(true)) return;
  if (base_ != nullptr && exposed_) {
    // Replaces the range in one step, so a thread that is inside it sees bytes or zeros, no gap. It
    // fails only where the process may have no more mappings, or for huge pages that the length
    // doesn't fill: then the range stays as it is, readable and writable, until the last view goes.
    (void)mmap(base_, mapped_length_, PROT_READ | PROT_WRITE, MAP_FIXED | kZeroPages, -1, 0);
  }
  if (twin_ != nullptr) munmap(twin_, mapped_length_);
  twin_ = nullptr;
  if (guard_ != nullptr) UnregisterRange(guard_);
  guard_ = nullptr;
  file_ = Ref<MemoryFile>();
}

Mapping::Pages Mapping::PagesOf(char* base, size_t offset, size_t length) const {
  const size_t first = (lead_ + offset) / page_size_ * page_size_;
  return Pages{base + first, RoundUp(lead_ + offset + length - first, page_size_)};
}

Result<char*> Mapping::SharedBase() {
  // A System V segment attached read-only is shared already.
  if (!read_only_ || sysv_id_ >= 0) return base_;
  if (twin_ == nullptr) {
    void* twin = mmap(nullptr, mapped_length_, PROT_READ, MAP_SHARED, file_->fd(),
                      static_cast<off_t>(offset_));
    if (twin == MAP_FAILED) return LastError("mmap");
    twin_ = static_cast<char*>(twin);
  }
  return twin_;
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
  // The raw call: glibc has mlock2 since 2.27, but other C libraries only later.
  const int flags = on_fault ? MLOCK_ONFAULT : 0;
  if (syscall(SYS_mlock2, pages.address, pages.length, flags) != 0) return LastError("mlock");
  return {};
}

Result<void> Mapping::Unlock(size_t offset, size_t length) {
  Result<char*> base = SharedBase();
  if (!base.ok()) return base.error();
  const Pages pages = PagesOf(base.value(), offset, length);
  if (munlock(pages.address, pages.length) != 0) return LastError("munlock");
  return {};
}

Result<void> Mapping::Advise(size_t offset, size_t length, int advice) {
  Result<char*> base = advice == MADV_POPULATE_READ ? SharedBase() : Result<char*>(base_);
  if (!base.ok()) return base.error();
  const Pages pages = PagesOf(base.value(), offset, length);
  if (RetryOnEintr([&] { return madvise(pages.address, pages.length, advice); }) != 0) {
    return LastError("madvise");
  }
  return {};
}

Result<void> Mapping::Refresh() {
  if (sysv_id_ >= 0) {
    // Attaches once more in the same place, over the copies (man 2 shmat, SHM_REMAP).
    const int flags = SHM_REMAP | (read_only_ ? SHM_RDONLY : 0);
    if (shmat(sysv_id_, base_, flags) == reinterpret_cast<void*>(-1)) return LastError("shmat");
    return {};
  }
  if (!read_only_) return {};
  if (madvise(base_, mapped_length_, MADV_DONTNEED) != 0) return LastError("madvise");
  return {};
}

}  // namespace interproc::os
