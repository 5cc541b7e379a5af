#include "os/futex_waiters.h"

#include <algorithm>
#include <climits>
#include <mutex>
#include <utility>

#include "os/thread.h"

namespace interproc::os {
namespace {

constexpr int kInterruptTries = 10'000;
constexpr uint64_t kPlainSleepNs = 1'000'000'000;
constexpr uint64_t kLingerNs = 100'000'000;

}  // namespace

struct FutexLaneWait {
  uint64_t id;
  Ref<Twin> twin;  // keeps the address valid
  const FutexWord* word;
  uint32_t expected;
  bool lasting;
};

// One thread and the waits that it holds: up to 127 by futex_waitv, or one.
class FutexLane : public RefCounted<FutexLane> {
 public:
  using Wait = FutexLaneWait;

  // A lane that is not kept ends with its last wait; one that is lingers, for the next.
  FutexLane(Ref<Completions> completions, size_t capacity, bool kept)
      : completions_(std::move(completions)), capacity_(capacity), kept_(kept) {}

  // False when it is full or over.
  bool Add(const Wait& wait) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ended_ || waits_.size() >= capacity_) return false;
    waits_.push_back(wait);
    Interrupt();
    return true;
  }

  bool Cancel(uint64_t id) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto found = Find(id);
    if (found == waits_.end()) return false;
    const Wait cancelled = std::move(*found);
    waits_.erase(found);
    Interrupt();
    lock.unlock();
    AwaitEndOfPlain(cancelled);
    return true;
  }

  void Stop() {
    std::unique_lock<std::mutex> lock(mutex_);
    const std::vector<Wait> waits = std::exchange(waits_, {});
    stopped_ = true;
    Interrupt();
    lock.unlock();
    if (!waits.empty()) AwaitEndOfPlain(waits.front());
  }

  bool ended() {
    std::lock_guard<std::mutex> lock(mutex_);
    return ended_;
  }

  bool idle() {
    std::lock_guard<std::mutex> lock(mutex_);
    return waits_.empty();
  }

  // The thread.
  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!stopped_ && (kept_ || !waits_.empty())) {
      const std::vector<Wait> seen = waits_;
      const uint32_t control = control_.load(std::memory_order_relaxed);
      lock.unlock();
      const Result<int> woken = plain() ? SleepOnOne(seen.front()) : SleepOnMany(seen, control);
      lock.lock();
      const bool in_vain = !woken.ok() && woken.error().number == ETIMEDOUT;
      if (in_vain && seen.empty() && waits_.empty()) break;
      Collect(seen, woken);
    }
    ended_ = true;
  }

 private:
  bool plain() const { return capacity_ == 1; }

  std::vector<Wait>::iterator Find(uint64_t id) {
    return std::find_if(waits_.begin(), waits_.end(),
                        [id](const Wait& each) { return each.id == id; });
  }

  // REQUIRES mutex_. The thread sleeps on the number that it read under the mutex, so it can't miss
  // this one.
  void Interrupt() {
    control_.fetch_add(1, std::memory_order_relaxed);
    if (!plain()) (void)FutexWakePrivate(&control_, 1);
  }

  // Without futex_waitv there is no second word to interrupt by, so the word itself is woken until
  // the thread is out: it may be just about to sleep. Other sleepers look again and go on. A word
  // that was truncated away can't be woken: that thread goes by itself, a moment later.
  void AwaitEndOfPlain(const Wait& wait) {
    for (int tries = 0; plain() && !ended() && tries < kInterruptTries; ++tries) {
      (void)FutexWake(wait.word, INT_MAX);
      (void)YieldProcessor();
    }
  }

  static Result<int> SleepOnOne(const Wait& wait) {
    const Result<void> woken = FutexWait(wait.word, wait.expected, kPlainSleepNs);
    if (!woken.ok()) return woken.error();
    return 0;
  }

  Result<int> SleepOnMany(const std::vector<Wait>& waits, uint32_t control) const {
    // The kernel reports the last of several that were woken: an interrupt must not hide a wake.
    FutexEntry entries[kFutexEntriesMax];
    entries[0] = {&control_, control, true};
    for (size_t index = 0; index < waits.size(); ++index) {
      entries[index + 1] = {waits[index].word, waits[index].expected, false};
    }
    const uint64_t timeout_ns = waits.empty() ? kLingerNs : 0;
    const Result<int> woken = FutexWaitAny(entries, waits.size() + 1, timeout_ns);
    if (!woken.ok()) return woken;
    return woken.value() - 1;
  }

  // REQUIRES mutex_. Looks at all of them, not just at the one reported: the kernel also counts as
  // woken whom it doesn't report. The loads pair with the store of whoever changes the word before
  // waking. A page that is gone reads as zero, and the mapping is marked (fault_guard.h).
  void Collect(const std::vector<Wait>& seen, const Result<int>& woken) {
    std::vector<uint32_t> now;
    bool all_there = true;
    for (const Wait& wait : seen) {
      now.push_back(wait.word->load(std::memory_order_acquire));
      if (wait.twin->fault() != Fault::kNone) all_there = false;
    }
    // An address that can't be slept on (EFAULT) is among those that are gone; where none is, or
    // for want of memory, all are given up: whoever waits finds out why, or tries again.
    const int error = woken.ok() ? 0 : woken.error().number;
    const bool failed = error != 0 && error != EAGAIN && error != EINTR && error != ETIMEDOUT;
    const bool broken = failed && !(error == EFAULT && !all_there);
    std::vector<uint64_t> over;
    for (size_t index = 0; index < seen.size(); ++index) {
      const Wait& wait = seen[index];
      const bool reported = woken.ok() && woken.value() == static_cast<int>(index);
      const bool gone = wait.twin->fault() != Fault::kNone || broken;
      if (!reported && !gone && now[index] == wait.expected) continue;
      const auto found = Find(wait.id);
      if (found == waits_.end()) {
        if (!wait.lasting) (void)FutexWake(wait.word, 1);  // cancelled: it was meant for somebody
      } else if (wait.lasting && !gone) {
        found->expected = now[index];
        if (now[index] != wait.expected) over.push_back(wait.id);
      } else {
        waits_.erase(found);
        over.push_back(wait.lasting ? wait.id | kLastCompletion : wait.id);
      }
    }
    if (!over.empty()) completions_->Put(over);
  }

  const Ref<Completions> completions_;
  const size_t capacity_;
  const bool kept_;
  std::mutex mutex_;
  FutexWord control_{0};     // bumped under the mutex, slept on without
  std::vector<Wait> waits_;  // all below: under the mutex
  bool stopped_ = false;
  bool ended_ = false;
};

