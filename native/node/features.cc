#include "node/features.h"

#include <string>

#include "node/args.h"
#include "node/backing_store.h"
#include "os/death_watch.h"
#include "os/features.h"
#include "os/futex.h"
#include "os/posix_mq.h"

namespace interproc::node {
namespace {

struct Probe {
  const char* name;
  bool (*has)();
};

constexpr Probe kProbes[] = {
    {"futexWaitv", os::HasFutexWaitv}, {"memfd", os::HasMemfd},
    {"mqNotify", os::HasMqNotify},     {"ownerLocks", os::HasOwnerLocks},
    {"pidfd", os::HasPidfd},           {"posixMq", os::HasPosixMq},
    {"posixShm", os::HasPosixShm},     {"sysvMq", os::HasSysvMq},
    {"sysvMqCopy", os::HasSysvMqCopy}, {"sysvSem", os::HasSysvSem},
    {"sysvShm", os::HasSysvShm},       {"unixSocket", os::HasUnixSocket},
};

// has(name): what the kernel has
Napi::Value Has(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string name = args.Text(0);
  if (!args.ok()) return info.Env().Undefined();
  for (const Probe& probe : kProbes) {
    if (name == probe.name) return Napi::Boolean::New(info.Env(), probe.has());
  }
  return FailArgument(info.Env(), "the name of a feature");
}

// hasAdvice(advice): for madvise
Napi::Value HasAdvice(const Napi::CallbackInfo& info) {
  Args args(info);
  const int advice = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Boolean::New(info.Env(), os::HasAdvice(advice));
}

// hasSeal(seal): for memory without a name
Napi::Value HasSeal(const Napi::CallbackInfo& info) {
  Args args(info);
  const int seal = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Boolean::New(info.Env(), os::HasSeal(seal));
}

// hasExternalBuffers(): whether the runtime shows memory that is not its own
Napi::Value HasBuffers(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), HasExternalBuffers(info.Env()));
}

}  // namespace

void InitFeatures(Napi::Env env, Napi::Object exports) {
  exports.Set("has", Napi::Function::New<Has>(env));
  exports.Set("hasAdvice", Napi::Function::New<HasAdvice>(env));
  exports.Set("hasSeal", Napi::Function::New<HasSeal>(env));
  exports.Set("hasExternalBuffers", Napi::Function::New<HasBuffers>(env));
}

}  // namespace interproc::node
