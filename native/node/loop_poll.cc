#include "node/loop_poll.h"

#include <uv.h>

#include <utility>

#include "node/loop_waker.h"
#include "os/edge_watcher.h"

// Weak: a runtime that has no libuv need not have these names either.
#pragma weak uv_poll_init
#pragma weak uv_poll_start
#pragma weak uv_poll_stop
#pragma weak uv_close
#pragma weak uv_ref
#pragma weak uv_unref

namespace interproc::node {
namespace {

class UvPoll : public LoopPoll {
 public:
  static os::Result<LoopPoll*> New(Napi::Env env, uv_loop_t* loop, int fd,
                                   std::function<void(Napi::Env)> on_ready) {
    auto* poll = new UvPoll(env, std::move(on_ready));
    const int failed = uv_poll_init(loop, &poll->handle_, fd);
    if (failed != 0) {
      delete poll;
      return os::Error{-failed, "uv_poll_init"};
    }
    poll->handle_.data = poll;
    // Before the env goes the loop runs until the handle is closed.
    napi_add_async_cleanup_hook(env, OnEnvEnds, poll, &poll->cleanup_);
    uv_unref(poll->handle());
    uv_poll_start(&poll->handle_, UV_READABLE, OnReady);
    return poll;
  }

  void Keep(Napi::Env, bool kept) override { kept ? uv_ref(handle()) : uv_unref(handle()); }

 private:
  UvPoll(Napi::Env env, std::function<void(Napi::Env)> on_ready)
      : env_(env), on_ready_(std::move(on_ready)) {}

  uv_handle_t* handle() { return reinterpret_cast<uv_handle_t*>(&handle_); }

  static void OnReady(uv_poll_t* handle, int, int) {
    auto* poll = static_cast<UvPoll*>(handle->data);
    const Napi::Env env(poll->env_);
    Napi::HandleScope scope(env);
    poll->on_ready_(env);
    // Nobody below would see it: as an exception of any other callback.
    napi_value error;
    if (env.IsExceptionPending() && napi_get_and_clear_last_exception(env, &error) == napi_ok) {
      napi_fatal_exception(env, error);
    }
  }

  static void OnEnvEnds(napi_async_cleanup_hook_handle, void* data) {
    auto* poll = static_cast<UvPoll*>(data);
    uv_poll_stop(&poll->handle_);
    uv_close(poll->handle(), [](uv_handle_t* handle) {
      auto* closed = static_cast<UvPoll*>(handle->data);
      napi_remove_async_cleanup_hook(closed->cleanup_);
      delete closed;
    });
  }

  uv_poll_t handle_ = {};
  const napi_env env_;
  const std::function<void(Napi::Env)> on_ready_;
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
};

class ThreadPoll : public LoopPoll {
 public:
  static os::Result<LoopPoll*> New(Napi::Env env, int fd, std::function<void(Napi::Env)> on_ready) {
    os::Ref<LoopWaker> waker = LoopWaker::New(env, std::move(on_ready));
    if (!waker) return os::Error{ENOMEM, "napi_create_threadsafe_function"};
    waker->Keep(env, false);
    os::Result<std::unique_ptr<os::EdgeWatcher>> watcher =
        os::EdgeWatcher::Start(fd, [waker] { waker->Wake(); });
    if (!watcher.ok()) {
      waker->Close();
      return watcher.error();
    }
    auto* poll = new ThreadPoll(std::move(waker), std::move(watcher.value()));
    env.AddCleanupHook([](ThreadPoll* ending) { delete ending; }, poll);
    return poll;
  }

  void Keep(Napi::Env env, bool kept) override { waker_->Keep(env, kept); }

 private:
  ThreadPoll(os::Ref<LoopWaker> waker, std::unique_ptr<os::EdgeWatcher> watcher)
      : waker_(std::move(waker)), watcher_(std::move(watcher)) {}

  const os::Ref<LoopWaker> waker_;
  const std::unique_ptr<os::EdgeWatcher> watcher_;
};

uv_loop_t* LoopOf(Napi::Env env) {
  uv_loop_t* loop = nullptr;
  if (uv_poll_init == nullptr || napi_get_uv_event_loop(env, &loop) != napi_ok) return nullptr;
  return loop;
}

}  // namespace

os::Result<LoopPoll*> LoopPoll::New(Napi::Env env, int fd, bool own_thread,
                                    std::function<void(Napi::Env)> on_ready) {
  uv_loop_t* loop = own_thread ? nullptr : LoopOf(env);
  if (loop == nullptr) return ThreadPoll::New(env, fd, std::move(on_ready));
  return UvPoll::New(env, loop, fd, std::move(on_ready));
}

}  // namespace interproc::node
