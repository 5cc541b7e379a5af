// Pipes (man 7 pipe): making them, their capacity, and moving data between them and files inside
// the kernel (man 2 splice, man 2 tee).
#ifndef INTERPROC_OS_PIPE_H_
#define INTERPROC_OS_PIPE_H_

#include "os/blocking_call.h"
#include "os/descriptor.h"

namespace interproc::os {

struct Pipe {
  Ref<Descriptor> reader;
  Ref<Descriptor> writer;
};

// `packet`: each write of at most PIPE_BUF bytes is read as one. man 2 pipe2
Result<Pipe> CreatePipe(bool packet);

// One end of a pipe, from a descriptor of somebody's, who keeps it. EINVAL for what is no pipe,
// EBADF where it is not open for that.
Result<Ref<Descriptor>> DuplicatePipe(int fd, DescriptorKind kind, bool packet);

// Bytes. man 2 fcntl, F_GETPIPE_SZ and F_SETPIPE_SZ; the kernel rounds up. EPERM above the limit of
// users, EBUSY below what is in it.
Result<int> PipeCapacity(const Descriptor& pipe);
Result<int> SetPipeCapacity(const Descriptor& pipe, int bytes);
// In the pipe now. FIONREAD
Result<int> BytesInPipe(const Descriptor& pipe);

// Moves at most `length` bytes without waiting for a pipe. Files may make it wait for their disk. 0
// at the end of `from`.
Result<Moved> Splice(int from, int to, size_t length);
// Copies what is in a pipe into another one, and leaves it there.
Result<Moved> Tee(int from, int to, size_t length);

// Moves until `length` bytes have gone, `from` ends or the call is cancelled, which is ECANCELED;
// the outcome's number is how many were moved, whatever ended it.
Outcome SpliceAll(const BlockingCall& call, int from, int to, uint64_t length);
// Waits until it could copy something, at most `length` bytes; 0 where `from` ends. ECANCELED:
// nothing was copied.
Outcome TeeOnce(const BlockingCall& call, int from, int to, uint64_t length);

}  // namespace interproc::os

#endif  // INTERPROC_OS_PIPE_H_
