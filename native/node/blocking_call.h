// Binds calls on threads of their own for lib/internal/native.ts. Those that start one are with
// what they do: fifo.cc, pipe.cc, unix_socket.cc.
#ifndef INTERPROC_NODE_BLOCKING_CALL_H_
#define INTERPROC_NODE_BLOCKING_CALL_H_

#include <napi.h>

#include <functional>

#include "os/blocking_call.h"

namespace interproc::node {

// Makes a JS value of what a call gives.
using OutcomeToJs = std::function<Napi::Value(Napi::Env, os::Outcome)>;
// Gives back what a call took that nobody is there to get: its worker was terminated.
using GiveBack = std::function<void(const os::Outcome&)>;

struct PendingCall {
  os::Ref<os::BlockingCall> call;
  OutcomeToJs to_js;
  GiveBack give_back;
};

// Starts `work`, which touches no JS and holds what it needs. JS is told of `id` when it is over,
// and takes the outcome then.
Napi::Value StartBlockingCall(Napi::Env env, uint64_t id, os::BlockingCall::Work work,
                              OutcomeToJs to_js, GiveBack give_back = {});

void InitBlockingCall(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_BLOCKING_CALL_H_
