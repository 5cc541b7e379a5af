// Binds the limits that messages speak of for lib/internal/native.ts.
#ifndef INTERPROC_NODE_RESOURCE_LIMIT_H_
#define INTERPROC_NODE_RESOURCE_LIMIT_H_

#include <napi.h>

namespace interproc::node {

void InitResourceLimit(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_RESOURCE_LIMIT_H_
