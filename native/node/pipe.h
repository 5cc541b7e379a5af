// Binds pipes for lib/internal/native.ts.
#ifndef INTERPROC_NODE_PIPE_H_
#define INTERPROC_NODE_PIPE_H_

#include <napi.h>

namespace interproc::node {

void InitPipe(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_PIPE_H_
