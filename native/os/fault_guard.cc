#include "os/fault_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <new>

#include "os/memory_file.h"

namespace interproc::os {

// Read by the handler while other threads change other entries. `end` is the guard of the entry: it
// is stored last (release) when an entry is filled and zeroed first when it is emptied, and the
// handler loads it first (acquire), so that it never sees a half-filled entry.
struct GuardEntry {
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
  std::atomic<size_t> page_size{0};
  std::atomic<int> fd{-1};
  std::atomic<uint64_t> offset{0};
  std::atomic<bool> copy_on_store{false};
  std::atomic<bool> copying{false};
  std::atomic<uint32_t> fault{0};
  GuardEntry* next = nullptr;       // set once, before the entry is published
  GuardEntry* next_free = nullptr;  // under the mutex
};

namespace {

struct SignalChain {
  int signal;
  // The handler in place when ours came first, and the one in place when it came last. Both are
  // never freed: a thread may be about to call one.
  std::atomic<const struct sigaction*> first{nullptr};
  std::atomic<const struct sigaction*> latest{nullptr};
};

std::mutex registry_mutex;
GuardEntry* free_entries = nullptr;             // under registry_mutex
std::atomic<GuardEntry*> all_entries{nullptr};  // pushed with release, walked after acquire
bool guards_stores = false;                     // under registry_mutex: SIGSEGV is ours too
SignalChain bus_chain{SIGBUS};
SignalChain segv_chain{SIGSEGV};

// How often a fault was handed on stands in its own siginfo, in a field that the kernel leaves
// zero: copies of this library, and others that chain, may each think that the other was there
// first. A count kept by the thread would go wrong where a handler leaves by siglongjmp.
constexpr int kHandedOn = 0x49500000;
constexpr int kHandedOnMost = 16;

GuardEntry* FindEntry(uintptr_t address) {
  for (GuardEntry* entry = all_entries.load(std::memory_order_acquire); entry != nullptr;
       entry = entry->next) {
    const uintptr_t end = entry->end.load(std::memory_order_acquire);
    if (address < end && address >= entry->begin.load(std::memory_order_relaxed)) return entry;
  }
  return nullptr;
}

bool CoverWithZeros(uintptr_t begin, size_t length) {
  return mmap(reinterpret_cast<void*>(begin), length, PROT_READ | PROT_WRITE,
              MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

bool FillHole(GuardEntry* entry, uintptr_t address) {
  const uintptr_t begin = entry->begin.load(std::memory_order_relaxed);
  const uintptr_t end = entry->end.load(std::memory_order_relaxed);
  const size_t page_size = entry->page_size.load(std::memory_order_relaxed);
  const uintptr_t page = begin + (address - begin) / page_size * page_size;
  const uint64_t page_offset = entry->offset.load(std::memory_order_relaxed) + (page - begin);
  const Result<FileStatus> status = StatusOf(entry->fd.load(std::memory_order_relaxed));
  const bool truncated = status.ok() && page_offset >= status.value().size;
  entry->fault.store(static_cast<uint32_t>(truncated ? Fault::kTruncated : Fault::kUnbacked),
                     std::memory_order_relaxed);
  // All behind the new end is gone at once. A page that can't be had says nothing about the next,
  // unless so many are missing that the process may have no more mappings.
  if (truncated) return CoverWithZeros(page, end - page);
  return CoverWithZeros(page, page_size) || CoverWithZeros(begin, end - begin);
}

// REQUIRES that no other thread copies a page of this entry. A reader on another thread sees the
// page or its copy, never a gap: mremap swaps them under the lock that page faults take.
bool CopyPage(GuardEntry* entry, uintptr_t address) {
  const size_t page_size = entry->page_size.load(std::memory_order_relaxed);
  const uintptr_t begin = entry->begin.load(std::memory_order_relaxed);
  void* const page = reinterpret_cast<void*>(begin + (address - begin) / page_size * page_size);
  // Nothing to a page that another thread has copied since, and refused for one of the segment.
  if (mprotect(page, page_size, PROT_READ | PROT_WRITE) == 0) return true;
  void* const copy =
      mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (copy == MAP_FAILED) return false;
  std::memcpy(copy, page, page_size);
  if (mremap(copy, page_size, page_size, MREMAP_MAYMOVE | MREMAP_FIXED, page) != MAP_FAILED) {
    return true;
  }
  munmap(copy, page_size);
  return false;
}

// Two threads may fault on one page at once: a second copy would lose what the first one stored in
// its own. Whoever comes second goes back, and faults again until the copy is there.
bool CopyPageOnce(GuardEntry* entry, uintptr_t address) {
  if (entry->copying.exchange(true, std::memory_order_acquire)) return true;
  const bool copied = CopyPage(entry, address);
  entry->copying.store(false, std::memory_order_release);  // pairs with the exchange
  return copied;
}

void HandOn(SignalChain* chain, int signal, siginfo_t* info, void* context) {
  const bool again = (info->si_errno & ~0xff) == kHandedOn;
  const int depth = again ? info->si_errno & 0xff : 0;
  // The first time to whoever came last; when that one hands it back, to those who were there
  // before us, and so on to the very first.
  const struct sigaction* action = depth == 0 ? chain->latest.load(std::memory_order_acquire)
                                              : chain->first.load(std::memory_order_acquire);
  const bool usable = action != nullptr && depth < kHandedOnMost;
  info->si_errno = kHandedOn | (depth + 1);
  if (usable && (action->sa_flags & SA_SIGINFO) != 0) {
    action->sa_sigaction(signal, info, context);
    return;
  }
  if (usable && action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN) {
    action->sa_handler(signal);
    return;
  }
  if (usable && action->sa_handler == SIG_IGN && info->si_code <= 0) return;  // sent by kill(2)
  // The default: the faulting instruction runs again and ends the process with the right signal.
  struct sigaction fallback;
  std::memset(&fallback, 0, sizeof(fallback));
  fallback.sa_handler = SIG_DFL;
  sigaction(signal, &fallback, nullptr);
  if (info->si_code <= 0) raise(signal);
}

void OnBus(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const uintptr_t address = reinterpret_cast<uintptr_t>(info->si_addr);
  // BUS_ADRERR alone is a missing page; a broken memory module (BUS_MCEERR_*) is nothing to mend.
  GuardEntry* entry = info->si_code == BUS_ADRERR ? FindEntry(address) : nullptr;
  if (entry == nullptr || !FillHole(entry, address)) HandOn(&bus_chain, signal, info, context);
  errno = saved_errno;
}

void OnSegv(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const uintptr_t address = reinterpret_cast<uintptr_t>(info->si_addr);
  GuardEntry* entry = info->si_code == SEGV_ACCERR ? FindEntry(address) : nullptr;
  if (entry == nullptr || !entry->copy_on_store.load(std::memory_order_relaxed) ||
      !CopyPageOnce(entry, address)) {
    HandOn(&segv_chain, signal, info, context);
  }
  errno = saved_errno;
}

// REQUIRES registry_mutex.
void Install(SignalChain* chain, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction current;
  if (sigaction(chain->signal, nullptr, &current) != 0) return;
  if ((current.sa_flags & SA_SIGINFO) != 0 && current.sa_sigaction == handler) return;
  const auto* previous = new (std::nothrow) struct sigaction(current);
  if (previous == nullptr) return;
  if (chain->first.load(std::memory_order_relaxed) == nullptr) {
    chain->first.store(previous, std::memory_order_release);
  }
  chain->latest.store(previous, std::memory_order_release);
  struct sigaction ours;
  std::memset(&ours, 0, sizeof(ours));
  ours.sa_sigaction = handler;
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
  all_entries.store(entry, std::memory_order_release);  // pairs with the acquire in FindEntry
  return entry;
}

}  // namespace

GuardEntry* RegisterRange(const GuardedRange& range) {
  std::lock_guard<std::mutex> lock(registry_mutex);
  guards_stores = guards_stores || range.copy_on_store;
  InstallAll();
  GuardEntry* entry = TakeEntry();
  if (entry == nullptr) return nullptr;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(range.address);
  entry->begin.store(begin, std::memory_order_relaxed);
  entry->page_size.store(range.page_size, std::memory_order_relaxed);
  entry->fd.store(range.fd, std::memory_order_relaxed);
  entry->offset.store(range.offset, std::memory_order_relaxed);
  entry->copy_on_store.store(range.copy_on_store, std::memory_order_relaxed);
  entry->fault.store(0, std::memory_order_relaxed);
  entry->end.store(begin + range.length, std::memory_order_release);  // pairs with FindEntry
  return entry;
}

void UnregisterRange(GuardEntry* entry) {
  std::lock_guard<std::mutex> lock(registry_mutex);
  entry->end.store(0, std::memory_order_release);
  entry->next_free = free_entries;
  free_entries = entry;
}

Fault FaultOf(const GuardEntry* entry) {
  return static_cast<Fault>(entry->fault.load(std::memory_order_relaxed));
}

void KeepHandlersInstalled() {
  std::lock_guard<std::mutex> lock(registry_mutex);
  InstallAll();
}

}  // namespace interproc::os
