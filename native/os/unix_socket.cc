#include "os/unix_socket.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

namespace interproc::os {
namespace {

struct Address {
  struct sockaddr_un raw = {};
  socklen_t length = 0;

  explicit Address(const std::string& bytes) {
    raw.sun_family = AF_UNIX;
    const size_t size = std::min(bytes.size(), sizeof(raw.sun_path));
    std::memcpy(raw.sun_path, bytes.data(), size);
    length = static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + size);
    // A path counts with the NUL behind it, for which there is room.
    if (size > 0 && bytes[0] != '\0' && size < sizeof(raw.sun_path)) ++length;
  }
  const struct sockaddr* get() const { return reinterpret_cast<const struct sockaddr*>(&raw); }
};

std::string FromRaw(const struct sockaddr_un& raw, socklen_t length) {
  const size_t head = offsetof(struct sockaddr_un, sun_path);
  if (length <= head) return {};
  const size_t size = std::min(length - head, sizeof(raw.sun_path));
  if (raw.sun_path[0] == '\0') return std::string(raw.sun_path, size);
  return std::string(raw.sun_path, strnlen(raw.sun_path, size));
}

// SCM_PIDFD, since Linux 6.5: a descriptor of the sender's, where somebody who has the socket, too,
// has asked for that (SO_PASSPIDFD).
constexpr int kPidfd = 4;

// Whether the other side has closed, or ended its writing. It may have sent before.
bool SendsNoMore(int fd) {
  struct pollfd entry = {fd, POLLRDHUP, 0};
  return poll(&entry, 1, 0) == 1 && (entry.revents & (POLLRDHUP | POLLHUP)) != 0;
}

// While it exists messages come with their time, and the end of the stream comes with nothing: so
// an empty message of a seqpacket socket is told from the end. Not always: who else receives from
// the socket has no room for that, and would lose descriptors.
class Times {
 public:
  explicit Times(int fd) : fd_(fd) { Set(1); }
  Times(const Times&) = delete;
  Times& operator=(const Times&) = delete;
  ~Times() { Set(0); }

 private:
  void Set(int on) const { (void)setsockopt(fd_, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)); }

  const int fd_;
};

}  // namespace

Result<UniqueFd> CreateSocket(int type) {
  UniqueFd fd(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return LastError("socket");
  return fd;
}

Result<SocketPair> CreateSocketPair(int type) {
  int fds[2];
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) != 0) return LastError("socketpair");
  return SocketPair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Result<UniqueFd> DuplicateSocket(int fd, int type) {
  Result<UniqueFd> duplicate = DuplicateFd(fd);
  if (!duplicate.ok()) return duplicate;
  UniqueFd own = std::move(duplicate.value());
  const Result<int> domain = SocketOption(own.get(), SO_DOMAIN);
  if (!domain.ok()) return domain.error();
  if (domain.value() != AF_UNIX) return Error{EAFNOSUPPORT, "getsockopt"};
  const Result<int> its_type = SocketOption(own.get(), SO_TYPE);
  if (!its_type.ok()) return its_type.error();
  if (its_type.value() != type) return Error{EPROTOTYPE, "getsockopt"};
  return own;
}

Result<void> BindSocket(int fd, const std::string& address) {
  const Address raw(address);
  if (bind(fd, raw.get(), raw.length) != 0) return LastError("bind");
  return {};
}

Result<void> ListenOn(int fd, int backlog) {
  if (listen(fd, backlog) != 0) return LastError("listen");
  return {};
}

Result<bool> TryConnect(int fd, const std::string& address) {
  const Address raw(address);
  const int flags = fcntl(fd, F_GETFL);
  (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  const int result = RetryOnEintr([&] { return connect(fd, raw.get(), raw.length); });
  const int error = errno;
  (void)fcntl(fd, F_SETFL, flags);
  if (result == 0) return true;
  if (error == EAGAIN) return false;
  return Error{error, "connect"};
}

Outcome ConnectBlocking(const BlockingCall& call, int fd, const std::string& address) {
  Outcome outcome;
  const Address raw(address);
  while (!call.cancelled()) {
    if (connect(fd, raw.get(), raw.length) == 0) return outcome;
    if (errno != EINTR) {
      outcome.error = LastError("connect");
      return outcome;
    }
  }
  outcome.error = Error{ECANCELED, "connect"};
  return outcome;
}

Result<UniqueFd> TryAccept(int fd) {
  // Each time: whoever shares the description may have made it blocking again, a spawn does so.
  (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  for (;;) {
    UniqueFd accepted(accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
    if (accepted.valid()) return accepted;
    if (errno == EAGAIN) return UniqueFd();
    if (errno != EINTR && errno != ECONNABORTED) return LastError("accept");
  }
}

Result<void> EndWriting(int fd) {
  if (shutdown(fd, SHUT_WR) != 0) return LastError("shutdown");
  return {};
}

Result<std::string> NameOf(int fd, bool peer) {
  struct sockaddr_un raw = {};
  socklen_t length = sizeof(raw);
  auto* address = reinterpret_cast<struct sockaddr*>(&raw);
  const int failed = peer ? getpeername(fd, address, &length) : getsockname(fd, address, &length);
  if (failed != 0) return LastError(peer ? "getpeername" : "getsockname");
  return FromRaw(raw, length);
}

Result<std::optional<Credentials>> PeerCredentials(int fd) {
  struct ucred raw = {};
  socklen_t length = sizeof(raw);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &raw, &length) != 0) return LastError("getsockopt");
  // What the kernel gives where nobody is.
  if (raw.pid == 0 && raw.uid == UINT32_MAX) return std::optional<Credentials>();
  return std::optional<Credentials>(Credentials{raw.pid, raw.uid, raw.gid});
}

Result<int> SocketOption(int fd, int option) {
  int value = 0;
  socklen_t length = sizeof(value);
  if (getsockopt(fd, SOL_SOCKET, option, &value, &length) != 0) return LastError("getsockopt");
  return value;
}

Result<void> SetSocketOption(int fd, int option, int value) {
  if (setsockopt(fd, SOL_SOCKET, option, &value, sizeof(value)) != 0) {
    return LastError("setsockopt");
  }
  return {};
}

Result<bool> SendBufferIsFull(int fd) {
  // As the kernel decides, which says that it is writable from a quarter on: sock_alloc_send_pskb.
  int unread = 0;
  if (ioctl(fd, SIOCOUTQ, &unread) != 0) return LastError("ioctl");
  const Result<int> room = SocketOption(fd, SO_SNDBUF);
  if (!room.ok()) return room.error();
  return unread >= room.value();
}

Result<Moved> SendMessage(int fd, const SentMessage& message) {
  struct msghdr raw = {};
  raw.msg_iov = const_cast<struct iovec*>(message.parts);
  raw.msg_iovlen = message.count;
  std::optional<Address> address;
  if (message.address != nullptr) {
    address.emplace(*message.address);
    raw.msg_name = &address->raw;
    raw.msg_namelen = address->length;
  }
  alignas(struct cmsghdr) char control[CMSG_SPACE(kDescriptorsMax * sizeof(int))];
  if (message.fd_count > 0) {
    const size_t bytes = message.fd_count * sizeof(int);
    raw.msg_control = control;
    raw.msg_controllen = CMSG_SPACE(bytes);
    struct cmsghdr* header = CMSG_FIRSTHDR(&raw);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(header), message.fds, bytes);
  }
  return ToMoved(RetryOnEintr([&] { return sendmsg(fd, &raw, MSG_DONTWAIT | MSG_NOSIGNAL); }),
                 "send");
}

