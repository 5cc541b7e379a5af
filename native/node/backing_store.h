// Backing stores: a Mapping shown to JS as an ArrayBuffer or a SharedArrayBuffer. One a mapping:
// engines take two stores over the same address for a mistake.
#ifndef INTERPROC_NODE_BACKING_STORE_H_
#define INTERPROC_NODE_BACKING_STORE_H_

#include <napi.h>

#include "os/mapping.h"

namespace interproc::node {

// Whether this runtime can make a SharedArrayBuffer over foreign memory.
bool HasExternalSharedArrayBuffer();

// Whether this runtime shows memory that is not its own: one built with a memory cage does not.
bool HasExternalBuffers(napi_env env);

// The buffer owns a reference to the mapping until it is collected. ENOTSUP (thrown) where the
// runtime allows no foreign memory, or no shared one.
Napi::Value NewBuffer(Napi::Env env, const os::Ref<os::Mapping>& mapping, bool shared);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_BACKING_STORE_H_
