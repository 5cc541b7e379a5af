#include "node/death_watch.h"

#include <memory>
#include <vector>

#include "node/args.h"
#include "node/env_data.h"
#include "node/participant.h"

namespace interproc::node {
namespace {

// Hands the ids of owners that have died to JS, all at once.
void Deliver(Napi::Env env) {
  auto* data = env.GetInstanceData<EnvData>();
  CallWithIds(env, data->on_deaths, data->death_watch->TakeCompleted());
}

// deathInit(onDeaths): once an env. onDeaths(ids) is called when watched owners are dead. A watch
// does not keep the process alive.
Napi::Value Init(const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction()) return FailArgument(info.Env(), "a function");
  auto* data = info.Env().GetInstanceData<EnvData>();
  data->on_deaths = Napi::Persistent(info[0].As<Napi::Function>());
  if (data->death_watch) return info.Env().Undefined();
  data->death_waker = LoopWaker::New(info.Env(), Deliver);
  if (!data->death_waker) return info.Env().Undefined();
  data->death_waker->Keep(info.Env(), false);
  data->death_watch =
      std::make_unique<os::DeathWatch>([waker = data->death_waker] { waker->Wake(); });
  return info.Env().Undefined();
}

// Null, and EINVAL is thrown, before deathInit. Read the arguments first: a second exception would
// end the process.
os::DeathWatch* WatchOf(Napi::Env env) {
  os::DeathWatch* watch = env.GetInstanceData<EnvData>()->death_watch.get();
  if (watch == nullptr) Fail(env, {EINVAL, "deathInit"});
  return watch;
}

// deathWatch(participant, owner, id)
Napi::Value Watch(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::Participant>* participant = ParticipantHandle::Of(args, 0);
  const auto owner = static_cast<uint32_t>(args.Integer(1, 0, UINT32_MAX));
  const uint64_t id = args.Size(2);
  if (!args.ok()) return info.Env().Undefined();
  if (!*participant) return Fail(info.Env(), {EBADF, "fcntl"});
  os::DeathWatch* watch = WatchOf(info.Env());
  if (watch == nullptr) return info.Env().Undefined();
  const os::Result<void> watched = watch->Watch(id, *participant->get(), owner);
  return watched.ok() ? info.Env().Undefined() : Fail(info.Env(), watched.error());
}

// deathUnwatch(id)
Napi::Value Unwatch(const Napi::CallbackInfo& info) {
  Args args(info);
  const uint64_t id = args.Size(0);
  if (!args.ok()) return info.Env().Undefined();
  os::DeathWatch* watch = WatchOf(info.Env());
  if (watch != nullptr) watch->Unwatch(id);
  return info.Env().Undefined();
}

}  // namespace

void InitDeathWatch(Napi::Env env, Napi::Object exports) {
  exports.Set("deathInit", Napi::Function::New<Init>(env));
  exports.Set("deathWatch", Napi::Function::New<Watch>(env));
  exports.Set("deathUnwatch", Napi::Function::New<Unwatch>(env));
}

}  // namespace interproc::node
