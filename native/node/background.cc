#include "node/background.h"

#include <memory>
#include <utility>

#include "node/errors.h"
#include "os/thread.h"

namespace interproc::node {
namespace {

struct Task {
  std::function<os::Result<void>()> work;
  std::string path;
  os::Result<void> result;
  napi_deferred deferred = nullptr;
  napi_threadsafe_function settle = nullptr;
};

// On the env's thread; env is null when it is being torn down: nobody awaits the promise any more.
void Settle(napi_env raw_env, napi_value, void*, void* data) {
  std::unique_ptr<Task> task(static_cast<Task*>(data));
  if (raw_env == nullptr) return;
  Napi::Env env(raw_env);
  Napi::HandleScope scope(env);
  if (task->result.ok()) {
    napi_resolve_deferred(env, task->deferred, env.Undefined());
  } else {
    napi_reject_deferred(env, task->deferred, MakeError(env, task->result.error(), task->path));
  }
}

void* Run(void* data) {
  std::unique_ptr<Task> task(static_cast<Task*>(data));
  task->result = task->work();
  const napi_threadsafe_function settle = task->settle;
  Task* handed_over = task.get();
  // napi_closing: the env is gone, the function with it, and the task stays ours to delete.
  if (napi_call_threadsafe_function(settle, handed_over, napi_tsfn_blocking) == napi_ok) {
    task.release();
    napi_release_threadsafe_function(settle, napi_tsfn_release);
  }
  return nullptr;
}

}  // namespace

Napi::Value RunInBackground(Napi::Env env, std::function<os::Result<void>()> work,
                            std::string path) {
  auto task = std::make_unique<Task>();
  task->work = std::move(work);
  task->path = std::move(path);
  napi_value promise;
  if (napi_create_promise(env, &task->deferred, &promise) != napi_ok) return env.Undefined();
  const napi_value name = Napi::String::New(env, "interproc");
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, nullptr,
                                      Settle, &task->settle) != napi_ok) {
    return Fail(env, {ENOMEM, "pthread_create"}, task->path);
  }
  os::Result<void> started = os::StartThread(Run, task.get());
  if (!started.ok()) {
    napi_release_threadsafe_function(task->settle, napi_tsfn_release);
    napi_reject_deferred(env, task->deferred, MakeError(env, started.error(), task->path));
  } else {
    task.release();
  }
  return Napi::Value(env, promise);
}

}  // namespace interproc::node
