// What the addon keeps for each env (main thread or worker): nothing of it is shared between them.
#ifndef INTERPROC_NODE_ENV_DATA_H_
#define INTERPROC_NODE_ENV_DATA_H_

#include <napi.h>

#include <map>
#include <memory>

#include "node/blocking_call.h"
#include "node/loop_poll.h"
#include "node/loop_waker.h"
#include "node/open_handles.h"
#include "os/death_watch.h"
#include "os/futex_waiters.h"
#include "os/owner.h"
#include "os/participant.h"
#include "os/poll_set.h"

namespace interproc::node {

struct EnvData {
  OpenHandles handles;  // handle.h; they go last

  Napi::FunctionReference make_error;  // errors.cc

  // futex.cc. The waiters go before the waker that they wake.
  Napi::FunctionReference on_waits_over;
  os::Ref<LoopWaker> waker;
  std::unique_ptr<os::FutexWaiters> waiters;

  // death_watch.cc. In the same order.
  Napi::FunctionReference on_deaths;
  os::Ref<LoopWaker> death_waker;
  std::unique_ptr<os::DeathWatch> death_watch;

  // poller.cc
  Napi::ObjectReference poll_events;
  Napi::FunctionReference on_poll_events;
  os::Ref<os::PollSet> poll_set;
  LoopPoll* loop_poll = nullptr;  // goes with the env by itself

  // blocking_call.cc
  Napi::FunctionReference on_calls_over;
  os::Ref<LoopWaker> calls_waker;
  os::Ref<os::Completions> calls_over;
  os::Ref<os::BlockingThreads> call_threads;
  std::map<uint64_t, PendingCall> calls;

  // unix_socket.cc
  Napi::ObjectReference received_arrays;  // keeps what these point to
  int32_t* received_facts = nullptr;
  uint8_t* received_address = nullptr;

  // participant.cc
  const os::Ref<os::ParticipantRegistry> participants =
      os::Ref<os::ParticipantRegistry>::Adopt(new os::ParticipantRegistry());

  // lock.cc
  const os::Ref<os::OwnerRegistry> owners =
      os::Ref<os::OwnerRegistry>::Adopt(new os::OwnerRegistry());
};

}  // namespace interproc::node

#endif  // INTERPROC_NODE_ENV_DATA_H_
