#include "node/errors.h"

#include <cstring>

#include "node/env_data.h"

namespace interproc::node {
namespace {

constexpr size_t kTextMax = 128;

// strerror_r is of GNU, which gives the text, or of POSIX, which tells whether it lies in `room`.
// (What strerror gives is one buffer for all threads, before glibc 2.32, where the number is none
// of the system's, as those of the protocol aren't.)
[[maybe_unused]] const char* TextOf(const char* text, const char*) { return text; }
[[maybe_unused]] const char* TextOf(int failed, const char* room) {
  return failed == 0 ? room : "Unknown error";
}

Napi::Value SetErrorFactory(const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction()) return FailArgument(info.Env(), "a function");
  info.Env().GetInstanceData<EnvData>()->make_error =
      Napi::Persistent(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

}  // namespace

void InitErrors(Napi::Env env, Napi::Object exports) {
  exports.Set("setErrorFactory", Napi::Function::New<SetErrorFactory>(env));
}

Napi::Value MakeError(Napi::Env env, const os::Error& error, const std::string& path) {
  char room[kTextMax];
  const char* text = TextOf(strerror_r(error.number, room, sizeof(room)), room);
  auto* data = env.GetInstanceData<EnvData>();
  if (data->make_error.IsEmpty()) {
    return Napi::Error::New(env, std::string(text) + ", " + error.syscall).Value();
  }
  return data->make_error.Call({Napi::Number::New(env, error.number),
                                Napi::String::New(env, error.syscall),
                                path.empty() ? env.Undefined() : Napi::String::New(env, path),
                                Napi::String::New(env, text)});
}

Napi::Value Fail(Napi::Env env, const os::Error& error, const std::string& path) {
  Napi::Value value = MakeError(env, error, path);
  // Empty: the factory itself threw, and that is on its way already.
  if (!value.IsEmpty()) napi_throw(env, value);
  return env.Undefined();
}

Napi::Value FailArgument(Napi::Env env, const char* expected) {
  Napi::TypeError error =
      Napi::TypeError::New(env, std::string("The argument must be ") + expected);
  error.Set("code", Napi::String::New(env, "ERR_INVALID_ARG_TYPE"));
  error.ThrowAsJavaScriptException();
  return env.Undefined();
}

}  // namespace interproc::node
