#include "node/background.h"

#include <mutex>
#include <utility>

#include "node/errors.h"
#include "os/ref_counted.h"
#include "os/thread.h"

namespace interproc::node {
namespace {

// Shared by the thread and the threadsafe function; the last of them deletes it.
struct Task : os::RefCounted<Task> {
  std::function<os::Result<void>()> work;
  std::string path;
  os::Result<void> result;
  napi_deferred deferred = nullptr;

  // Node deletes a threadsafe function with its env, whoever still means to call it: under this
  // lock the thread learns whether it is there yet.
  std::mutex mutex;
  napi_threadsafe_function settle = nullptr;  // null once it is gone
};

// On the env's thread; env is null when it is being torn down: nobody awaits the promise any more.
void Settle(napi_env raw_env, napi_value, void*, void* data) {
  if (raw_env == nullptr) return;
  Task* task = static_cast<Task*>(data);
  Napi::Env env(raw_env);
  Napi::HandleScope scope(env);
  if (task->result.ok()) {
    napi_resolve_deferred(env, task->deferred, env.Undefined());
  } else {
    napi_reject_deferred(env, task->deferred, MakeError(env, task->result.error(), task->path));
  }
}

// On the env's thread, just before the function goes: after its release, or with its env.
void ForgetFunction(napi_env, void* data, void*) {
  Task* task = static_cast<Task*>(data);
  {
    std::lock_guard<std::mutex> lock(task->mutex);
    task->settle = nullptr;
  }
  task->Release();
}

void* Run(void* data) {
  const os::Ref<Task> task = os::Ref<Task>::Adopt(static_cast<Task*>(data));
  task->result = task->work();
  task->work = nullptr;  // what it holds goes here and now, whatever becomes of the env
  std::lock_guard<std::mutex> lock(task->mutex);
  if (task->settle != nullptr) {
    napi_call_threadsafe_function(task->settle, task.get(), napi_tsfn_nonblocking);
    napi_release_threadsafe_function(task->settle, napi_tsfn_release);
  }
  return nullptr;
}

}  // namespace

Napi::Value RunInBackground(Napi::Env env, std::function<os::Result<void>()> work,
                            std::string path) {
  os::Ref<Task> task = os::Ref<Task>::Adopt(new Task());
  task->work = std::move(work);
  task->path = std::move(path);
  napi_value promise;
  if (napi_create_promise(env, &task->deferred, &promise) != napi_ok) return env.Undefined();
  const napi_value name = Napi::String::New(env, "interproc");
  os::Ref<Task> for_function = task;
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, for_function.get(),
                                      ForgetFunction, nullptr, Settle, &task->settle) != napi_ok) {
    return Fail(env, {ENOMEM, "pthread_create"}, task->path);
  }
  for_function.Leak();
  os::Ref<Task> for_thread = task;
  os::Result<void> started = os::StartThread(Run, for_thread.get());
  if (started.ok()) {
    for_thread.Leak();
  } else {
    napi_release_threadsafe_function(task->settle, napi_tsfn_abort);
    napi_reject_deferred(env, task->deferred, MakeError(env, started.error(), task->path));
  }
  return Napi::Value(env, promise);
}

}  // namespace interproc::node
