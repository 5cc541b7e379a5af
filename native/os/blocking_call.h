// BlockingCall: one call that can only block, on a thread of its own, and can be taken back at any
// time: opening a FIFO, whose other end may never come; connecting to a server that is busy; moving
// a file through a pipe.
//
// Thread safety: Start and Cancel from the owner's thread, the rest from any.
#ifndef INTERPROC_OS_BLOCKING_CALL_H_
#define INTERPROC_OS_BLOCKING_CALL_H_

#include <atomic>
#include <cstdint>
#include <functional>

#include "os/blocking_threads.h"
#include "os/futex.h"
#include "os/interrupt.h"
#include "os/ref_counted.h"
#include "os/result.h"
#include "os/unique_fd.h"

namespace interproc::os {

// What a call gives: a number, or a descriptor; with an error also a number that tells how far it
// went.
struct Outcome {
  Error error{0, ""};
  int64_t number = 0;
  UniqueFd fd;
};

class BlockingCall : public RefCounted<BlockingCall> {
 public:
  // Runs on the thread. Its system calls fail with EINTR once the call is cancelled: then it ends.
  using Work = std::function<Outcome(const BlockingCall&)>;

  // `over` is called on the thread when the outcome is there. EAGAIN without threads.
  static Result<Ref<BlockingCall>> Start(BlockingThreads& threads, Work work,
                                         std::function<void()> over);

  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  // Returns when it is over, which is at once: the outcome tells whether it came too late.
  void Cancel();

  bool over() const { return over_.load(std::memory_order_acquire) != 0; }
  // REQUIRES over(); once.
  Outcome TakeOutcome() { return std::move(outcome_); }
  // Sleeps until it is over, at most `timeout_ns` (> 0).
  void Wait(uint64_t timeout_ns) const;

 private:
  BlockingCall() = default;
  void Run();

  Work work_;
  std::function<void()> told_;
  Outcome outcome_;
  Interruptible interruptible_;
  std::atomic<bool> cancelled_{false};
  // Stored with release when the outcome is there; pairs with the load of over().
  FutexWord over_{0};
};

}  // namespace interproc::os

#endif  // INTERPROC_OS_BLOCKING_CALL_H_
