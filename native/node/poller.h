// Binds the waiting on descriptors for lib/internal/native.ts: one PollSet an env, whose events
// reach JS through the env's own event loop.
#ifndef INTERPROC_NODE_POLLER_H_
#define INTERPROC_NODE_POLLER_H_

#include <napi.h>

namespace interproc::node {

void InitPoller(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_POLLER_H_
