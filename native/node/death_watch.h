// Binds the watch over the lives of peers for lib/internal/native.ts.
#ifndef INTERPROC_NODE_DEATH_WATCH_H_
#define INTERPROC_NODE_DEATH_WATCH_H_

#include <napi.h>

namespace interproc::node {

void InitDeathWatch(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_DEATH_WATCH_H_
