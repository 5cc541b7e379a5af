#include "os/blocking_call.h"

#include <climits>
#include <utility>

#include "os/thread.h"

namespace interproc::os {

Result<Ref<BlockingCall>> BlockingCall::Start(Work work, std::function<void()> over) {
  Ref<BlockingCall> call = Ref<BlockingCall>::Adopt(new BlockingCall());
  call->work_ = std::move(work);
  call->told_ = std::move(over);
  Ref<BlockingCall> for_thread = call;
  const Result<void> started = StartThread(Run, for_thread.get());
  if (!started.ok()) return started.error();
  for_thread.Leak();
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

void* BlockingCall::Run(void* self) {
  const Ref<BlockingCall> call = Ref<BlockingCall>::Adopt(static_cast<BlockingCall*>(self));
  call->interruptible_.Enter();
  call->outcome_ = call->work_(*call.get());
  call->work_ = nullptr;  // what it holds goes here and now
  call->over_.store(1, std::memory_order_release);
  call->interruptible_.Leave();
  (void)FutexWake(&call->over_, INT_MAX);
  call->told_();
  return nullptr;
}

}  // namespace interproc::os
