#include "os/blocking_threads.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "os/thread.h"

namespace interproc::os {
namespace {

constexpr uint64_t kLingerNs = 100'000'000;

}  // namespace

struct BlockingThreads::Start {
  Ref<BlockingThreads> threads;
  Task task;
};

Result<void> BlockingThreads::Run(Task task) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!lingering_.empty()) {
      // The last one is the likeliest to have its stack in the cache.
      Lingering* const next = lingering_.back();
      lingering_.pop_back();
      next->task = std::move(task);
      next->called.store(1, std::memory_order_release);
      (void)FutexWake(&next->called, 1);
      return {};
    }
  }
  AddRef();
  auto start = std::make_unique<Start>(Start{Ref<BlockingThreads>::Adopt(this), std::move(task)});
  const Result<void> started = StartThread(Main, start.get());
  if (started.ok()) (void)start.release();
  return started;
}

void BlockingThreads::Close() {
  std::lock_guard<std::mutex> lock(mutex_);
  closed_ = true;
  for (Lingering* one : std::exchange(lingering_, {})) {
    one->called.store(1, std::memory_order_release);
    (void)FutexWake(&one->called, 1);
  }
}

void* BlockingThreads::Main(void* data) {
  const std::unique_ptr<Start> start(static_cast<Start*>(data));
  for (Task task = std::move(start->task); task; task = start->threads->Linger()) task();
  return nullptr;
}

BlockingThreads::Task BlockingThreads::Linger() {
  Lingering self;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return {};
    lingering_.push_back(&self);
  }
  Result<void> woken;
  do {
    woken = FutexWait(&self.called, 0, kLingerNs);
  } while (!woken.ok() && woken.error().number == EINTR);
  // Also so that who called it is done with it.
  std::lock_guard<std::mutex> lock(mutex_);
  const auto still = std::find(lingering_.begin(), lingering_.end(), &self);
  if (still != lingering_.end()) lingering_.erase(still);
  return std::move(self.task);
}

}  // namespace interproc::os
