// DeathWatch: tells when owners of a segment die, however they die.
//
//   in the same pid namespace   a pidfd, of which one thread polls all, with a look at the locks
//                               twice a second: no pidfd tells of execve
//   elsewhere, or no pidfd      a thread that waits for the lock of the owner to come free
//
// What a pidfd tells is checked by the lock, which alone decides. INTERPROC_NO_PIDFD=1 in the
// environment does without pidfds, as do kernels before Linux 5.3 and seccomp filters that refuse.
// Thread safety: all methods from one thread, the owner's; Notify is called on our threads.
#ifndef INTERPROC_OS_DEATH_WATCH_H_
#define INTERPROC_OS_DEATH_WATCH_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "os/completions.h"
#include "os/participant.h"
#include "os/ref_counted.h"

namespace interproc::os {

class PidfdPoller;
class LockWaiters;

class DeathWatch {
 public:
  explicit DeathWatch(std::function<void()> notify);
  ~DeathWatch();
  DeathWatch(const DeathWatch&) = delete;
  DeathWatch& operator=(const DeathWatch&) = delete;

  // Completes `id` once the owner is dead, or is so already. EAGAIN without threads, EMFILE.
  Result<void> Watch(uint64_t id, const Participant& participant, uint32_t owner);
  // Nothing is told of `id` any more, not even what has happened and was not taken yet.
  void Unwatch(uint64_t id);
  std::vector<uint64_t> TakeCompleted() { return completions_->Take(); }

 private:
  Ref<Completions> completions_;
  Ref<LockWaiters> locks_;
  Ref<PidfdPoller> poller_;
};

// Whether this kernel lets us have pidfds; asked once.
bool HasPidfd();

}  // namespace interproc::os

#endif  // INTERPROC_OS_DEATH_WATCH_H_
