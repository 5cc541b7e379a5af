#include "os/blocking_call.h"

#include <climits>
#include <utility>

namespace interproc::os {

Result<Ref<BlockingCall>> BlockingCall::Start(BlockingThreads& threads, Work work,
                                              std::function<void()> over) {
  Ref<BlockingCall> call = Ref<BlockingCall>::Adopt(new BlockingCall());
  call->work_ = std::move(work);
  call->told_ = std::move(over);
  const Result<void> started = threads.Run([call] { call->Run(); });
  if (!started.ok()) return started.error();
  return call;
}

void BlockingCall::Cancel() {
  cancelled_.store(true, std::memory_order_relaxed);
  // It returns under the mutex that the thread has left, and so sees the outcome.
  interruptible_.Interrupt();
}

void BlockingCall::Wait(uint64_t timeout_ns) const {
  if (!over()) (void)FutexWait(&over_, 0, timeout_ns);
}

void BlockingCall::Run() {
  interruptible_.Enter();
  outcome_ = work_(*this);
  work_ = nullptr;  // what it holds goes here and now
  over_.store(1, std::memory_order_release);
  interruptible_.Leave();
  (void)FutexWake(&over_, INT_MAX);
  told_();
}

}  // namespace interproc::os
