// LoopWaker: how threads of our own reach an event loop. Wake() from any thread runs `on_wake` on
// the env's thread soon after, once for any number of wakes in between. Node deletes a threadsafe
// function with its env, whoever still means to call it; a waker may be woken at any time, also
// when its env is long gone: then nothing happens.
#ifndef INTERPROC_NODE_LOOP_WAKER_H_
#define INTERPROC_NODE_LOOP_WAKER_H_

#include <napi.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "os/ref_counted.h"

namespace interproc::node {

class LoopWaker : public os::RefCounted<LoopWaker> {
 public:
  // Null, and an exception pending, when the env can't make one. Keeps the process alive from the
  // start: see Keep.
  static os::Ref<LoopWaker> New(Napi::Env env, std::function<void(Napi::Env)> on_wake);

  void Wake();

  // Both on the env's thread. A waker that is not kept lets the process end, as an unref()ed timer.
  void Keep(Napi::Env env, bool kept);
  void Close();  // no on_wake after this

 private:
  static void OnWake(napi_env env, napi_value, void* context, void*);
  static void OnGone(napi_env env, void* data, void*);

  std::function<void(Napi::Env)> on_wake_;  // the env's thread only; empty once closed
  std::atomic<bool> woken_{false};
  std::mutex mutex_;
  napi_threadsafe_function function_ = nullptr;  // under the mutex; null once it is gone
};

// Calls `function` with a list of ids, if there are any.
void CallWithIds(Napi::Env env, const Napi::FunctionReference& function,
                 const std::vector<uint64_t>& ids);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_LOOP_WAKER_H_
