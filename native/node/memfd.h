// Binds memfds for lib/internal/native.ts.
#ifndef INTERPROC_NODE_MEMFD_H_
#define INTERPROC_NODE_MEMFD_H_

#include <napi.h>

namespace interproc::node {

void InitMemfd(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_MEMFD_H_
