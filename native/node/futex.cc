#include "node/futex.h"

#include <climits>
#include <utility>

#include "node/env_data.h"
#include "node/mapping.h"
#include "os/futex.h"
#include "os/thread.h"

namespace interproc::node {
namespace {

// (mapping, offset): a word inside it. Throws and gives no twin where there is none.
os::WaitWord WordOf(Args& args) {
  os::Ref<os::Mapping>* mapping = MappingHandle::Of(args, 0);
  const uint64_t offset = args.Size(1);
  if (!args.ok()) return {};
  const bool inside = *mapping && offset % sizeof(os::FutexWord) == 0 &&
                      offset + sizeof(os::FutexWord) <= (*mapping)->length();
  if (!inside) {
    Fail(args.env(), {EINVAL, "futex"});
    return {};
  }
  os::Result<os::WaitWord> word = (*mapping)->WordAt(offset);
  if (word.ok()) return word.value();
  Fail(args.env(), word.error());
  return {};
}

// A page that is gone is EFAULT to the kernel; a look at it is what marks the mapping.
void Look(const os::WaitWord& word) { (void)word.word->load(std::memory_order_relaxed); }

uint32_t Expected(Args& args, size_t index) {
  return static_cast<uint32_t>(args.Integer(index, INT_MIN, UINT32_MAX));
}

// Null, and EINVAL is thrown, before futexInit. Read the arguments first: a second exception would
// end the process.
os::FutexWaiters* WaitersOf(Napi::Env env) {
  os::FutexWaiters* waiters = env.GetInstanceData<EnvData>()->waiters.get();
  if (waiters == nullptr) Fail(env, {EINVAL, "futexInit"});
  return waiters;
}

// Hands the ids of the waits that are over to JS, all at once.
void Deliver(Napi::Env env) {
  auto* data = env.GetInstanceData<EnvData>();
  CallWithIds(env, data->on_waits_over, data->waiters->TakeCompleted());
}

// futexInit(onOver): once an env. onOver(ids) is called when waits are over.
Napi::Value Init(const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction()) return FailArgument(info.Env(), "a function");
  auto* data = info.Env().GetInstanceData<EnvData>();
  data->on_waits_over = Napi::Persistent(info[0].As<Napi::Function>());
  if (data->waiters) return info.Env().Undefined();
  data->waker = LoopWaker::New(info.Env(), Deliver);
  if (!data->waker) return info.Env().Undefined();
  data->waker->Keep(info.Env(), false);
  data->waiters = std::make_unique<os::FutexWaiters>([waker = data->waker] { waker->Wake(); });
  return info.Env().Undefined();
}

// futexAdd(mapping, offset, expected, id): false, and nothing was added, where the word differs
// already
Napi::Value Add(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::WaitWord word = WordOf(args);
  if (!word.twin) return info.Env().Undefined();
  const uint32_t expected = Expected(args, 2);
  const uint64_t id = args.Size(3);
  if (!args.ok()) return info.Env().Undefined();
  os::FutexWaiters* waiters = WaitersOf(info.Env());
  if (waiters == nullptr) return info.Env().Undefined();
  // Seen here and now, so that a wait of one try finds it; the look also finds a page that is gone.
  if (word.word->load(std::memory_order_acquire) != expected ||
      word.twin->fault() != os::Fault::kNone) {
    return Napi::Boolean::New(info.Env(), false);
  }
  const os::Result<void> added = waiters->Add(id, word, expected);
  if (!added.ok()) return Fail(info.Env(), added.error());
  return Napi::Boolean::New(info.Env(), true);
}

// futexWatch(mapping, offset, id): onOver is told each time that the word has changed, at last with
// -id when it is gone
Napi::Value Watch(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::WaitWord word = WordOf(args);
  if (!word.twin) return info.Env().Undefined();
  const uint64_t id = args.Size(2);
  if (!args.ok()) return info.Env().Undefined();
  os::FutexWaiters* waiters = WaitersOf(info.Env());
  if (waiters == nullptr) return info.Env().Undefined();
  const os::Result<void> added = waiters->Watch(id, word);
  if (!added.ok()) return Fail(info.Env(), added.error());
  return info.Env().Undefined();
}

// futexCancel(id): false if it is over already; onOver has told or will tell
Napi::Value Cancel(const Napi::CallbackInfo& info) {
  Args args(info);
  const uint64_t id = args.Size(0);
  if (!args.ok()) return info.Env().Undefined();
  os::FutexWaiters* waiters = WaitersOf(info.Env());
  if (waiters == nullptr) return info.Env().Undefined();
  return Napi::Boolean::New(info.Env(), waiters->Cancel(id));
}

// futexKeep(kept): whether waits keep the process alive
Napi::Value Keep(const Napi::CallbackInfo& info) {
  Args args(info);
  const bool kept = args.Flag(0);
  if (!args.ok()) return info.Env().Undefined();
  if (WaitersOf(info.Env()) == nullptr) return info.Env().Undefined();
  info.Env().GetInstanceData<EnvData>()->waker->Keep(info.Env(), kept);
  return info.Env().Undefined();
}

// futexSleep(mapping, offset, expected, nanoseconds): 0 woken, or the errno: EAGAIN, ETIMEDOUT,
// EINTR
Napi::Value Sleep(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::WaitWord word = WordOf(args);
  if (!word.twin) return info.Env().Undefined();
  const uint32_t expected = Expected(args, 2);
  const uint64_t timeout_ns = args.Size(3);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<void> woken = os::FutexWait(word.word, expected, timeout_ns);
  if (!woken.ok() && woken.error().number == EFAULT) Look(word);
  return Napi::Number::New(info.Env(), woken.ok() ? 0 : woken.error().number);
}

// yieldProcessor(): lets another thread run here, if one can (man 2 sched_yield); whether that was
// soon over
Napi::Value YieldProcessor(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), os::YieldProcessor());
}

// futexWake(mapping, offset, count): how many were woken
Napi::Value Wake(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::WaitWord word = WordOf(args);
  if (!word.twin) return info.Env().Undefined();
  const int count = static_cast<int>(args.Integer(2, 0, INT_MAX));
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<int> woken = os::FutexWake(word.word, count);
  if (!woken.ok() && woken.error().number == EFAULT) Look(word);
  if (!woken.ok()) return Fail(info.Env(), woken.error());
  return Napi::Number::New(info.Env(), woken.value());
}

}  // namespace

void InitFutex(Napi::Env env, Napi::Object exports) {
  exports.Set("futexInit", Napi::Function::New<Init>(env));
  exports.Set("futexAdd", Napi::Function::New<Add>(env));
  exports.Set("futexWatch", Napi::Function::New<Watch>(env));
  exports.Set("futexCancel", Napi::Function::New<Cancel>(env));
  exports.Set("futexKeep", Napi::Function::New<Keep>(env));
  exports.Set("futexSleep", Napi::Function::New<Sleep>(env));
  exports.Set("yieldProcessor", Napi::Function::New<YieldProcessor>(env));
  exports.Set("futexWake", Napi::Function::New<Wake>(env));
}

}  // namespace interproc::node
