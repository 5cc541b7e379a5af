// What the bindings of all System V objects have in common: how errors name one, and what is told
// of its owner.
#ifndef INTERPROC_NODE_SYSV_IPC_H_
#define INTERPROC_NODE_SYSV_IPC_H_

#include <napi.h>

#include <string>
#include <vector>

#include "node/args.h"
#include "os/sysv_ipc.h"

namespace interproc::node {

// How errors name an object: by its key, '' for a private one, or by its id.
std::string KeyName(int32_t key);
std::string IdName(int id);

// The id, or throws what the system says of the key.
Napi::Value IdToJs(Napi::Env env, const os::Result<int>& id, int32_t key);
Napi::Value DoneToJs(Napi::Env env, const os::Result<void>& done, int id);

// Three arguments from `index` on: mode | undefined, uid | undefined, gid | undefined.
os::SysvChange ChangeFrom(Args& args, size_t index);

// The facts of an object, in the order in which they are set.
class Facts {
 public:
  Facts(Napi::Env env, const os::SysvPermissions& permissions);
  void Set(const char* key, double value) {
    object_.Set(key, Napi::Number::New(object_.Env(), value));
  }
  // Of seconds since the epoch.
  void SetTime(const char* key, double seconds) { Set(key, seconds * kMsPerSecond); }
  void SetFlag(const char* key, bool value) { object_.Set(key, value); }
  Napi::Object object() const { return object_; }

 private:
  static constexpr double kMsPerSecond = 1e3;
  Napi::Object object_;
};

// The status of one object, or of all; `to_js` makes the Facts of one.
template <typename Status>
Napi::Value FactsToJs(Napi::Env env, const os::Result<Status>& status, int id,
                      Napi::Object (*to_js)(Napi::Env, const Status&)) {
  if (!status.ok()) return Fail(env, status.error(), IdName(id));
  return to_js(env, status.value());
}

template <typename Status>
Napi::Value ListToJs(Napi::Env env, const os::Result<std::vector<Status>>& statuses,
                     Napi::Object (*to_js)(Napi::Env, const Status&)) {
  if (!statuses.ok()) return Fail(env, statuses.error());
  Napi::Array list = Napi::Array::New(env, statuses.value().size());
  uint32_t index = 0;
  for (const Status& status : statuses.value()) list.Set(index++, to_js(env, status));
  return list;
}

void InitSysvIpc(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_SYSV_IPC_H_
