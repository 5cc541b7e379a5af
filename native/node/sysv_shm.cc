#include "node/sysv_shm.h"

#include "node/args.h"
#include "node/sysv_ipc.h"
#include "os/sysv_shm.h"

namespace interproc::node {
namespace {

Napi::Object FactsOf(Napi::Env env, const os::SysvShmStatus& status) {
  Facts facts(env, status);
  facts.Set("size", static_cast<double>(status.size));
  facts.Set("creatorPid", status.creator_pid);
  facts.Set("lastPid", status.last_pid);
  facts.Set("attached", static_cast<double>(status.attached));
  facts.SetTime("attachedAtMs", status.attached_at_s);
  facts.SetTime("detachedAtMs", status.detached_at_s);
  facts.SetTime("changedAtMs", status.changed_at_s);
  facts.SetFlag("removed", status.removed);
  facts.SetFlag("locked", status.locked);
  return facts.object();
}

// sysvShmGet(key, size, create, mode): the id
Napi::Value Get(const Napi::CallbackInfo& info) {
  Args args(info);
  const int key = args.Int(0);
  const uint64_t size = args.Size(1);
  const bool create = args.Flag(2);
  const os::Access access = args.Access(3);
  if (!args.ok()) return info.Env().Undefined();
  return IdToJs(info.Env(), os::GetSysvShm(key, size, create, access.mode), key);
}

// sysvShmStat(id)
Napi::Value Stat(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  return FactsToJs(info.Env(), os::StatSysvShm(id), id, FactsOf);
}

// sysvShmSet(id, mode | undefined, uid | undefined, gid | undefined)
Napi::Value Set(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  const os::SysvChange change = ChangeFrom(args, 1);
  if (!args.ok()) return info.Env().Undefined();
  return DoneToJs(info.Env(), os::ChangeSysvShm(id, change), id);
}

// sysvShmRemove(id)
Napi::Value Remove(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  return DoneToJs(info.Env(), os::RemoveSysvShm(id), id);
}

// sysvShmLock(id, locked)
Napi::Value Lock(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  const bool locked = args.Flag(1);
  if (!args.ok()) return info.Env().Undefined();
  return DoneToJs(info.Env(), os::LockSysvShm(id, locked), id);
}

// sysvShmList()
Napi::Value List(const Napi::CallbackInfo& info) {
  return ListToJs(info.Env(), os::ListSysvShm(), FactsOf);
}

}  // namespace

void InitSysvShm(Napi::Env env, Napi::Object exports) {
  exports.Set("sysvShmGet", Napi::Function::New<Get>(env));
  exports.Set("sysvShmStat", Napi::Function::New<Stat>(env));
  exports.Set("sysvShmSet", Napi::Function::New<Set>(env));
  exports.Set("sysvShmRemove", Napi::Function::New<Remove>(env));
  exports.Set("sysvShmLock", Napi::Function::New<Lock>(env));
  exports.Set("sysvShmList", Napi::Function::New<List>(env));
}

}  // namespace interproc::node
