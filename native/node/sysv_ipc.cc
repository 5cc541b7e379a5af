#include "node/sysv_ipc.h"

#include <cstdio>

namespace interproc::node {
namespace {

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

std::string KeyName(int32_t key) {
  if (key == 0) return "";
  char text[16];
  (void)std::snprintf(text, sizeof(text), "0x%08x", static_cast<uint32_t>(key));
  return text;
}

std::string IdName(int id) { return "id " + std::to_string(id); }

Napi::Value IdToJs(Napi::Env env, const os::Result<int>& id, int32_t key) {
  if (!id.ok()) return Fail(env, id.error(), KeyName(key));
  return Napi::Number::New(env, id.value());
}

Napi::Value DoneToJs(Napi::Env env, const os::Result<void>& done, int id) {
  return done.ok() ? env.Undefined() : Fail(env, done.error(), IdName(id));
}

os::SysvChange ChangeFrom(Args& args, size_t index) {
  os::SysvChange change;
  change.mode = args.OptionalId(index);
  change.uid = args.OptionalId(index + 1);
  change.gid = args.OptionalId(index + 2);
  return change;
}

Facts::Facts(Napi::Env env, const os::SysvPermissions& permissions)
    : object_(Napi::Object::New(env)) {
  Set("id", permissions.id);
  Set("key", permissions.key);
  Set("mode", permissions.mode);
  Set("uid", permissions.uid);
  Set("gid", permissions.gid);
  Set("creatorUid", permissions.creator_uid);
  Set("creatorGid", permissions.creator_gid);
}

void InitSysvIpc(Napi::Env env, Napi::Object exports) {
  exports.Set("ftok", Napi::Function::New<FtokOf>(env));
}

}  // namespace interproc::node
