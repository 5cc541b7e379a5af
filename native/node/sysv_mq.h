// Binds System V message queues for lib/internal/native.ts.
#ifndef INTERPROC_NODE_SYSV_MQ_H_
#define INTERPROC_NODE_SYSV_MQ_H_

#include <napi.h>

namespace interproc::node {

void InitSysvMq(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_SYSV_MQ_H_
