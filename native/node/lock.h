// Binds what locks in shared memory need of the system, for lib/sync: who owns, who lives, and
// which bytes are taken. The locks themselves are words that JS changes.
#ifndef INTERPROC_NODE_LOCK_H_
#define INTERPROC_NODE_LOCK_H_

#include <napi.h>

#include "node/handle.h"
#include "os/lock_place.h"
#include "os/owner.h"

namespace interproc::node {

struct OwnerKind {
  using Object = os::Owner;
  static constexpr napi_type_tag kTag = {0x1f0e6b7a90c24d83, 0x8d53c1e7a2b64f19};
  static constexpr const char* kName = "an owner";
};
using OwnerHandle = Handle<OwnerKind>;

struct LockPlaceKind {
  using Object = os::LockPlace;
  static constexpr napi_type_tag kTag = {0xa4c87d2e5b1f4069, 0x9be2073f6cd84a15};
  static constexpr const char* kName = "the place of a lock";
};
using LockPlaceHandle = Handle<LockPlaceKind>;

void InitLock(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_LOCK_H_
