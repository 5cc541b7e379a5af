// Binds mappings and the buffers over them for lib/internal/native.ts.
#ifndef INTERPROC_NODE_MAPPING_H_
#define INTERPROC_NODE_MAPPING_H_

#include <napi.h>

#include "node/handle.h"
#include "os/mapping.h"

namespace interproc::node {

struct MappingKind {
  using Object = os::Mapping;
  static constexpr napi_type_tag kTag = {0x2b7d5a0f1c3e4b66, 0xa1b8c07752f94e02};
  static constexpr const char* kName = "a mapping";
};
using MappingHandle = Handle<MappingKind>;

void InitMapping(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_MAPPING_H_