namespace {

void* RunLane(void* data) {
  const Ref<FutexLane> lane = Ref<FutexLane>::Adopt(static_cast<FutexLane*>(data));
  lane->Run();
  return nullptr;
}

}  // namespace

FutexWaiters::FutexWaiters(std::function<void()> notify)
    : completions_(Ref<Completions>::Adopt(new Completions(std::move(notify)))) {}

FutexWaiters::~FutexWaiters() {
  completions_->Close();
  for (const Ref<FutexLane>& lane : lanes_) lane->Stop();
}

Result<void> FutexWaiters::Add(uint64_t id, const WaitWord& word, uint32_t expected) {
  return Hold({id, word.twin, word.word, expected, false});
}

Result<void> FutexWaiters::Watch(uint64_t id, const WaitWord& word) {
  const uint32_t now = word.word->load(std::memory_order_acquire);
  return Hold({id, word.twin, word.word, now, true});
}

Result<void> FutexWaiters::Hold(const FutexLaneWait& wait) {
  const bool many = HasFutexWaitv();
  if (many) {
    for (const Ref<FutexLane>& lane : lanes_) {
      if (lane->Add(wait)) return {};
    }
  }
  lanes_.erase(std::remove_if(lanes_.begin(), lanes_.end(),
                              [](const Ref<FutexLane>& lane) { return lane->ended(); }),
               lanes_.end());
  // Threads on their way out, whose wait was cancelled, are none too many.
  const auto busy = std::count_if(lanes_.begin(), lanes_.end(),
                                  [](const Ref<FutexLane>& lane) { return !lane->idle(); });
  if (!many && static_cast<size_t>(busy) >= kPlainWaitsMax) return Error{ENOSYS, "futex_waitv"};
  const size_t capacity = many ? kFutexEntriesMax - 1 : 1;
  // One that is full and one with room, so that the next wait finds a thread.
  const bool kept = many && lanes_.size() < 2;
  Ref<FutexLane> lane = Ref<FutexLane>::Adopt(new FutexLane(completions_, capacity, kept));
  lane->Add(wait);
  Ref<FutexLane> for_thread = lane;
  const Result<void> started = StartThread(RunLane, for_thread.get());
  if (!started.ok()) return started;
  for_thread.Leak();
  lanes_.push_back(std::move(lane));
  return {};
}

bool FutexWaiters::Cancel(uint64_t id) {
  for (const Ref<FutexLane>& lane : lanes_) {
    if (lane->Cancel(id)) return true;
  }
  return false;
}

}  // namespace interproc::os
