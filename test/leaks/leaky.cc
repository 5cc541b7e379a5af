// An addon that forgets memory: to show that scripts/test-leaks.js would see it if ours did.
#include <node_api.h>

namespace {

int* last = nullptr;

napi_value Forget(napi_env env, napi_callback_info /*info*/) {
  last = new int[10];  // the one before is lost
  napi_value length = nullptr;
  return napi_create_int32(env, *last = 10, &length) == napi_ok ? length : nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value forget = nullptr;
  if (napi_create_function(env, "forget", NAPI_AUTO_LENGTH, Forget, nullptr, &forget) != napi_ok ||
      napi_set_named_property(env, exports, "forget", forget) != napi_ok) {
    return nullptr;
  }
  return exports;
}
