// Binds POSIX message queues for lib/internal/native.ts.
#ifndef INTERPROC_NODE_POSIX_MQ_H_
#define INTERPROC_NODE_POSIX_MQ_H_

#include <napi.h>

namespace interproc::node {

void InitPosixMq(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_POSIX_MQ_H_
