// Mapping: one mapped range of addresses over a MemoryFile or a System V segment, for JS to see as
// an ArrayBuffer.
//
// How a range ends: Close() puts anonymous zero pages over it, so that views which JS or a pool
// thread still holds read zeros and write nowhere; the addresses themselves are given back only
// when the last reference goes (the handle's and the backing store's), so nothing ever points at
// unmapped memory.
//
// A read-only file is mapped MAP_PRIVATE with write permission: JS knows no read-only ArrayBuffer,
// and a stray store would end the process. Whatever makes the kernel copy a page of such a mapping
// freezes that page, so locking and pre-faulting go to a second, PROT_READ mapping of the same
// range (Twin), as sleeping on a word does for every kind.
//
// Thread safety: one thread calls the methods, but Sync() may run on another and the last reference
// may go on any.
#ifndef INTERPROC_OS_MAPPING_H_
#define INTERPROC_OS_MAPPING_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "os/fault_guard.h"
#include "os/memory_file.h"
#include "os/ref_counted.h"
#include "os/result.h"

namespace interproc::os {

// A second mapping of a range, PROT_READ and for native code alone: what is to be locked in memory
// of a read-only mapping, and what threads sleep on. It outlives the Close() of its mapping while a
// thread uses it: a wake-up that came too late for that thread can still be passed on.
class Twin : public RefCounted<Twin> {
 public:
  Twin(char* base, size_t length, GuardEntry* guard)
      : base_(base), length_(length), guard_(guard) {}
  ~Twin();

  char* base() const { return base_; }
  Fault fault() const { return FaultOf(guard_); }

 private:
  char* const base_;
  const size_t length_;
  GuardEntry* const guard_;
};

// A 32-bit word to sleep on and to wake, and what keeps its address valid.
struct WaitWord {
  Ref<Twin> twin;
  const std::atomic<uint32_t>* word;
};

class Mapping : public RefCounted<Mapping> {
 public:
  // man 2 mmap. `offset` need not be a multiple of the page size. REQUIRES length > 0.
  static Result<Ref<Mapping>> OfFile(const Ref<MemoryFile>& file, uint64_t offset, size_t length);
  // man 2 shmat. Maps the whole segment.
  static Result<Ref<Mapping>> OfSysv(int id, bool read_only);
  // A second mapping of the same range, or of a part of it (REQUIRES that it lies inside, and is
  // not empty). REQUIRES !closed().
  Result<Ref<Mapping>> Again() const { return Part(0, length_); }
  Result<Ref<Mapping>> Part(size_t offset, size_t length) const;
  ~Mapping();

  char* data() const { return base_ + lead_; }
  size_t length() const { return length_; }
  // What it maps, from which byte on: a file, or where that is empty a System V segment. REQUIRES
  // !closed().
  const Ref<MemoryFile>& file() const { return file_; }
  int sysv_id() const { return sysv_id_; }
  uint64_t offset() const { return offset_ + lead_; }
  bool closed() const { return closed_.load(std::memory_order_relaxed); }
  Fault fault() const;

  // Tells that JS holds the addresses now: Close() must cover them, not just let go.
  void MarkExposed() { exposed_ = true; }
  void Close();

  // Of all below: [offset, offset + length) lies inside the mapping (REQUIRES) and is widened to
  // whole pages.
  Result<void> Sync(size_t offset, size_t length) const;           // man 2 msync
  Result<void> Lock(size_t offset, size_t length, bool on_fault);  // man 2 mlock2
  Result<void> Unlock(size_t offset, size_t length);               // man 2 munlock
  Result<void> Advise(size_t offset, size_t length, int advice);   // man 2 madvise
  // The word at `offset`, in the twin. REQUIRES a multiple of 4 that leaves room for it.
  Result<WaitWord> WordAt(size_t offset);
  // Drops the private copies that stray stores into a read-only mapping made.
  Result<void> Refresh();

 private:
  struct Pages {
    char* address;
    size_t length;
  };

  Mapping() = default;
  GuardEntry* Guard(char* base, GuardedRange::Stores stores) const;
  // Maps [base_, base_ + mapped_length_) anew without a gap, as zeros that nobody else sees.
  void CoverWithZeros();
  Pages PagesOf(char* base, size_t offset, size_t length) const;
  // What an error of mlock or madvise on the bytes up to `end` was about, if about a missing page.
  Error AboutMissingPage(Error error, size_t end) const;
  Result<Twin*> NeedTwin();
  // Where locking and pre-faulting go: the range itself, or for a private one its read-only twin.
  Result<char*> SharedBase();

  Ref<MemoryFile> file_;  // empty for System V, and after Close()
  int sysv_id_ = -1;
  bool read_only_ = false;
  bool exposed_ = false;
  std::atomic<bool> closed_{false};
  char* base_ = nullptr;      // page-aligned
  Ref<Twin> twin_;            // made on demand
  size_t mapped_length_ = 0;  // whole pages
  size_t lead_ = 0;           // from base_ to the first byte asked for
  size_t length_ = 0;
  size_t page_size_ = 0;
  uint64_t offset_ = 0;  // of base_ in the file
  GuardedRange::Stores stores_ = GuardedRange::Stores::kShared;
  GuardEntry* guard_ = nullptr;
  GuardEntry* cover_guard_ = nullptr;  // of zeros that are mapped PROT_READ
};

}  // namespace interproc::os

#endif  // INTERPROC_OS_MAPPING_H_
