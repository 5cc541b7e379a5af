// LoopPoll: has an env's event loop wait for a descriptor. By uv_poll; where the runtime has none
// (Bun hands out a loop and ends the process in uv_poll_init), a thread of ours waits and wakes the
// loop.
#ifndef INTERPROC_NODE_LOOP_POLL_H_
#define INTERPROC_NODE_LOOP_POLL_H_

#include <napi.h>

#include <functional>
#include <memory>

#include "os/result.h"

namespace interproc::node {

// Belongs to its env: goes with it, and is used on its thread only.
class LoopPoll {
 public:
  // `on_ready` runs on the env's thread when `fd` is readable. REQUIRES that `fd` stays open until
  // the env ends. Does not keep the process alive, until told so.
  static os::Result<LoopPoll*> New(Napi::Env env, int fd, bool own_thread,
                                   std::function<void(Napi::Env)> on_ready);

  virtual void Keep(Napi::Env env, bool kept) = 0;

 protected:
  virtual ~LoopPoll() = default;
};

}  // namespace interproc::node

#endif  // INTERPROC_NODE_LOOP_POLL_H_
