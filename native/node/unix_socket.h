// Binds UNIX sockets for lib/internal/native.ts.
#ifndef INTERPROC_NODE_UNIX_SOCKET_H_
#define INTERPROC_NODE_UNIX_SOCKET_H_

#include <napi.h>

namespace interproc::node {

void InitUnixSocket(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_UNIX_SOCKET_H_
