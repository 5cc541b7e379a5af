// UNIX sockets (man 7 unix): datagram, seqpacket and stream, with the descriptors and credentials
// that messages carry. Nothing here blocks but ConnectBlocking.
//
// An address is the bytes of sun_path: a path, or a name that begins with a NUL (abstract).
#ifndef INTERPROC_OS_UNIX_SOCKET_H_
#define INTERPROC_OS_UNIX_SOCKET_H_

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "os/blocking_call.h"
#include "os/descriptor.h"

namespace interproc::os {

constexpr size_t kSocketPathMax = 107;     // sun_path has 108 bytes, the last one a NUL
constexpr size_t kSocketAddressMax = 108;  // an abstract name may fill it
constexpr size_t kDescriptorsMax = 253;    // SCM_MAX_FD

struct Credentials {
  int32_t pid = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// `type`: SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.
Result<UniqueFd> CreateSocket(int type);
struct SocketPair {
  UniqueFd first;
  UniqueFd second;
};
Result<SocketPair> CreateSocketPair(int type);
// A descriptor of somebody's, who keeps it. EPROTOTYPE for another type, EAFNOSUPPORT where it is
// no UNIX socket, ENOTSOCK.
Result<UniqueFd> DuplicateSocket(int fd, int type);

// An empty address: a name of the kernel's choice.
Result<void> BindSocket(int fd, const std::string& address);
Result<void> ListenOn(int fd, int backlog);
// False: the server's backlog is full.
Result<bool> TryConnect(int fd, const std::string& address);
// The work of a blocking call.
Outcome ConnectBlocking(const BlockingCall& call, int fd, const std::string& address);
// An invalid descriptor: nobody is waiting.
Result<UniqueFd> TryAccept(int fd);
Result<void> EndWriting(int fd);  // man 2 shutdown, SHUT_WR

// Empty for a socket without a name. REQUIRES a connection for the peer's.
Result<std::string> NameOf(int fd, bool peer);
// None where nobody is or was there: an unconnected socket.
Result<std::optional<Credentials>> PeerCredentials(int fd);

// man 7 socket
Result<int> SocketOption(int fd, int option);
Result<void> SetSocketOption(int fd, int option, int value);

// Whether what it has sent, and nobody has read, leaves no room for more; else a message that would
// have to wait waits for its receiver. man 7 unix, SIOCOUTQ
Result<bool> SendBufferIsFull(int fd);

struct SentMessage {
  const struct iovec* parts;
  size_t count;
  const std::string* address;  // null: to the peer
  const int* fds;
  size_t fd_count;
};
Result<Moved> SendMessage(int fd, const SentMessage& message);

struct ReceivedMessage {
  size_t length = 0;      // of the message, or of what a stream gave
  bool ended = false;     // the other side ends here; there is no message
  size_t needed = 0;      // not 0: there is room for less than that, and nothing was taken
  bool fds_lost = false;  // some more came than were asked for
  bool truncated = false;
  std::vector<UniqueFd> fds;
  std::optional<Credentials> credentials;
  std::string address;
};
// None: nothing is there. `fds_max` descriptors at most are taken; 0 takes none.
Result<bool> ReceiveMessage(int fd, int type, const struct iovec* parts, size_t count,
                            size_t fds_max, ReceivedMessage* message);

}  // namespace interproc::os

#endif  // INTERPROC_OS_UNIX_SOCKET_H_
