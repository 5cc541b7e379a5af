#include "os/edge_watcher.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cstdint>
#include <utility>

#include "os/thread.h"

namespace interproc::os {
namespace {

constexpr uint32_t kWatched = 0;
constexpr uint32_t kEnd = 1;

struct Watch {
  UniqueFd set;
  UniqueFd end;
  std::function<void()> tell;
};

Result<void> Add(int set, int fd, uint32_t which) {
  struct epoll_event event = {};
  event.events = EPOLLIN | EPOLLET;
  event.data.u32 = which;
  if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0) return LastError("epoll_ctl");
  return {};
}

void* Run(void* data) {
  const std::unique_ptr<Watch> watch(static_cast<Watch*>(data));
  for (;;) {
    struct epoll_event events[2];
    const int count = epoll_wait(watch->set.get(), events, 2, -1);
    for (int i = 0; i < count; ++i) {
      if (events[i].data.u32 == kEnd) return nullptr;
    }
    if (count > 0) watch->tell();
  }
}

}  // namespace

Result<std::unique_ptr<EdgeWatcher>> EdgeWatcher::Start(int fd, std::function<void()> tell) {
  auto watch = std::make_unique<Watch>();
  watch->tell = std::move(tell);
  watch->set.Reset(epoll_create1(EPOLL_CLOEXEC));
  if (!watch->set.valid()) return LastError("epoll_create");
  UniqueFd end(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!end.valid()) return LastError("eventfd");
  Result<UniqueFd> its_end = DuplicateFd(end.get());
  if (!its_end.ok()) return its_end.error();
  watch->end = std::move(its_end.value());
  for (const auto& [each, which] : {std::pair(fd, kWatched), std::pair(watch->end.get(), kEnd)}) {
    const Result<void> added = Add(watch->set.get(), each, which);
    if (!added.ok()) return added.error();
  }
  const Result<void> started = StartThread(Run, watch.get());
  if (!started.ok()) return started.error();
  (void)watch.release();
  return std::unique_ptr<EdgeWatcher>(new EdgeWatcher(std::move(end)));
}

EdgeWatcher::~EdgeWatcher() { (void)eventfd_write(end_.get(), 1); }

}  // namespace interproc::os
