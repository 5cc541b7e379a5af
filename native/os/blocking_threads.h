// BlockingThreads: what calls run on that can only block. A thread that is done lingers, in case
// another call comes soon: making one costs more than most waits last.
//
// Thread safety: any thread.
#ifndef INTERPROC_OS_BLOCKING_THREADS_H_
#define INTERPROC_OS_BLOCKING_THREADS_H_

#include <functional>
#include <mutex>
#include <vector>

#include "os/futex.h"
#include "os/ref_counted.h"
#include "os/result.h"

namespace interproc::os {

class BlockingThreads : public RefCounted<BlockingThreads> {
 public:
  using Task = std::function<void()>;

  // Runs it on a thread of its own. EAGAIN when the process may have no more.
  Result<void> Run(Task task);
  // Those that linger end, and none will.
  void Close();

 private:
  // One that lingers, as it lies on its thread's stack.
  struct Lingering {
    Task task;
    // 1, stored with release under the mutex, once there is a task.
    FutexWord called{0};
  };
  struct Start;

  static void* Main(void* data);
  // The next task; empty: there is none.
  Task Linger();

  std::mutex mutex_;
  std::vector<Lingering*> lingering_;
  bool closed_ = false;
};

}  // namespace interproc::os

#endif  // INTERPROC_OS_BLOCKING_THREADS_H_
