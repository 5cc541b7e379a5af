// Errors on their way to JS. Their class, texts and hints live in lib/errors.ts, which hands its
// factory to each env at load; here only the facts are passed on: errno, system call, path.
#ifndef INTERPROC_NODE_ERRORS_H_
#define INTERPROC_NODE_ERRORS_H_

#include <napi.h>

#include <string>

#include "os/result.h"

namespace interproc::node {

// setErrorFactory(make): make(errno, syscall, path | undefined, text) returns the error to throw.
void InitErrors(Napi::Env env, Napi::Object exports);

Napi::Value MakeError(Napi::Env env, const os::Error& error, const std::string& path);

// Throws and returns undefined, for `return Fail(...)`.
Napi::Value Fail(Napi::Env env, const os::Error& error, const std::string& path = {});

// A call that lib/ can't make: a TypeError with Node's code, for whoever calls the addon directly.
Napi::Value FailArgument(Napi::Env env, const char* expected);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_ERRORS_H_
