// PollSet: the descriptors that one event loop waits on, in an epoll set of their own (man 7
// epoll). The loop waits on the set's descriptor alone, so a descriptor in it keeps its flags
// (libuv would make it non-blocking, for whoever shares it, too).
//
// Events are edges: told once when they come, and when a descriptor is put in or its interest
// changes while they are there. So whoever found nothing to do is told of what comes afterwards.
// Thread safety: Set from any thread; Take from one at a time.
#ifndef INTERPROC_OS_POLL_SET_H_
#define INTERPROC_OS_POLL_SET_H_

#include <cstddef>
#include <cstdint>

#include "os/ref_counted.h"
#include "os/result.h"
#include "os/unique_fd.h"

namespace interproc::os {

// Bits of interests and of events. The end of the other side is both.
constexpr uint32_t kReadable = 1;
constexpr uint32_t kWritable = 2;

class PollSet : public RefCounted<PollSet> {
 public:
  static Result<Ref<PollSet>> New();

  int fd() const { return fd_.get(); }

  // Changes the interest in `fd` from `before` to `events`, 0 for not being in the set. ENOSPC
  // past /proc/sys/fs/epoll/max_user_watches.
  Result<void> Set(int fd, uint32_t id, uint32_t before, uint32_t events) const;

  // Pairs of id and events that have come, at most `most`; returns how many pairs.
  size_t Take(uint32_t* pairs, size_t most) const;

 private:
  explicit PollSet(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// Waits until `fd` has one of `events`, at most `timeout_ns`; false when it has not, or a signal
// came. man 2 ppoll
Result<bool> WaitUntilReady(int fd, uint32_t events, uint64_t timeout_ns);

}  // namespace interproc::os

#endif  // INTERPROC_OS_POLL_SET_H_
