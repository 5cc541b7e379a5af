// Binds POSIX shared-memory objects for lib/internal/native.ts.
#ifndef INTERPROC_NODE_POSIX_SHM_H_
#define INTERPROC_NODE_POSIX_SHM_H_

#include <napi.h>

namespace interproc::node {

void InitPosixShm(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_POSIX_SHM_H_
