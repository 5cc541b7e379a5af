#include "os/poll_set.h"

#include <poll.h>
#include <sys/epoll.h>
#include <time.h>

#include <algorithm>

namespace interproc::os {
namespace {

constexpr size_t kTakenAtOnce = 64;
constexpr uint64_t kNsPerSecond = 1'000'000'000;

uint32_t ToEpoll(uint32_t events) {
  uint32_t its = EPOLLET;
  if ((events & kReadable) != 0) its |= EPOLLIN | EPOLLRDHUP;
  if ((events & kWritable) != 0) its |= EPOLLOUT;
  return its;
}

uint32_t FromEpoll(uint32_t events) {
  uint32_t ours = 0;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) ours |= kReadable;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) ours |= kWritable;
  return ours;
}

}  // namespace

Result<Ref<PollSet>> PollSet::New() {
  UniqueFd fd(epoll_create1(EPOLL_CLOEXEC));
  if (!fd.valid()) return LastError("epoll_create");
  return Ref<PollSet>::Adopt(new PollSet(std::move(fd)));
}

Result<void> PollSet::Set(int fd, uint32_t id, uint32_t before, uint32_t events) const {
  struct epoll_event event = {};
  event.events = ToEpoll(events);
  event.data.u32 = id;
  const int operation = before == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  if (epoll_ctl(fd_.get(), operation, fd, &event) != 0) return LastError("epoll_ctl");
  return {};
}

size_t PollSet::Take(uint32_t* pairs, size_t most) const {
  struct epoll_event events[kTakenAtOnce];
  const int count =
      epoll_wait(fd_.get(), events, static_cast<int>(std::min(most, kTakenAtOnce)), 0);
  if (count < 0) return 0;
  const auto taken = static_cast<size_t>(count);
  for (size_t i = 0; i < taken; ++i) {
    pairs[2 * i] = events[i].data.u32;
    pairs[2 * i + 1] = FromEpoll(events[i].events);
  }
  return taken;
}

Result<bool> WaitUntilReady(int fd, uint32_t events, uint64_t timeout_ns) {
  struct pollfd entry = {};
  entry.fd = fd;
  entry.events = static_cast<short>(((events & kReadable) != 0 ? POLLIN : 0) |
                                    ((events & kWritable) != 0 ? POLLOUT : 0));
  struct timespec timeout;
  timeout.tv_sec = static_cast<time_t>(timeout_ns / kNsPerSecond);
  timeout.tv_nsec = static_cast<long>(timeout_ns % kNsPerSecond);
  const int ready = ppoll(&entry, 1, &timeout, nullptr);
  if (ready < 0 && errno != EINTR) return LastError("ppoll");
  return ready > 0;
}

}  // namespace interproc::os
