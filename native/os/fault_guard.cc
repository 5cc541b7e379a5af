#include "os/fault_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <new>

#include "os/memory_file.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

namespace interproc::os {

// Read by the handler while other threads fill and empty entries, also the very one: a sequence
// lock. `generation` is odd while an entry is free or changing; the handler copies the fields
// between two loads of the same even number, and works on the copy alone.
struct GuardEntry {
  std::atomic<uint64_t> generation{1};
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
  std::atomic<size_t> page_size{0};
  std::atomic<int> fd{-1};
  std::atomic<uint64_t> offset{0};
  std::atomic<GuardedRange::Stores> stores{GuardedRange::Stores::kShared};
  std::atomic<bool> copying{false};
  std::atomic<uint64_t> fault{
      0};                      // generation and Fault, so that it never tells of the next tenant
  GuardEntry* next = nullptr;  // set once, before the entry is published
  GuardEntry* next_free = nullptr;  // under the mutex
};

namespace {

using Stores = GuardedRange::Stores;

// What of an entry the handler works with.
struct Range {
  GuardEntry* entry;
  uint64_t generation;
  uintptr_t begin;
  uintptr_t end;
  size_t page_size;
  int fd;
  uint64_t offset;
  Stores stores;

  uintptr_t PageOf(uintptr_t address) const {
    return begin + (address - begin) / page_size * page_size;
  }
};

// Whose place ours took: another copy of this library, and of all others the first and the latest,
// which may itself have taken our place before and hand on to us. Never freed: a thread may be
// about to call one.
struct SignalChain {
  int signal;
  std::atomic<const struct sigaction*> sibling{nullptr};
  std::atomic<const struct sigaction*> first{nullptr};
  std::atomic<const struct sigaction*> latest{nullptr};
};

constexpr int kFaultBits = 2;
constexpr int kZeroPages = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

std::mutex registry_mutex;
GuardEntry* free_entries = nullptr;             // under registry_mutex
std::atomic<GuardEntry*> all_entries{nullptr};  // pushed with release, walked after acquire
bool guards_stores = false;                     // under registry_mutex: SIGSEGV is ours too
SignalChain bus_chain{SIGBUS};
SignalChain segv_chain{SIGSEGV};

// How often a fault was handed on stands in its own siginfo, in a field that the kernel leaves
// zero: whoever it is handed to may think that we were there first. A count kept by the thread
// would go wrong where a handler leaves by siglongjmp.
//
//   31         8 7        4 3       0
//   +-----------+----------+---------+
//   | kHandedOn | to others| to copies|
//   +-----------+----------+---------+
constexpr int kHandedOn = 0x49500000;
constexpr int kToCopiesMost = 4;
constexpr int kHandBackMost = 8;
constexpr int kToOthersMost = 15;

// A range that was covered with protected zeros is there twice for a moment: a store looks for that
// one.
bool FindRange(uintptr_t address, bool is_protected, Range* range) {
  for (GuardEntry* entry = all_entries.load(std::memory_order_acquire); entry != nullptr;
       entry = entry->next) {
    // Pairs with the release in RegisterRange.
    const uint64_t generation = entry->generation.load(std::memory_order_acquire);
    if (generation % 2 != 0) continue;
    range->entry = entry;
    range->generation = generation;
    range->begin = entry->begin.load(std::memory_order_relaxed);
    range->end = entry->end.load(std::memory_order_relaxed);
    range->page_size = entry->page_size.load(std::memory_order_relaxed);
    range->fd = entry->fd.load(std::memory_order_relaxed);
    range->offset = entry->offset.load(std::memory_order_relaxed);
    range->stores = entry->stores.load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);  // pairs with the fence in RegisterRange
    if (entry->generation.load(std::memory_order_relaxed) != generation) continue;
    if (is_protected && range->stores != Stores::kProtected) continue;
    if (address >= range->begin && address < range->end) return true;
  }
  return false;
}

void Mark(GuardEntry* entry, uint64_t generation, Fault fault) {
  entry->fault.store(generation << kFaultBits | static_cast<uint64_t>(fault),
                     std::memory_order_relaxed);
}

bool CoverWithZeros(uintptr_t begin, size_t length) {
  return mmap(reinterpret_cast<void*>(begin), length, PROT_READ | PROT_WRITE,
              MAP_FIXED | kZeroPages, -1, 0) != MAP_FAILED;
}

// Whether madvise refuses what can't be: qemu-user does nothing for such advice, and returns 0.
std::atomic<bool> populate_tells{false};

bool ProbePopulate() {
  const auto page_size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* const page = mmap(nullptr, page_size, PROT_NONE, kZeroPages, -1, 0);
  if (page == MAP_FAILED) return false;
  const bool refused = madvise(page, page_size, MADV_POPULATE_WRITE) != 0;
  munmap(page, page_size);
  return refused;
}

// Whether the page can be had after all. Linux < 5.14 can't tell, and says no.
bool Populate(uintptr_t page, size_t page_size, int advice) {
  return populate_tells.load(std::memory_order_relaxed) &&
         madvise(reinterpret_cast<void*>(page), page_size, advice) == 0;
}

bool FillHole(const Range& range, uintptr_t address) {
  const uintptr_t page = range.PageOf(address);
  const Result<FileStatus> status = StatusOf(range.fd);
  if (status.ok() && range.offset + (page - range.begin) >= status.value().size) {
    // All behind the new end is gone at once.
    Mark(range.entry, range.generation, Fault::kTruncated);
    return CoverWithZeros(page, range.end - page);
  }
  // It may be back by now: truncated and grown again. For a shared page ask as a store would: a
  // full file system may still let it be read, and the store would fault for ever. Likewise for a
  // private huge page, of which none may be left to copy to.
  const bool as_store = range.stores == Stores::kShared ||
                        range.page_size > static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const int advice = as_store ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
  if (Populate(page, range.page_size, advice)) return true;
  // A page that can't be had says nothing about the next, unless so many are missing that the
  // process may have no more mappings.
  Mark(range.entry, range.generation, Fault::kUnbacked);
  return CoverWithZeros(page, range.page_size) ||
         CoverWithZeros(range.begin, range.end - range.begin);
}

// REQUIRES that no other thread copies a page of this range. A reader on another thread sees the
// page or its copy, never a gap: mremap swaps them under the lock that page faults take.
bool CopyPage(const Range& range, uintptr_t address) {
  void* const page = reinterpret_cast<void*>(range.PageOf(address));
  // Nothing to a page that another thread has copied since, and refused for one of the object.
  if (mprotect(page, range.page_size, PROT_READ | PROT_WRITE) == 0) return true;
  void* const copy =
      mmap(nullptr, range.page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (copy != MAP_FAILED) {
    std::memcpy(copy, page, range.page_size);
    if (mremap(copy, range.page_size, range.page_size, MREMAP_MAYMOVE | MREMAP_FIXED, page) !=
        MAP_FAILED) {
      return true;
    }
    munmap(copy, range.page_size);
  }
  // The process may have no more mappings: let go of the object rather than die.
  Mark(range.entry, range.generation, Fault::kUnbacked);
  return CoverWithZeros(range.begin, range.end - range.begin);
}

// Two threads may fault on one page at once: a second copy would lose what the first one stored in
// its own. Whoever comes second goes back, and faults again until the copy is there.
bool CopyPageOnce(const Range& range, uintptr_t address) {
  std::atomic<bool>& copying = range.entry->copying;
  if (copying.exchange(true, std::memory_order_acquire)) return true;
  const bool copied = CopyPage(range, address);
  copying.store(false, std::memory_order_release);  // pairs with the exchange
  return copied;
}

// A fault in no range of ours may have been one a moment ago, in a range that another thread has
// closed since: then the page is there now.
bool IsOver(uintptr_t address, bool is_store) {
  const auto page_size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t page = address / page_size * page_size;
  if (Populate(page, page_size, MADV_POPULATE_WRITE)) return true;
  // Zeros that may only be read: a store there is no SIGBUS.
  return !is_store && errno == EINVAL && Populate(page, page_size, MADV_POPULATE_READ);
}

// A jump into data: no page, and no copy of one, makes that right.
bool IsFetch(uintptr_t address, const void* context) {
  const auto* user = static_cast<const ucontext_t*>(context);
#if defined(__x86_64__)
  return static_cast<uintptr_t>(user->uc_mcontext.gregs[REG_RIP]) == address;
#elif defined(__aarch64__)
  return user->uc_mcontext.pc == address;
#else
  return false;
#endif
}

void Default(int signal, const siginfo_t* info) {
  struct sigaction fallback;
  std::memset(&fallback, 0, sizeof(fallback));
  fallback.sa_handler = SIG_DFL;
  sigaction(signal, &fallback, nullptr);
  // A fault comes again by itself when the instruction runs again; what was sent, by kill(2) say,
  // has to be sent again.
  if (info->si_code <= 0) (void)raise(signal);
}

bool IsHandler(const struct sigaction* action) {
  return action != nullptr && action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

// First to the other copy, whose range it may be; then to the handler that came last, and when that
// one hands it back, to the one that was there before all of us.
void HandOn(SignalChain* chain, int signal, siginfo_t* info, void* context) {
  const bool again = (info->si_errno & ~0xff) == kHandedOn;
  int to_copies = again ? info->si_errno & 0xf : 0;
  int to_others = again ? info->si_errno >> 4 & 0xf : 0;
  const struct sigaction* sibling = chain->sibling.load(std::memory_order_acquire);
  const struct sigaction* next =
      (to_others == 0 ? chain->latest : chain->first).load(std::memory_order_acquire);
  // All copies before anybody else; after that a copy that knows nobody hands back to one that may.
  if (sibling != nullptr && to_others == 0 &&
      (to_copies < kToCopiesMost || (to_copies < kHandBackMost && !IsHandler(next)))) {
    next = sibling;
    ++to_copies;
  } else if (to_others < kToOthersMost) {
    ++to_others;
  } else {
    next = nullptr;
  }
  info->si_errno = kHandedOn | to_others << 4 | to_copies;
  if (!IsHandler(next)) {
    const bool ignored = next != nullptr && next->sa_handler == SIG_IGN && info->si_code <= 0;
    if (!ignored) Default(signal, info);  // a fault can't be ignored
  } else if ((next->sa_flags & SA_SIGINFO) != 0) {
    next->sa_sigaction(signal, info, context);
  } else {
    next->sa_handler(signal);
  }
}

void OnBus(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  Range range;
  // BUS_ADRERR alone is a missing page; a broken memory module (BUS_MCEERR_*) is nothing to mend.
  const bool handled =
      info->si_code == BUS_ADRERR &&
      (FindRange(address, false, &range) ? FillHole(range, address) : IsOver(address, false));
  if (!handled) HandOn(&bus_chain, signal, info, context);
  errno = saved_errno;
}

void OnSegv(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  Range range;
  const bool handled =
      info->si_code == SEGV_ACCERR && !IsFetch(address, context) &&
      (FindRange(address, true, &range) ? CopyPageOnce(range, address) : IsOver(address, true));
  if (!handled) HandOn(&segv_chain, signal, info, context);
  errno = saved_errno;
}

// What our handlers block while they run tells them from all others: nobody else asks for just
// these.
sigset_t SiblingMask() {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int signal : {SIGURG, SIGWINCH, SIGPWR}) sigaddset(&mask, signal);
  return mask;
}

bool IsSibling(const struct sigaction& action) {
  if ((action.sa_flags & SA_SIGINFO) == 0) return false;
  const sigset_t mask = SiblingMask();
  for (int signal = 1; signal < SIGRTMIN; ++signal) {
    if (sigismember(&mask, signal) != sigismember(&action.sa_mask, signal)) return false;
  }
  return true;
}

// REQUIRES registry_mutex.
void Install(SignalChain* chain, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction current;
  if (sigaction(chain->signal, nullptr, &current) != 0) return;
  if ((current.sa_flags & SA_SIGINFO) != 0 && current.sa_sigaction == handler) return;
  auto& place = IsSibling(current) ? chain->sibling : chain->latest;
  // Two copies take turns, for ever: each other handler is remembered once.
  const struct sigaction* known = place.load(std::memory_order_relaxed);
  if (known == nullptr || known->sa_sigaction != current.sa_sigaction) {
    known = new (std::nothrow) struct sigaction(current);
    if (known == nullptr) return;
    place.store(known, std::memory_order_release);  // pairs with the acquire in HandOn
    if (&place == &chain->latest && chain->first.load(std::memory_order_relaxed) == nullptr) {
      chain->first.store(known, std::memory_order_release);  // likewise
    }
  }
  struct sigaction ours;
  std::memset(&ours, 0, sizeof(ours));
  ours.sa_sigaction = handler;
  ours.sa_mask = SiblingMask();
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigaction(chain->signal, &ours, nullptr);
}

// REQUIRES registry_mutex.
void InstallAll() {
  Install(&bus_chain, OnBus);
  if (guards_stores) Install(&segv_chain, OnSegv);
}

// REQUIRES registry_mutex.
GuardEntry* TakeEntry() {
  if (free_entries != nullptr) {
    GuardEntry* entry = free_entries;
    free_entries = entry->next_free;
    return entry;
  }
  auto* entry = new (std::nothrow) GuardEntry();
  if (entry == nullptr) return nullptr;
  entry->next = all_entries.load(std::memory_order_relaxed);
  all_entries.store(entry, std::memory_order_release);  // pairs with the acquire in FindRange
  return entry;
}

}  // namespace

GuardEntry* RegisterRange(const GuardedRange& range) {
  std::lock_guard<std::mutex> lock(registry_mutex);
  static const bool tells = ProbePopulate();  // not in the handler
  populate_tells.store(tells, std::memory_order_relaxed);
  guards_stores = guards_stores || range.stores == Stores::kProtected;
  InstallAll();
  GuardEntry* entry = TakeEntry();
  if (entry == nullptr) return nullptr;
  const auto begin = reinterpret_cast<uintptr_t>(range.address);
  // After the odd generation that the last tenant left; pairs with the fence in FindRange.
  std::atomic_thread_fence(std::memory_order_release);
  entry->begin.store(begin, std::memory_order_relaxed);
  entry->end.store(begin + range.length, std::memory_order_relaxed);
  entry->page_size.store(range.page_size, std::memory_order_relaxed);
  entry->fd.store(range.fd, std::memory_order_relaxed);
  entry->offset.store(range.offset, std::memory_order_relaxed);
  entry->stores.store(range.stores, std::memory_order_relaxed);
  entry->generation.fetch_add(1, std::memory_order_release);  // even: pairs with FindRange
  return entry;
}

void UnregisterRange(GuardEntry* entry) {
  std::lock_guard<std::mutex> lock(registry_mutex);
  entry->generation.fetch_add(1, std::memory_order_relaxed);  // odd
  entry->next_free = free_entries;
  free_entries = entry;
}

void ReportFault(GuardEntry* entry, Fault fault) {
  Mark(entry, entry->generation.load(std::memory_order_relaxed), fault);
}

Fault FaultOf(const GuardEntry* entry) {
  const uint64_t fault = entry->fault.load(std::memory_order_relaxed);
  const uint64_t generation = entry->generation.load(std::memory_order_relaxed);
  if (fault >> kFaultBits != generation) return Fault::kNone;
  return static_cast<Fault>(fault & ((1 << kFaultBits) - 1));
}

void KeepHandlersInstalled() {
  std::lock_guard<std::mutex> lock(registry_mutex);
  InstallAll();
}

}  // namespace interproc::os
