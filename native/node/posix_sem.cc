#include "node/posix_sem.h"

#include "node/blocking_call.h"
#include "node/mapping.h"
#include "node/memory_file.h"
#include "os/posix_sem.h"

namespace interproc::node {
namespace {

uint32_t ValueFrom(Args& args, size_t index) {
  constexpr int64_t kValueMax = INT32_MAX;  // SEM_VALUE_MAX
  return static_cast<uint32_t>(args.Integer(index, 0, kValueMax));
}

// posixSemCreate(name, value, mode, uid, gid)
Napi::Value Create(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string name = args.Text(0);
  const uint32_t value = ValueFrom(args, 1);
  const os::Access access = args.Access(2);
  if (!args.ok()) return info.Env().Undefined();
  return OpenedToJs(info.Env(), os::CreatePosixSem(name, value, access), name);
}

// posixSemOpen(name)
Napi::Value Open(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string name = args.Text(0);
  if (!args.ok()) return info.Env().Undefined();
  return OpenedToJs(info.Env(), os::OpenPosixSem(name), name);
}

// posixSemInit(mapping, offset, value): sem_init there, shared
Napi::Value Init(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::Mapping>* mapping = MappingHandle::Of(args, 0);
  const uint64_t offset = args.Size(1);
  const uint32_t value = ValueFrom(args, 2);
  if (!args.ok()) return info.Env().Undefined();
  constexpr uint64_t kAlignment = 8;
  const bool inside = *mapping && !(*mapping)->closed() && offset % kAlignment == 0 &&
                      offset <= (*mapping)->length() &&
                      os::kSemSize <= (*mapping)->length() - offset;
  if (!inside) return Fail(info.Env(), {EINVAL, "sem_init"});
  os::InitPosixSem((*mapping)->data() + offset, value);
  return info.Env().Undefined();
}

// A mapping that begins with a semaphore. Null, and EINVAL is thrown, where it is closed or short.
os::Ref<os::Mapping>* SemaphoreFrom(Args& args, size_t index) {
  os::Ref<os::Mapping>* mapping = MappingHandle::Of(args, index);
  if (!args.ok()) return nullptr;
  if (*mapping && !(*mapping)->closed() && (*mapping)->length() >= os::kSemSize) return mapping;
  args.Fail({EINVAL, "sem_wait"});
  return nullptr;
}

// posixSemSleep(mapping, nanoseconds): while there is no permit, until somebody gives one, at most
// so long
Napi::Value Sleep(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::Mapping>* mapping = SemaphoreFrom(args, 0);
  const uint64_t timeout_ns = args.Size(1);
  if (!args.ok()) return info.Env().Undefined();
  // Whatever ends it, the next look at the semaphore tells.
  if (timeout_ns > 0) (void)os::SleepOnPosixSem(*mapping->get(), timeout_ns);
  return info.Env().Undefined();
}

// posixSemAcquireStart(call, mapping): a call in the background that gives 1 when a permit was
// taken, 0 where the memory is gone. REQUIRES a mapping that is for these calls alone.
Napi::Value AcquireStart(const Napi::CallbackInfo& info) {
  Args args(info);
  const uint64_t call_id = args.Size(0);
  os::Ref<os::Mapping>* mapping = SemaphoreFrom(args, 1);
  if (!args.ok()) return info.Env().Undefined();
  return StartBlockingCall(
      info.Env(), call_id,
      [mapping = *mapping](const os::BlockingCall& call) {
        return os::AcquirePosixSem(call, *mapping.get());
      },
      [](Napi::Env env, const os::Outcome& outcome) -> Napi::Value {
        return Napi::Number::New(env, static_cast<double>(outcome.number));
      },
      [mapping = *mapping](const os::Outcome& outcome) {
        if (outcome.number == 1) os::ReleasePosixSem(*mapping.get());
      });
}

// posixSemStat(name)
Napi::Value Stat(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string name = args.Text(0);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<os::FileStatus> status = os::StatPosixSem(name);
  if (!status.ok()) return Fail(info.Env(), status.error(), name);
  return StatusToJs(info.Env(), status.value());
}

// posixSemValue(name)
Napi::Value Value(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string name = args.Text(0);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<uint32_t> value = os::ValueOfPosixSem(name);
  if (!value.ok()) return Fail(info.Env(), value.error(), name);
  return Napi::Number::New(info.Env(), value.value());
}

// posixSemUnlink(name)
Napi::Value Unlink(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string name = args.Text(0);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<void> gone = os::UnlinkPosixSem(name);
  return gone.ok() ? info.Env().Undefined() : Fail(info.Env(), gone.error(), name);
}

// posixSemPath(name): where it lies in the file system
Napi::Value Path(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string name = args.Text(0);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::String::New(info.Env(), os::PosixSemPath(name));
}

// posixSemList(): names without slash
Napi::Value List(const Napi::CallbackInfo& info) {
  return NamesToJs(info.Env(), os::ListPosixSem(), "/dev/shm");
}

}  // namespace

void InitPosixSem(Napi::Env env, Napi::Object exports) {
  exports.Set("posixSemCreate", Napi::Function::New<Create>(env));
  exports.Set("posixSemOpen", Napi::Function::New<Open>(env));
  exports.Set("posixSemInit", Napi::Function::New<Init>(env));
  exports.Set("posixSemSleep", Napi::Function::New<Sleep>(env));
  exports.Set("posixSemAcquireStart", Napi::Function::New<AcquireStart>(env));
  exports.Set("posixSemStat", Napi::Function::New<Stat>(env));
  exports.Set("posixSemValue", Napi::Function::New<Value>(env));
  exports.Set("posixSemUnlink", Napi::Function::New<Unlink>(env));
  exports.Set("posixSemPath", Napi::Function::New<Path>(env));
  exports.Set("posixSemList", Napi::Function::New<List>(env));
  exports.Set("posixSemSize", static_cast<double>(os::kSemSize));
  exports.Set("posixSemWords", [&] {
    Napi::Object words = Napi::Object::New(env);
    words.Set("value", static_cast<double>(os::kSemValue));
    words.Set("waiters", static_cast<double>(os::kSemWaiters));
    words.Set("private", static_cast<double>(os::kSemPrivate));
    return words;
  }());
}

}  // namespace interproc::node
