// Handle: how JS holds a reference-counted object of native/os. An opaque External whose type tag
// is checked at each use, so that a foreign value is an error and no type confusion.
// The GC of a handle, and the end of its env, drop its reference and no more: a buffer that still
// shows the memory keeps its own. Invariant: an emptied handle (dropped by a close) stays valid and
// holds nothing.
#ifndef INTERPROC_NODE_HANDLE_H_
#define INTERPROC_NODE_HANDLE_H_

#include <napi.h>

#include <utility>

#include "node/args.h"
#include "node/env_data.h"
#include "node/open_handles.h"
#include "os/ref_counted.h"

namespace interproc::node {

// REQUIRES a static constexpr napi_type_tag kTag in Kind, which names T for JS.
template <typename Kind>
class Handle {
 public:
  using Object = typename Kind::Object;

  static Napi::Value New(Napi::Env env, os::Ref<Object> object) {
    auto* held = new Held(env.GetInstanceData<EnvData>()->handles, std::move(object));
    const auto drop = [](napi_env, void* data, void*) {
      const void*& known = Known(data);
      if (known == data) known = nullptr;
      delete static_cast<Held*>(data);
    };
    napi_value external;
    // Fails where a worker is being terminated; node-addon-api would end the process for that.
    if (napi_create_external(env, held, drop, nullptr, &external) != napi_ok) {
      delete held;
      return env.Undefined();
    }
    (void)napi_type_tag_object(env, external, &Kind::kTag);
    return Napi::Value(env, external);
  }

  // The reference that the handle at `index` holds; empty if it was dropped. Null, and args.ok()
  // false, if the argument is no such handle.
  static os::Ref<Object>* Of(Args& args, size_t index) {
    if (!args.ok()) return nullptr;
    const Napi::Value value = args.at(index);
    void* data = nullptr;
    bool is_ours = false;
    const bool is_external = napi_get_value_external(args.env(), value, &data) == napi_ok;
    if (is_external) {
      const void*& known = Known(data);
      if (known == data && data != nullptr) return &static_cast<Held*>(data)->reference;
      is_ours = napi_check_object_type_tag(args.env(), value, &Kind::kTag, &is_ours) == napi_ok &&
                is_ours;
      if (is_ours) known = data;
    }
    if (is_ours) return &static_cast<Held*>(data)->reference;
    args.Reject(Kind::kName);
    return nullptr;
  }

 private:
  // What the External points to.
  struct Held final : OpenHandles::Entry {
    Held(OpenHandles& all, os::Ref<Object> object) : Entry(all), reference(std::move(object)) {}
    void Drop() override { reference = os::Ref<Object>(); }

    os::Ref<Object> reference;
  };

  // The place of the address of a Held: it stands there once this thread has checked the handle's
  // tag, for as long as the Held lives. The check costs more than many a call. A handle is its
  // thread's alone.
  static const void*& Known(const void* data) {
    constexpr size_t kPlaces = 64;
    constexpr size_t kAlignment = 16;  // of what new gives
    static thread_local const void* known[kPlaces];
    return known[reinterpret_cast<uintptr_t>(data) / kAlignment % kPlaces];
  }
};

}  // namespace interproc::node

#endif  // INTERPROC_NODE_HANDLE_H_
