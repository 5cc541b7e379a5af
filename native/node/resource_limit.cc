#include "node/resource_limit.h"

#include "node/args.h"
#include "os/resource_limit.h"

namespace interproc::node {
namespace {

// resourceLimit(resource): the soft limit; Infinity = unlimited
Napi::Value ResourceLimit(const Napi::CallbackInfo& info) {
  Args args(info);
  const int resource = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  os::Result<uint64_t> limit = os::SoftLimitOf(resource);
  if (!limit.ok()) return Fail(info.Env(), limit.error());
  const bool unlimited = limit.value() == UINT64_MAX;
  return Napi::Number::New(info.Env(), unlimited ? std::numeric_limits<double>::infinity()
                                                 : static_cast<double>(limit.value()));
}

}  // namespace

void InitResourceLimit(Napi::Env env, Napi::Object exports) {
  exports.Set("resourceLimit", Napi::Function::New<ResourceLimit>(env));
  Napi::Object resources = Napi::Object::New(env);
  resources.Set("memlock", static_cast<int>(RLIMIT_MEMLOCK));
  resources.Set("nofile", static_cast<int>(RLIMIT_NOFILE));
  resources.Set("fsize", static_cast<int>(RLIMIT_FSIZE));
  resources.Set("as", static_cast<int>(RLIMIT_AS));
  resources.Set("msgqueue", static_cast<int>(RLIMIT_MSGQUEUE));
  exports.Set("resources", resources);
}

}  // namespace interproc::node
