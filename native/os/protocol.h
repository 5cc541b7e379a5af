// The protocol of channels (include/interproc.h) as native/os uses it: with the failpoints of the
// package, and its errors as numbers that Result can carry.
#ifndef INTERPROC_OS_PROTOCOL_H_
#define INTERPROC_OS_PROTOCOL_H_

#include "os/failpoint.h"

#define INTERPROC_FAILPOINT(name) ::interproc::os::Failpoint(name)
#include "include/interproc.h"
#include "os/result.h"

namespace interproc::os {

// The negative result of a function of interproc.h; numbers above 5000 are of enum interproc_error.
inline Error ProtocolError(int result, const char* call) { return Error{-result, call}; }

}  // namespace interproc::os

#endif  // INTERPROC_OS_PROTOCOL_H_
