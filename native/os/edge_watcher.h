// EdgeWatcher: a thread that tells each time that a descriptor becomes readable.
#ifndef INTERPROC_OS_EDGE_WATCHER_H_
#define INTERPROC_OS_EDGE_WATCHER_H_

#include <functional>
#include <memory>

#include "os/result.h"
#include "os/unique_fd.h"

namespace interproc::os {

class EdgeWatcher {
 public:
  // Calls `tell` on the thread: once while `fd` is readable now, and at each further edge. EAGAIN
  // without threads, EMFILE.
  static Result<std::unique_ptr<EdgeWatcher>> Start(int fd, std::function<void()> tell);
  // The thread ends by itself, soon; it does not touch `fd` any more.
  ~EdgeWatcher();
  EdgeWatcher(const EdgeWatcher&) = delete;
  EdgeWatcher& operator=(const EdgeWatcher&) = delete;

 private:
  explicit EdgeWatcher(UniqueFd end) : end_(std::move(end)) {}
  const UniqueFd end_;  // an eventfd that the thread waits for, too
};

}  // namespace interproc::os

#endif  // INTERPROC_OS_EDGE_WATCHER_H_
