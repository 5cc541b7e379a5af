#include "node/background.h"

#include <utility>

#include "node/errors.h"
#include "node/loop_waker.h"
#include "os/ref_counted.h"
#include "os/thread.h"

namespace interproc::node {
namespace {

// Shared by the thread and the waker; the last of them deletes it.
struct Task : os::RefCounted<Task> {
  std::function<os::Result<void>()> work;
  os::Result<void> result;  // written by the thread before it wakes
  os::Ref<LoopWaker> waker;
};

void* Run(void* data) {
  const os::Ref<Task> task = os::Ref<Task>::Adopt(static_cast<Task*>(data));
  task->result = task->work();
  task->work = nullptr;  // what it holds goes here and now, whatever becomes of the env
  task->waker->Wake();
  return nullptr;
}

}  // namespace

Napi::Value RunInBackground(Napi::Env env, std::function<os::Result<void>()> work,
                            const std::string& path) {
  os::Ref<Task> task = os::Ref<Task>::Adopt(new Task());
  task->work = std::move(work);
  napi_deferred deferred = nullptr;
  napi_value promise = nullptr;
  // Fails where a worker is being terminated; node-addon-api would hand out what it never set.
  if (napi_create_promise(env, &deferred, &promise) != napi_ok) return env.Undefined();
  const auto settle = [path, deferred](Napi::Env settled_env, const os::Result<void>& result) {
    if (result.ok()) {
      (void)napi_resolve_deferred(settled_env, deferred, settled_env.Undefined());
    } else {
      (void)napi_reject_deferred(settled_env, deferred,
                                 MakeError(settled_env, result.error(), path));
    }
  };
  task->waker = LoopWaker::New(env, [task, settle](Napi::Env woken_env) {
    settle(woken_env, task->result);
    task->waker->Close();
  });
  if (!task->waker) return env.Undefined();
  os::Ref<Task> for_thread = task;
  const os::Result<void> started = os::StartThread(Run, for_thread.get());
  if (started.ok()) {
    for_thread.Leak();
  } else {
    settle(env, started);
    task->waker->Close();
  }
  return Napi::Value(env, promise);
}

}  // namespace interproc::node
