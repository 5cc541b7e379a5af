// FutexWaiters: any number of waits on words of shared memory, held by threads of our own so that
// no event loop blocks. With futex_waitv a thread holds 127 words and one to interrupt it by;
// without, each wait has a thread (at most kPlainWaitsMax).
//
//   Add ──> lane (a thread) ──woken or changed──> completed list ──Notify──> TakeCompleted
//    └───────Cancel: true = it is off the list, nothing will come of it; false = it is over already
//
// A watch goes on: it completes each time that the word was seen to differ from what it was, until
// it is cancelled. An id with kLastCompletion ends it: the word is gone, or the kernel
// had no memory to wait.
//
// A wake-one that reached a wait which was just cancelled is passed on to the next sleeper.
// Thread safety: all methods from one thread, the owner's; Notify is called on the waiter threads.
#ifndef INTERPROC_OS_FUTEX_WAITERS_H_
#define INTERPROC_OS_FUTEX_WAITERS_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "os/completions.h"
#include "os/futex.h"
#include "os/mapping.h"
#include "os/ref_counted.h"

namespace interproc::os {

class FutexLane;
struct FutexLaneWait;

class FutexWaiters {
 public:
  static constexpr size_t kPlainWaitsMax = 500;

  explicit FutexWaiters(std::function<void()> notify);
  ~FutexWaiters();
  FutexWaiters(const FutexWaiters&) = delete;
  FutexWaiters& operator=(const FutexWaiters&) = delete;

  // Waits until the word is woken or differs from `expected`. REQUIRES an id that is not in use.
  // ENOSYS past kPlainWaitsMax without futex_waitv; EAGAIN without threads.
  Result<void> Add(uint64_t id, const WaitWord& word, uint32_t expected);
  // From now on. Fails as Add.
  Result<void> Watch(uint64_t id, const WaitWord& word);
  bool Cancel(uint64_t id);
  std::vector<uint64_t> TakeCompleted() { return completions_->Take(); }

 private:
  Result<void> Hold(const FutexLaneWait& wait);

  Ref<Completions> completions_;
  std::vector<Ref<FutexLane>> lanes_;
};

}  // namespace interproc::os

#endif  // INTERPROC_OS_FUTEX_WAITERS_H_
