#include "node/lock.h"

#include <cstddef>
#include <utility>
#include <vector>

#include "node/env_data.h"
#include "node/mapping.h"
#include "node/numbers.h"

namespace interproc::node {
namespace {

// The mapping at the first argument; null, and an error is thrown, where it is none that is open.
const os::Mapping* OpenMapping(Args& args) {
  os::Ref<os::Mapping>* mapping = MappingHandle::Of(args, 0);
  if (!args.ok()) return nullptr;
  if (*mapping && !(*mapping)->closed()) return mapping->get();
  Fail(args.env(), {EBADF, "lock"});
  return nullptr;
}

// ownerOf(mapping): of this env in what is mapped; null where that has no descriptor
Napi::Value Of(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Mapping* mapping = OpenMapping(args);
  if (mapping == nullptr) return info.Env().Undefined();
  if (!mapping->file()) return info.Env().Null();
  os::Result<os::Ref<os::Owner>> owner =
      os::Owner::Of(info.Env().GetInstanceData<EnvData>()->owners, mapping->file());
  if (!owner.ok()) return Fail(info.Env(), owner.error());
  return OwnerHandle::New(info.Env(), std::move(owner.value()));
}

// The owner at the first argument; null, and an error is thrown, where it was let go.
const os::Owner* Held(Args& args) {
  os::Ref<os::Owner>* owner = OwnerHandle::Of(args, 0);
  if (!args.ok()) return nullptr;
  if (*owner) return owner->get();
  Fail(args.env(), {EBADF, os::kLocking});
  return nullptr;
}

// ownerId(owner)
Napi::Value Id(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Owner* owner = Held(args);
  if (owner == nullptr) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), owner->id());
}

// ownerAlive(owner, id)
Napi::Value Alive(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto id = static_cast<uint32_t>(args.Integer(1, 0, UINT32_MAX));
  const os::Owner* owner = Held(args);
  if (owner == nullptr) return info.Env().Undefined();
  const os::Result<bool> alive = owner->Alive(id);
  if (!alive.ok()) return Fail(info.Env(), alive.error());
  return Napi::Boolean::New(info.Env(), alive.value());
}

// ownerList(owner): the ids of all who live, also of those of other processes
Napi::Value List(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Owner* owner = Held(args);
  if (owner == nullptr) return info.Env().Undefined();
  const os::Result<std::vector<uint32_t>> all = owner->All();
  if (!all.ok()) return Fail(info.Env(), all.error());
  Napi::Array list = Napi::Array::New(info.Env(), all.value().size());
  uint32_t index = 0;
  for (const uint32_t id : all.value()) list.Set(index++, id);
  return list;
}

// ownerLetGo(owner): for this handle; the env is an owner while others are left
Napi::Value LetGo(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::Owner>* owner = OwnerHandle::Of(args, 0);
  if (args.ok()) *owner = os::Ref<os::Owner>();
  return info.Env().Undefined();
}

// lockPlace(mapping, offset, length, kind): a handle, or [begin, length, kind] of another lock of
// this process that lies there, begin being relative to the mapping
Napi::Value Place(const Napi::CallbackInfo& info) {
  Args args(info);
  const uint64_t offset = args.Size(1);
  const uint64_t length = args.Size(2);
  const auto kind = static_cast<uint32_t>(args.Integer(3, 0, UINT32_MAX));
  const os::Mapping* mapping = OpenMapping(args);
  if (mapping == nullptr) return info.Env().Undefined();
  os::LockBytes there = {};
  os::Result<os::Ref<os::LockPlace>> place =
      os::LockPlace::Claim(*mapping, offset, length, kind, &there);
  if (place.ok()) return LockPlaceHandle::New(info.Env(), std::move(place.value()));
  if (place.error().number != EEXIST) return Fail(info.Env(), place.error());
  const double begin = static_cast<double>(there.begin) - static_cast<double>(mapping->offset());
  return NumbersToJs(info.Env(),
                     {begin, static_cast<double>(there.length), static_cast<double>(there.kind)});
}

// lockPlaceFree(place)
Napi::Value Free(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::LockPlace>* place = LockPlaceHandle::Of(args, 0);
  if (args.ok()) *place = os::Ref<os::LockPlace>();
  return info.Env().Undefined();
}

// The layout of a mutex, from interproc.h: byte offsets, and what is written there.
Napi::Object Layout(Napi::Env env) {
  Napi::Object layout = Napi::Object::New(env);
  const auto set = [&](const char* name, size_t value) {
    layout.Set(name, Napi::Number::New(env, static_cast<double>(value)));
  };
  set("size", sizeof(interproc_mutex));
  set("state", offsetof(interproc_mutex, state));
  set("kind", offsetof(interproc_mutex, kind));
  set("shownPid", offsetof(interproc_mutex, shown_pid));
  set("other", offsetof(interproc_mutex, other));
  set("owner", INTERPROC_OWNER_MASK);
  set("waiters", INTERPROC_LOCK_WAITERS);
  set("starving", INTERPROC_LOCK_STARVING);
  set("ruined", INTERPROC_LOCK_RUINED);
  set("magic", INTERPROC_LOCK_MAGIC);
  set("kinds", INTERPROC_LOCK_KINDS);
  set("plain", INTERPROC_LOCK_PLAIN);
  set("mutex", INTERPROC_LOCK_MUTEX);
  set("patienceMs", INTERPROC_LOCK_PATIENCE_MS);
  set("pidBits", INTERPROC_PID_BITS);
  set("ourPid", interproc__shown_pid());
  return layout;
}

}  // namespace

void InitLock(Napi::Env env, Napi::Object exports) {
  exports.Set("ownerOf", Napi::Function::New<Of>(env));
  exports.Set("ownerId", Napi::Function::New<Id>(env));
  exports.Set("ownerAlive", Napi::Function::New<Alive>(env));
  exports.Set("ownerList", Napi::Function::New<List>(env));
  exports.Set("ownerLetGo", Napi::Function::New<LetGo>(env));
  exports.Set("lockPlace", Napi::Function::New<Place>(env));
  exports.Set("lockPlaceFree", Napi::Function::New<Free>(env));
  exports.Set("lockLayout", Layout(env));
}

}  // namespace interproc::node