Result<bool> ReceiveMessage(int fd, int type, const struct iovec* parts, size_t count,
                            size_t fds_max, ReceivedMessage* message) {
  size_t room = 0;
  for (size_t i = 0; i < count; ++i) room += parts[i].iov_len;
  bool may_be_end = type == SOCK_STREAM;
  std::optional<Times> times;
  if (type != SOCK_STREAM) {
    // How long the next one is: what doesn't fit stays.
    const ssize_t there =
        RetryOnEintr([&] { return recv(fd, nullptr, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT); });
    if (there < 0) {
      if (errno == EAGAIN) return false;
      return LastError("recv");
    }
    if (static_cast<size_t>(there) > room) {
      message->needed = static_cast<size_t>(there);
      return true;
    }
    may_be_end = type == SOCK_SEQPACKET && there == 0;
    if (may_be_end) times.emplace(fd);
  }
  struct sockaddr_un from = {};
  struct msghdr raw = {};
  raw.msg_iov = const_cast<struct iovec*>(parts);
  raw.msg_iovlen = count;
  if (type == SOCK_DGRAM) {
    raw.msg_name = &from;
    raw.msg_namelen = sizeof(from);
  }
  constexpr size_t kOther = CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(struct timeval)) +
                            CMSG_SPACE(sizeof(int));
  alignas(struct cmsghdr) char control[CMSG_SPACE(kDescriptorsMax * sizeof(int)) + kOther];
  raw.msg_control = control;
  raw.msg_controllen = kOther + (fds_max > 0 ? CMSG_SPACE(fds_max * sizeof(int)) : 0);
  const ssize_t received =
      RetryOnEintr([&] { return recvmsg(fd, &raw, MSG_DONTWAIT | MSG_CMSG_CLOEXEC); });
  if (received < 0) {
    if (errno == EAGAIN) return false;
    return LastError("recv");
  }
  message->length = static_cast<size_t>(received);
  message->truncated = (raw.msg_flags & MSG_TRUNC) != 0;
  message->fds_lost = (raw.msg_flags & MSG_CTRUNC) != 0;
  bool has_time = false;
  for (struct cmsghdr* header = CMSG_FIRSTHDR(&raw); header != nullptr;
       header = CMSG_NXTHDR(&raw, header)) {
    if (header->cmsg_level != SOL_SOCKET) continue;
    if (header->cmsg_type == SCM_RIGHTS) {
      const size_t fds = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < fds; ++i) {
        int each;
        std::memcpy(&each, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
        message->fds.emplace_back(each);
      }
    } else if (header->cmsg_type == SCM_CREDENTIALS) {
      struct ucred credentials;
      std::memcpy(&credentials, CMSG_DATA(header), sizeof(credentials));
      message->credentials = Credentials{credentials.pid, credentials.uid, credentials.gid};
    } else if (header->cmsg_type == kPidfd) {
      int pidfd;
      std::memcpy(&pidfd, CMSG_DATA(header), sizeof(pidfd));
      const UniqueFd unasked(pidfd);
    } else if (header->cmsg_type == SCM_TIMESTAMP) {
      has_time = true;
    }
  }
  // More may come than were asked for, where the room for others is not used; these go here.
  if (message->fds.size() > fds_max) {
    message->fds.resize(fds_max);
    message->fds_lost = true;
  }
  message->ended = received == 0 && may_be_end && !has_time;
  // Another process that receives from it may have taken the times away.
  if (message->ended && type == SOCK_SEQPACKET && !SendsNoMore(fd)) message->ended = false;
  if (type == SOCK_DGRAM) message->address = FromRaw(from, raw.msg_namelen);
  return true;
}

}  // namespace interproc::os
