#include "node/sysv_shm.h"

#include "node/args.h"
#include "os/sysv_shm.h"

namespace interproc::node {
namespace {

constexpr double kMsPerSecond = 1e3;

Napi::Object StatusToJs(Napi::Env env, const os::SysvShmStatus& status) {
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* key, double value) {
    object.Set(key, Napi::Number::New(env, value));
  };
  set("id", status.id);
  set("key", status.key);
  set("size", static_cast<double>(status.size));
  set("mode", status.mode);
  set("uid", status.uid);
  set("gid", status.gid);
  set("creatorUid", status.creator_uid);
  set("creatorGid", status.creator_gid);
  set("creatorPid", status.creator_pid);
  set("lastPid", status.last_pid);
  set("attached", static_cast<double>(status.attached));
  set("attachedAtMs", status.attached_at_s * kMsPerSecond);
  set("detachedAtMs", status.detached_at_s * kMsPerSecond);
  set("changedAtMs", status.changed_at_s * kMsPerSecond);
  object.Set("removed", status.removed);
  object.Set("locked", status.locked);
  return object;
}

// How errors name a segment.
std::string KeyName(int32_t key) {
  char text[16];
  std::snprintf(text, sizeof(text), "0x%08x", static_cast<uint32_t>(key));
  return text;
}

std::string IdName(int id) { return "id " + std::to_string(id); }

Napi::Value Done(Napi::Env env, const os::Result<void>& result, int id) {
  return result.ok() ? env.Undefined() : Fail(env, result.error(), IdName(id));
}

// sysvShmGet(key, size, create, mode): the id
Napi::Value Get(const Napi::CallbackInfo& info) {
  Args args(info);
  const int key = args.Int(0);
  const uint64_t size = args.Size(1);
  const bool create = args.Flag(2);
  const os::Access access = args.Access(3);
  if (!args.ok()) return info.Env().Undefined();
  os::Result<int> id = os::GetSysvShm(key, size, create, access.mode);
  if (!id.ok()) return Fail(info.Env(), id.error(), key == 0 ? "" : KeyName(key));
  return Napi::Number::New(info.Env(), id.value());
}

// sysvShmStat(id)
Napi::Value Stat(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  os::Result<os::SysvShmStatus> status = os::StatSysvShm(id);
  if (!status.ok()) return Fail(info.Env(), status.error(), IdName(id));
  return StatusToJs(info.Env(), status.value());
}

// sysvShmSet(id, mode | undefined, uid | undefined, gid | undefined)
Napi::Value Set(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  const os::SysvShmChange change{args.OptionalId(1), args.OptionalId(2), args.OptionalId(3)};
  if (!args.ok()) return info.Env().Undefined();
  return Done(info.Env(), os::ChangeSysvShm(id, change), id);
}

// sysvShmRemove(id)
Napi::Value Remove(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  return Done(info.Env(), os::RemoveSysvShm(id), id);
}

// sysvShmLock(id, locked)
Napi::Value Lock(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  const bool locked = args.Flag(1);
  if (!args.ok()) return info.Env().Undefined();
  return Done(info.Env(), os::LockSysvShm(id, locked), id);
}

// sysvShmList()
Napi::Value List(const Napi::CallbackInfo& info) {
  os::Result<std::vector<os::SysvShmStatus>> statuses = os::ListSysvShm();
  if (!statuses.ok()) return Fail(info.Env(), statuses.error());
  Napi::Array list = Napi::Array::New(info.Env(), statuses.value().size());
  uint32_t index = 0;
  for (const os::SysvShmStatus& status : statuses.value()) {
    list.Set(index++, StatusToJs(info.Env(), status));
  }
  return list;
}

// ftok(path, projectId)
Napi::Value FtokOf(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string path = args.Text(0);
  const int project_id = args.Int(1);
  if (!args.ok()) return info.Env().Undefined();
  os::Result<int32_t> key = os::Ftok(path, project_id);
  if (!key.ok()) return Fail(info.Env(), key.error(), path);
  return Napi::Number::New(info.Env(), key.value());
}

}  // namespace

void InitSysvShm(Napi::Env env, Napi::Object exports) {
  exports.Set("sysvShmGet", Napi::Function::New(env, Get));
  exports.Set("sysvShmStat", Napi::Function::New(env, Stat));
  exports.Set("sysvShmSet", Napi::Function::New(env, Set));
  exports.Set("sysvShmRemove", Napi::Function::New(env, Remove));
  exports.Set("sysvShmLock", Napi::Function::New(env, Lock));
  exports.Set("sysvShmList", Napi::Function::New(env, List));
  exports.Set("ftok", Napi::Function::New(env, FtokOf));
}

}  // namespace interproc::node
