// Binds sleeping on words of a mapping and waking their sleepers for lib/internal/native.ts.
#ifndef INTERPROC_NODE_FUTEX_H_
#define INTERPROC_NODE_FUTEX_H_

#include <napi.h>

namespace interproc::node {

void InitFutex(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_FUTEX_H_
