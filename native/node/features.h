// Binds what the kernel and the runtime have for lib/features.ts.
#ifndef INTERPROC_NODE_FEATURES_H_
#define INTERPROC_NODE_FEATURES_H_

#include <napi.h>

namespace interproc::node {

void InitFeatures(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_FEATURES_H_
