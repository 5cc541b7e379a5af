// Background: one blocking call on a thread of its own, settled as a promise. For calls that end by
// themselves (msync); libuv's four pool threads are left to those who need them.
#ifndef INTERPROC_NODE_BACKGROUND_H_
#define INTERPROC_NODE_BACKGROUND_H_

#include <napi.h>

#include <functional>
#include <string>

#include "os/result.h"

namespace interproc::node {

// The promise keeps the process alive as a timer does. `work` runs on the other thread and touches
// no JS; what it holds is let go wherever the call ends, also when the env is gone by then. `path`
// goes into the error.
Napi::Value RunInBackground(Napi::Env env, std::function<os::Result<void>()> work,
                            const std::string& path);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_BACKGROUND_H_
