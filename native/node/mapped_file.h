// Binds mapped files for lib/internal/native.ts.
#ifndef INTERPROC_NODE_MAPPED_FILE_H_
#define INTERPROC_NODE_MAPPED_FILE_H_

#include <napi.h>

namespace interproc::node {

void InitMappedFile(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_MAPPED_FILE_H_
