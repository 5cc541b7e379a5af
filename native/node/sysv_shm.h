// Binds System V shared memory and ftok for lib/internal/native.ts.
#ifndef INTERPROC_NODE_SYSV_SHM_H_
#define INTERPROC_NODE_SYSV_SHM_H_

#include <napi.h>

namespace interproc::node {

void InitSysvShm(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_SYSV_SHM_H_
