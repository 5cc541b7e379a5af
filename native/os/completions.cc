#include "os/completions.h"

#include <algorithm>

namespace interproc::os {

void Completions::Put(const std::vector<uint64_t>& ids) {
  std::lock_guard<std::mutex> lock(mutex_);
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  // Under the lock: once Close() has returned, nobody is in here.
  if (notify_) notify_();
}

std::vector<uint64_t> Completions::Take() {
  std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(ids_, {});
}

void Completions::Forget(uint64_t id) {
  std::lock_guard<std::mutex> lock(mutex_);
  ids_.erase(std::remove(ids_.begin(), ids_.end(), id), ids_.end());
}

void Completions::Close() {
  std::lock_guard<std::mutex> lock(mutex_);
  notify_ = nullptr;
}

}  // namespace interproc::os
