// Descriptor: one end of a pipe, or a socket, as this process has it open; or anything that came
// over a socket, and is only held until somebody takes it.
//
// Our own reads and writes never block. For a socket that is a flag of each call (MSG_DONTWAIT). A
// pipe has only O_NONBLOCK, which belongs to the open file description and so to every process that
// shares it: a child that was handed the descriptor would meet it, and spawning takes it away from
// us. So a pipe has two: `fd()` is what is handed on, blocking as programs expect it, and `own()`
// another description of the same pipe, opened on first use. Where there can't be one (no /proc, no
// permission), `fd()` itself becomes non-blocking.
//
// Thread safety: const methods from any thread; the others from the owner's; the last reference
// may go on any.
#ifndef INTERPROC_OS_DESCRIPTOR_H_
#define INTERPROC_OS_DESCRIPTOR_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "os/moved.h"
#include "os/poll_set.h"
#include "os/ref_counted.h"
#include "os/result.h"
#include "os/unique_fd.h"

namespace interproc::os {

enum class DescriptorKind { kSocket, kPipeReader, kPipeWriter, kOther };

class Descriptor : public RefCounted<Descriptor> {
 public:
  // `name`: how errors call what is open, if that has a name.
  Descriptor(UniqueFd fd, DescriptorKind kind, std::string name = {})
      : fd_(std::move(fd)), kind_(kind), name_(std::move(name)) {}
  ~Descriptor();

  DescriptorKind kind() const { return kind_; }
  const std::string& name() const { return name_; }
  int fd() const { return fd_.get(); }
  // What our own calls use; never blocks a pipe.
  int own();
  // The caller owns fd() from now on; this is closed.
  int Detach();

  // man 2 read; 0 is the end of the stream. For pipes and stream sockets.
  Result<Moved> Read(void* data, size_t length);
  // man 2 writev; EPIPE is an error and no signal.
  Result<Moved> Write(const struct iovec* parts, size_t count);

  // From now on `set` tells of `events` with `id`; 0: not any more. `again`: also where it does so
  // already, of what is there now. REQUIRES always the same set and id.
  Result<void> Watch(const Ref<PollSet>& set, uint32_t id, uint32_t events, bool again);

 private:
  UniqueFd fd_;
  const DescriptorKind kind_;
  const std::string name_;
  UniqueFd own_;            // of a pipe
  bool own_tried_ = false;  // for good
  bool made_non_blocking_ = false;
  Ref<PollSet> set_;
  uint32_t watched_ = 0;
};

}  // namespace interproc::os

#endif  // INTERPROC_OS_DESCRIPTOR_H_
