// What the addon keeps for each env (main thread or worker): nothing of it is shared between them.
#ifndef INTERPROC_NODE_ENV_DATA_H_
#define INTERPROC_NODE_ENV_DATA_H_

#include <napi.h>

#include <memory>

#include "node/loop_waker.h"
#include "os/death_watch.h"
#include "os/futex_waiters.h"
#include "os/participant.h"

namespace interproc::node {

struct EnvData {
  Napi::FunctionReference make_error;  // errors.cc

  // futex.cc. The waiters go before the waker that they wake.
  Napi::FunctionReference on_waits_over;
  os::Ref<LoopWaker> waker;
  std::unique_ptr<os::FutexWaiters> waiters;

  // death_watch.cc. In the same order.
  Napi::FunctionReference on_deaths;
  os::Ref<LoopWaker> death_waker;
  std::unique_ptr<os::DeathWatch> death_watch;

  // participant.cc
  const os::Ref<os::ParticipantRegistry> participants =
      os::Ref<os::ParticipantRegistry>::Adopt(new os::ParticipantRegistry());
};

}  // namespace interproc::node

#endif  // INTERPROC_NODE_ENV_DATA_H_
