// Completions: where threads of ours put the ids of what is over, for their owner's thread to take.
// It outlives the owner, whose threads may still be on their way out.
#ifndef INTERPROC_OS_COMPLETIONS_H_
#define INTERPROC_OS_COMPLETIONS_H_

#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "os/ref_counted.h"

namespace interproc::os {

// Set in an id that comes once more and then never again, of what may come many times.
constexpr uint64_t kLastCompletion = uint64_t{1} << 63;

class Completions : public RefCounted<Completions> {
 public:
  // `notify` is called on the threads that put something.
  explicit Completions(std::function<void()> notify) : notify_(std::move(notify)) {}

  void Put(const std::vector<uint64_t>& ids);
  std::vector<uint64_t> Take();
  // Drops what was put of `id` and not taken yet.
  void Forget(uint64_t id);
  // After this nothing is notified any more.
  void Close();

 private:
  std::mutex mutex_;
  std::vector<uint64_t> ids_;
  std::function<void()> notify_;  // empty once closed
};

}  // namespace interproc::os

#endif  // INTERPROC_OS_COMPLETIONS_H_
