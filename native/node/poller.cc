#include "node/poller.h"

#include "node/args.h"
#include "node/env_data.h"

namespace interproc::node {
namespace {

// Hands what has come to JS: pairs of id and events in the array that it gave, as many at once as
// fit there.
void Deliver(Napi::Env env) {
  auto* data = env.GetInstanceData<EnvData>();
  for (;;) {
    Napi::HandleScope scope(env);
    const Napi::Value value = data->poll_events.Value();
    auto events = value.As<Napi::Uint32Array>();
    const size_t most = events.ElementLength() / 2;
    const size_t count = data->poll_set->Take(events.Data(), most);
    if (count == 0) return;
    data->on_poll_events.MakeCallback(env.Global(),
                                      {Napi::Number::New(env, static_cast<double>(count))});
    // A worker that is being terminated runs no more JS. The rest comes again where the loop
    // polls; a thread tells only of new ones.
    if (env.IsExceptionPending() || count < most) return;
  }
}

// pollInit(events, onEvents, ownThread): once an env. onEvents(count) is called when so many pairs
// (id, events) lie in `events`, a Uint32Array.
Napi::Value Init(const Napi::CallbackInfo& info) {
  Args args(info);
  if (!info[0].IsTypedArray() ||
      info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array) {
    return FailArgument(info.Env(), "a Uint32Array");
  }
  if (!info[1].IsFunction()) return FailArgument(info.Env(), "a function");
  const bool own_thread = args.Flag(2);
  if (!args.ok()) return info.Env().Undefined();
  auto* data = info.Env().GetInstanceData<EnvData>();
  data->poll_events = Napi::Persistent(info[0].As<Napi::Object>());
  data->on_poll_events = Napi::Persistent(info[1].As<Napi::Function>());
  if (data->poll_set) return info.Env().Undefined();
  os::Result<os::Ref<os::PollSet>> set = os::PollSet::New();
  if (!set.ok()) return Fail(info.Env(), set.error());
  const os::Result<LoopPoll*> poll =
      LoopPoll::New(info.Env(), set.value()->fd(), own_thread, Deliver);
  if (!poll.ok()) return Fail(info.Env(), poll.error());
  data->poll_set = set.value();
  data->loop_poll = poll.value();
  return info.Env().Undefined();
}

// pollKeep(kept): whether waiting keeps the process alive
Napi::Value Keep(const Napi::CallbackInfo& info) {
  Args args(info);
  const bool kept = args.Flag(0);
  if (!args.ok()) return info.Env().Undefined();
  LoopPoll* poll = info.Env().GetInstanceData<EnvData>()->loop_poll;
  if (poll == nullptr) return Fail(info.Env(), {EINVAL, "pollInit"});
  poll->Keep(info.Env(), kept);
  return info.Env().Undefined();
}

}  // namespace

void InitPoller(Napi::Env env, Napi::Object exports) {
  exports.Set("pollInit", Napi::Function::New<Init>(env));
  exports.Set("pollKeep", Napi::Function::New<Keep>(env));
}

}  // namespace interproc::node
