#include "os/descriptor.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <string>

#include "os/sigpipe.h"

namespace interproc::os {
namespace {

void SetNonBlocking(int fd, bool non_blocking) {
  const int flags = fcntl(fd, F_GETFL);
  const int wanted = non_blocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  if (flags >= 0 && flags != wanted) (void)fcntl(fd, F_SETFL, wanted);
}

// Another open file description of the pipe behind `fd`. Fails without /proc, without permission;
// with ENXIO where a writer finds no reader.
Result<UniqueFd> OpenPipeAgain(int fd, DescriptorKind kind) {
  const int access = kind == DescriptorKind::kPipeReader ? O_RDONLY : O_WRONLY;
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  UniqueFd again(open(self.c_str(), access | O_NONBLOCK | O_CLOEXEC));
  if (!again.valid()) return LastError("open");
  // Packet mode is a writer's own. open(2) refuses it for pipes.
  const int flags = fcntl(fd, F_GETFL);
  if ((flags & O_DIRECT) != 0 && fcntl(again.get(), F_SETFL, O_NONBLOCK | O_DIRECT) != 0) {
    return LastError("fcntl");
  }
  return again;
}

}  // namespace

Descriptor::~Descriptor() {
  // Closing alone would leave it in the set while another process has it open, too.
  if (watched_ != 0) (void)set_->Set(own_.valid() ? own_.get() : fd_.get(), 0, watched_, 0);
}

int Descriptor::own() {
  if (own_.valid()) return own_.get();
  const bool is_pipe = kind_ == DescriptorKind::kPipeReader || kind_ == DescriptorKind::kPipeWriter;
  if (!is_pipe) return fd();
  // Not while it is watched: what is in the set is fd() then.
  if (!own_tried_ && watched_ == 0) {
    Result<UniqueFd> again = OpenPipeAgain(fd(), kind_);
    if (again.ok()) {
      own_ = std::move(again.value());
      if (made_non_blocking_) SetNonBlocking(fd(), false);
      return own_.get();
    }
    own_tried_ = again.error().number != ENXIO;  // a FIFO gets other readers
  }
  // Each time: whoever starts a child with it may take the flag away.
  made_non_blocking_ = true;
  SetNonBlocking(fd(), true);
  return fd();
}

int Descriptor::Detach() {
  if (watched_ != 0) (void)Watch(set_, 0, 0, false);
  own_.Reset();
  own_tried_ = true;
  return fd_.Release();
}

Result<Moved> Descriptor::Read(void* data, size_t length) {
  const int fd = own();
  if (kind_ == DescriptorKind::kSocket) {
    return ToMoved(RetryOnEintr([&] { return recv(fd, data, length, MSG_DONTWAIT); }), "recv");
  }
  return ToMoved(RetryOnEintr([&] { return read(fd, data, length); }), "read");
}

Result<Moved> Descriptor::Write(const struct iovec* parts, size_t count) {
  const int fd = own();
  if (kind_ == DescriptorKind::kSocket) {
    struct msghdr message = {};
    message.msg_iov = const_cast<struct iovec*>(parts);
    message.msg_iovlen = count;
    return ToMoved(RetryOnEintr([&] { return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL); }),
                   "send");
  }
  return ToMoved(WriteWithoutSignal(fd, parts, count), "write");
}

Result<void> Descriptor::Watch(const Ref<PollSet>& set, uint32_t id, uint32_t events, bool again) {
  if (events == watched_ && !again) return {};
  Result<void> changed = set->Set(own(), id, watched_, events);
  if (!changed.ok()) return changed;
  set_ = set;
  watched_ = events;
  return {};
}

}  // namespace interproc::os
