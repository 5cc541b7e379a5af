#include "node/blocking_call.h"

#include <utility>

#include "node/args.h"
#include "node/env_data.h"

namespace interproc::node {
namespace {

// Hands the ids of the calls that are over to JS, all at once.
void Deliver(Napi::Env env) {
  auto* data = env.GetInstanceData<EnvData>();
  CallWithIds(env, data->on_calls_over, data->calls_over->Take());
}

// The calls of an env end with it: a thread that waits for ever would stay.
void CancelAll(EnvData* data) {
  data->calls_over->Close();
  data->call_threads->Close();
  for (const auto& [id, pending] : data->calls) {
    pending.call->Cancel();
    if (!pending.give_back || !pending.call->over()) continue;
    const os::Outcome outcome = pending.call->TakeOutcome();
    if (outcome.error.number == 0) pending.give_back(outcome);
  }
  data->calls.clear();
}

// callInit(onOver): once an env. onOver(ids) is called when calls are over.
Napi::Value Init(const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction()) return FailArgument(info.Env(), "a function");
  auto* data = info.Env().GetInstanceData<EnvData>();
  data->on_calls_over = Napi::Persistent(info[0].As<Napi::Function>());
  if (data->calls_over) return info.Env().Undefined();
  data->calls_waker = LoopWaker::New(info.Env(), Deliver);
  if (!data->calls_waker) return info.Env().Undefined();
  data->calls_waker->Keep(info.Env(), false);
  data->calls_over = os::Ref<os::Completions>::Adopt(
      new os::Completions([waker = data->calls_waker] { waker->Wake(); }));
  data->call_threads = os::Ref<os::BlockingThreads>::Adopt(new os::BlockingThreads());
  info.Env().AddCleanupHook(CancelAll, data);
  return info.Env().Undefined();
}

// callKeep(kept): whether calls keep the process alive
Napi::Value Keep(const Napi::CallbackInfo& info) {
  Args args(info);
  const bool kept = args.Flag(0);
  if (!args.ok()) return info.Env().Undefined();
  const os::Ref<LoopWaker>& waker = info.Env().GetInstanceData<EnvData>()->calls_waker;
  if (!waker) return Fail(info.Env(), {EINVAL, "callInit"});
  waker->Keep(info.Env(), kept);
  return info.Env().Undefined();
}

// Null where there is none of that id.
PendingCall* CallOf(const Args& args, uint64_t id) {
  auto* data = args.env().GetInstanceData<EnvData>();
  const auto found = data->calls.find(id);
  return args.ok() && found != data->calls.end() ? &found->second : nullptr;
}

// callCancel(id): it is over then; its outcome tells whether that came too late
Napi::Value Cancel(const Napi::CallbackInfo& info) {
  Args args(info);
  const PendingCall* pending = CallOf(args, args.Size(0));
  if (pending != nullptr) pending->call->Cancel();
  return info.Env().Undefined();
}

// callWait(id, nanoseconds): sleeps until it is over, at most so long
Napi::Value Wait(const Napi::CallbackInfo& info) {
  Args args(info);
  const uint64_t id = args.Size(0);
  const uint64_t timeout_ns = args.Size(1);
  const PendingCall* pending = CallOf(args, id);
  if (pending != nullptr && timeout_ns > 0) pending->call->Wait(timeout_ns);
  return info.Env().Undefined();
}

// callTake(id, path): what it gives, or throws what it failed with; undefined while it runs
Napi::Value Take(const Napi::CallbackInfo& info) {
  Args args(info);
  const uint64_t id = args.Size(0);
  const std::string path = args.Text(1);
  PendingCall* pending = CallOf(args, id);
  if (pending == nullptr || !pending->call->over()) return info.Env().Undefined();
  const Napi::Env env = info.Env();
  os::Outcome outcome = pending->call->TakeOutcome();
  const OutcomeToJs to_js = std::move(pending->to_js);
  env.GetInstanceData<EnvData>()->calls.erase(id);
  if (outcome.error.number == 0) return to_js(env, std::move(outcome));
  const Napi::Value error = MakeError(env, outcome.error, path);
  if (error.IsEmpty()) return env.Undefined();
  if (outcome.number > 0) {
    error.As<Napi::Object>().Set("bytesWritten",
                                 Napi::Number::New(env, static_cast<double>(outcome.number)));
  }
  napi_throw(env, error);
  return env.Undefined();
}

}  // namespace

Napi::Value StartBlockingCall(Napi::Env env, uint64_t id, os::BlockingCall::Work work,
                              OutcomeToJs to_js, GiveBack give_back) {
  auto* data = env.GetInstanceData<EnvData>();
  if (!data->calls_over) return Fail(env, {EINVAL, "callInit"});
  os::Result<os::Ref<os::BlockingCall>> call =
      os::BlockingCall::Start(*data->call_threads.get(), std::move(work),
                              [over = data->calls_over, id] { over->Put({id}); });
  if (!call.ok()) return Fail(env, call.error());
  data->calls[id] = {call.value(), std::move(to_js), std::move(give_back)};
  return env.Undefined();
}

void InitBlockingCall(Napi::Env env, Napi::Object exports) {
  exports.Set("callInit", Napi::Function::New<Init>(env));
  exports.Set("callKeep", Napi::Function::New<Keep>(env));
  exports.Set("callCancel", Napi::Function::New<Cancel>(env));
  exports.Set("callWait", Napi::Function::New<Wait>(env));
  exports.Set("callTake", Napi::Function::New<Take>(env));
}

}  // namespace interproc::node
