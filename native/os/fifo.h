// FIFOs: pipes with a name (man 7 fifo).
#ifndef INTERPROC_OS_FIFO_H_
#define INTERPROC_OS_FIFO_H_

#include <string>

#include "os/access.h"
#include "os/blocking_call.h"
#include "os/descriptor.h"

namespace interproc::os {

enum class FifoAccess {
  kReading,
  kWriting,
  kBoth,  // needs no other end; such a reader never sees the end, such a writer never EPIPE
};

// Appears with owner and mode, or not at all; EEXIST. man 3 mkfifo
Result<void> CreateFifo(const std::string& path, const Access& access);
Result<void> UnlinkFifo(const std::string& path);

// EINVAL for what is no FIFO: that is never opened, as opening a device or file might have effects.
// An invalid descriptor: nobody has the other end open.
Result<UniqueFd> TryOpenFifo(const std::string& path, FifoAccess access);
// The work of a blocking call: waits for the other end, as every open(2) does, so that the two find
// each other whoever comes first.
Outcome OpenFifo(const BlockingCall& call, const std::string& path, FifoAccess access);

}  // namespace interproc::os

#endif  // INTERPROC_OS_FIFO_H_
