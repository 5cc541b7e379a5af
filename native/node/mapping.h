// Binds mappings and the buffers over them for lib/internal/native.ts.
#ifndef INTERPROC_NODE_MAPPING_H_
#define INTERPROC_NODE_MAPPING_H_

#include <napi.h>

namespace interproc::node {

void InitMapping(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_MAPPING_H_
