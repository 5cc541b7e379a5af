// Binds POSIX semaphores for lib/internal/native.ts.
#ifndef INTERPROC_NODE_POSIX_SEM_H_
#define INTERPROC_NODE_POSIX_SEM_H_

#include <napi.h>

namespace interproc::node {

void InitPosixSem(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_POSIX_SEM_H_
