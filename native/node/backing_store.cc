#include "node/backing_store.h"

#include <dlfcn.h>

#include <utility>

#include "node/errors.h"
#include "os/glibc_baseline.h"

namespace interproc::node {
namespace {

using CreateShared = napi_status (*)(napi_env env, void* data, size_t length,
                                     void (*finalize)(void* data, void* hint), void* hint,
                                     napi_value* result);

// Node has it since 22.23.3, 24.16 and 26.1, whatever Node-API version an addon is built for.
CreateShared FindCreateShared() {
  static const auto create = reinterpret_cast<CreateShared>(
      dlsym(RTLD_DEFAULT, "node_api_create_external_sharedarraybuffer"));
  return create;
}

// May run late, on any thread and without an env: it lets go of the mapping and touches no JS.
void LetGo(void*, void* hint) { static_cast<os::Mapping*>(hint)->Release(); }

// Whether the env is being torn down: that is looked at before the missing script is.
bool Ending(napi_env env) {
  napi_value ignored;
  return napi_run_script(env, nullptr, &ignored) != napi_invalid_arg;
}

// Node runs the finalizers of an env's ArrayBuffers when the env ends, also of those whose memory
// `transfer()` has carried to another thread, which may be using it: then it reads zeros from now
// on, and its addresses are never given back.
void LetGoWithEnv(napi_env env, void* data, void* hint) {
  if (Ending(env)) {
    static_cast<os::Mapping*>(hint)->Close();
  } else {
    LetGo(data, hint);
  }
}

}  // namespace

bool HasExternalSharedArrayBuffer() { return FindCreateShared() != nullptr; }

bool HasExternalBuffers(napi_env env) {
  auto* byte = new char(0);
  napi_value ignored;
  const auto release = [](napi_env, void* data, void*) { delete static_cast<char*>(data); };
  const napi_status status =
      napi_create_external_arraybuffer(env, byte, 1, release, nullptr, &ignored);
  if (status == napi_no_external_buffers_allowed) delete byte;
  return status == napi_ok;
}

Napi::Value NewBuffer(Napi::Env env, const os::Ref<os::Mapping>& mapping, bool shared) {
  if (shared && FindCreateShared() == nullptr) return Fail(env, {ENOTSUP, "SharedArrayBuffer"});
  mapping->MarkExposed();
  os::Mapping* hint = os::Ref<os::Mapping>(mapping).Leak();
  napi_value buffer;
  const napi_status status =
      shared ? FindCreateShared()(env, mapping->data(), mapping->length(), LetGo, hint, &buffer)
             : napi_create_external_arraybuffer(env, mapping->data(), mapping->length(),
                                                LetGoWithEnv, hint, &buffer);
  if (status == napi_no_external_buffers_allowed) {
    LetGo(nullptr, hint);
    return Fail(env, {ENOTSUP, "ArrayBuffer"});
  }
  // Any other failure comes with a pending exception, and the engine has run the finalizer.
  if (status != napi_ok) return env.Undefined();
  return Napi::Value(env, buffer);
}

}  // namespace interproc::node
