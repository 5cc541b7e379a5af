// Patience: tries again awake, instead of sleeping at once: where the other side is about to
// answer, that costs less than a sleep and a wake-up.
#ifndef INTERPROC_OS_PATIENCE_H_
#define INTERPROC_OS_PATIENCE_H_

#include <cstdint>

#include "os/thread.h"

namespace interproc::os {

// What `attempt` gives, tried again up to `looks` times while `is_in_vain` says so of it. In
// between the processor is offered to others: the other side may have no other. Where they keep it
// for long, one more look is the last.
template <typename Attempt, typename IsInVain>
auto TryPatiently(uint32_t looks, Attempt attempt, IsInVain is_in_vain) -> decltype(attempt()) {
  auto result = attempt();
  for (; looks > 0 && is_in_vain(result); --looks) {
    if (!YieldProcessor()) looks = 1;
    result = attempt();
  }
  return result;
}

}  // namespace interproc::os

#endif  // INTERPROC_OS_PATIENCE_H_
