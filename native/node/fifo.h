// Binds FIFOs for lib/internal/native.ts.
#ifndef INTERPROC_NODE_FIFO_H_
#define INTERPROC_NODE_FIFO_H_

#include <napi.h>

namespace interproc::node {

void InitFifo(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_FIFO_H_
