#include "node/loop_waker.h"

#include <utility>

#include "os/completions.h"

namespace interproc::node {

os::Ref<LoopWaker> LoopWaker::New(Napi::Env env, std::function<void(Napi::Env)> on_wake) {
  os::Ref<LoopWaker> waker = os::Ref<LoopWaker>::Adopt(new LoopWaker());
  waker->on_wake_ = std::move(on_wake);
  os::Ref<LoopWaker> for_function = waker;
  const napi_value name = Napi::String::New(env, "interproc");
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, for_function.get(), OnGone,
                                      for_function.get(), OnWake, &waker->function_) != napi_ok) {
    Napi::Error::New(env, "interproc: the event loop takes no more wakers")
        .ThrowAsJavaScriptException();
    return {};
  }
  for_function.Leak();  // given back in OnGone
  return waker;
}

void LoopWaker::Wake() {
  if (woken_.exchange(true)) return;  // pairs with the exchange in OnWake
  std::lock_guard<std::mutex> lock(mutex_);
  if (function_ != nullptr) {
    napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
  }
}

void LoopWaker::Keep(Napi::Env env, bool kept) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (function_ == nullptr) return;
  if (kept) {
    napi_ref_threadsafe_function(env, function_);
  } else {
    napi_unref_threadsafe_function(env, function_);
  }
}

void LoopWaker::Close() {
  on_wake_ = nullptr;
  std::lock_guard<std::mutex> lock(mutex_);
  if (function_ != nullptr) napi_release_threadsafe_function(function_, napi_tsfn_abort);
}

// `env` is null when it is being torn down.
void LoopWaker::OnWake(napi_env env, napi_value, void* context, void*) {
  if (env == nullptr) return;  // after OnGone: there may be no waker any more
  auto* waker = static_cast<LoopWaker*>(context);
  waker->woken_.exchange(false);  // first, so that what comes from now on wakes again
  if (!waker->on_wake_) return;
  // A copy: it may close the waker.
  const std::function<void(Napi::Env)> on_wake = waker->on_wake_;
  Napi::HandleScope scope(env);
  on_wake(env);
}

// Just before the function goes: after Close, or with its env.
void LoopWaker::OnGone(napi_env, void* data, void*) {
  auto* waker = static_cast<LoopWaker*>(data);
  waker->on_wake_ = nullptr;  // it may hold whatever holds the waker
  {
    std::lock_guard<std::mutex> lock(waker->mutex_);
    waker->function_ = nullptr;
  }
  waker->Release();
}

void CallWithIds(Napi::Env env, const Napi::FunctionReference& function,
                 const std::vector<uint64_t>& ids) {
  if (ids.empty()) return;
  Napi::Array list = Napi::Array::New(env, ids.size());
  uint32_t index = 0;
  for (const uint64_t id : ids) {
    const auto number = static_cast<double>(id & ~os::kLastCompletion);
    list.Set(index++, (id & os::kLastCompletion) != 0 ? -number : number);
  }
  function.MakeCallback(env.Global(), {list});
}

}  // namespace interproc::node
