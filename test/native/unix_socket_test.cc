#include "os/unix_socket.h"

#include <sys/ioctl.h>
#include <sys/resource.h>

#include <cstring>
#include <string>
#include <vector>

#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

template <typename T>
T Take(Result<T> result) {
  MUST(result.ok());
  return std::move(result.value());
}

std::string AbstractName() { return std::string(1, '\0') + UniqueName(); }

Result<Moved> Send(int fd, const std::string& text, const std::vector<int>& fds = {},
                   const std::string* address = nullptr) {
  const struct iovec part = {const_cast<char*>(text.data()), text.size()};
  SentMessage message = {};
  message.parts = &part;
  message.count = 1;
  message.address = address;
  message.fds = fds.data();
  message.fd_count = fds.size();
  return SendMessage(fd, message);
}

struct Received {
  bool there = false;
  int error = 0;
  std::string text;
  ReceivedMessage message;
};

// With memory in two pieces, the first of them of a few bytes.
Received Receive(int fd, int type, size_t fds_max = 0, size_t room = 65'536) {
  Received received;
  std::string memory(room, '?');
  const size_t first = std::min<size_t>(3, room);
  const struct iovec parts[] = {{memory.data(), first}, {memory.data() + first, room - first}};
  const Result<bool> result = ReceiveMessage(fd, type, parts, 2, fds_max, &received.message);
  received.there = result.ok() && result.value();
  received.error = result.ok() ? 0 : result.error().number;
  received.text = memory.substr(0, received.message.length);
  return received;
}

int TimestampOf(int fd) { return SocketOption(fd, SO_TIMESTAMP).value(); }

}  // namespace

TEST_CASE("unix_socket: each type carries what is sent, and says when nothing is there") {
  for (const int type : {SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM}) {
    const SocketPair pair = Take(CreateSocketPair(type));
    CHECK_FALSE(Receive(pair.second.get(), type).there);
    CHECK(Send(pair.first.get(), "hello").value() == Moved(5));
    const Received received = Receive(pair.second.get(), type);
    CHECK(received.there);
    CHECK(received.text == "hello");
    CHECK_FALSE(received.message.ended);
    CHECK_FALSE(Receive(pair.second.get(), type).there);
    CHECK((fcntl(pair.first.get(), F_GETFD) & FD_CLOEXEC) != 0);
  }
}

TEST_CASE("unix_socket: a message that finds too little room stays, and says how much it needs") {
  for (const int type : {SOCK_DGRAM, SOCK_SEQPACKET}) {
    const SocketPair pair = Take(CreateSocketPair(type));
    const std::string text(1000, 'x');
    CHECK(Send(pair.first.get(), text).ok());
    const Received none = Receive(pair.second.get(), type, 0, 999);
    CHECK(none.there);
    CHECK(none.message.needed == 1000);
    CHECK(Receive(pair.second.get(), type, 0, 1000).text == text);
  }
}

TEST_CASE("unix_socket: an empty seqpacket message is none of the ends of the stream") {
  const SocketPair pair = Take(CreateSocketPair(SOCK_SEQPACKET));
  const int reader = pair.second.get();
  for (const char* text : {"", "x", "", ""}) CHECK(Send(pair.first.get(), text).ok());
  CHECK(EndWriting(pair.first.get()).ok());
  for (const char* text : {"", "x", "", ""}) {
    const Received received = Receive(reader, SOCK_SEQPACKET);
    CHECK(received.there);
    CHECK_FALSE(received.message.ended);
    CHECK(received.text == text);
    // Left on, it would take room from others who receive here.
    CHECK(TimestampOf(reader) == 0);
  }
  for (int i = 0; i < 2; ++i) CHECK(Receive(reader, SOCK_SEQPACKET).message.ended);
  CHECK(TimestampOf(reader) == 0);
}

TEST_CASE("unix_socket: an empty datagram is one, and a datagram socket has no end") {
  const SocketPair pair = Take(CreateSocketPair(SOCK_DGRAM));
  CHECK(Send(pair.first.get(), "").ok());
  const Received received = Receive(pair.second.get(), SOCK_DGRAM);
  CHECK(received.there);
  CHECK_FALSE(received.message.ended);
}

TEST_CASE("unix_socket: descriptors come as asked for, and the others are closed and told") {
  for (const int type : {SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM}) {
    const SocketPair pair = Take(CreateSocketPair(type));
    const int before = CountInProc("fd");
    for (const size_t sent : {size_t{1}, size_t{2}, size_t{9}, kDescriptorsMax}) {
      for (const size_t most : {size_t{0}, size_t{1}, size_t{2}, size_t{8}, kDescriptorsMax}) {
        CHECK(Send(pair.first.get(), "x", std::vector<int>(sent, 1)).ok());
        {
          const Received received = Receive(pair.second.get(), type, most);
          CHECK(received.message.fds.size() == std::min(sent, most));
          CHECK(received.message.fds_lost == (sent > most));
          for (const UniqueFd& fd : received.message.fds) {
            CHECK((fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
          }
        }
        CHECK(CountInProc("fd") == before);
      }
    }
    CHECK(Send(pair.first.get(), "x", {1, -1}).error().number == EBADF);
    CHECK_FALSE(Receive(pair.second.get(), type).there);
  }
}

TEST_CASE("unix_socket: credentials and all descriptors fit into one message") {
  const SocketPair pair = Take(CreateSocketPair(SOCK_SEQPACKET));
  REQUIRE(SetSocketOption(pair.second.get(), SO_PASSCRED, 1).ok());
  CHECK(Send(pair.first.get(), "", std::vector<int>(kDescriptorsMax, 1)).ok());
  const Received received = Receive(pair.second.get(), SOCK_SEQPACKET, kDescriptorsMax);
  CHECK(received.message.fds.size() == kDescriptorsMax);
  CHECK_FALSE(received.message.fds_lost);
  CHECK_FALSE(received.message.ended);
  REQUIRE(received.message.credentials.has_value());
  CHECK(received.message.credentials->pid == getpid());
  CHECK(received.message.credentials->uid == getuid());
  const auto peer = PeerCredentials(pair.first.get()).value();
  REQUIRE(peer.has_value());
  CHECK(peer->pid == getpid());
  const UniqueFd alone = Take(CreateSocket(SOCK_DGRAM));
  CHECK_FALSE(PeerCredentials(alone.get()).value().has_value());
}

TEST_CASE("unix_socket: abstract names fill the address, and senders are told by them") {
  const std::string long_name = AbstractName();
  const std::string to = long_name + std::string(kSocketAddressMax - long_name.size(), '\xff');
  const std::string from = AbstractName();
  const UniqueFd receiver = Take(CreateSocket(SOCK_DGRAM));
  const UniqueFd sender = Take(CreateSocket(SOCK_DGRAM));
  REQUIRE(BindSocket(receiver.get(), to).ok());
  REQUIRE(BindSocket(sender.get(), from).ok());
  CHECK(NameOf(receiver.get(), false).value() == to);
  CHECK(Send(sender.get(), "hello", {}, &to).ok());
  CHECK(Receive(receiver.get(), SOCK_DGRAM).message.address == from);
  REQUIRE(TryConnect(sender.get(), to).value());
  CHECK(NameOf(sender.get(), true).value() == to);
  const std::string nobody = AbstractName();
  CHECK(Send(sender.get(), "hello", {}, &nobody).error().number == ECONNREFUSED);
}

TEST_CASE("unix_socket: a connect leaves the flags of the descriptor as they were") {
  const std::string name = AbstractName();
  const UniqueFd receiver = Take(CreateSocket(SOCK_DGRAM));
  REQUIRE(BindSocket(receiver.get(), name).ok());
  for (const int flags : {O_RDWR, O_RDWR | O_NONBLOCK}) {
    const UniqueFd sender = Take(CreateSocket(SOCK_DGRAM));
    REQUIRE(fcntl(sender.get(), F_SETFL, flags) == 0);
    CHECK(TryConnect(sender.get(), name).value());
    CHECK(fcntl(sender.get(), F_GETFL) == flags);
  }
}

TEST_CASE("unix_socket: a full backlog makes a connect wait, until it is cancelled or accepted") {
  const std::string name = AbstractName();
  const UniqueFd server = Take(CreateSocket(SOCK_STREAM));
  REQUIRE(BindSocket(server.get(), name).ok());
  REQUIRE(ListenOn(server.get(), 1).ok());
  CHECK_FALSE(TryAccept(server.get()).value().valid());
  std::vector<UniqueFd> clients;
  for (;;) {
    clients.push_back(Take(CreateSocket(SOCK_STREAM)));
    if (!TryConnect(clients.back().get(), name).value()) break;
  }
  const int waiting = clients.back().get();
  const auto start = [&] {
    return BlockingCall::Start(
               *Threads().get(),
               [&](const BlockingCall& call) { return ConnectBlocking(call, waiting, name); },
               [] {})
        .value();
  };
  for (int round = 0; round < 100; ++round) {
    const Ref<BlockingCall> call = start();
    call->Cancel();
    REQUIRE(call->over());
    CHECK(call->TakeOutcome().error.number == ECANCELED);
  }
  const Ref<BlockingCall> call = start();
  for (size_t i = 0; i < clients.size(); ++i) {
    UniqueFd accepted;
    Until([&] { return (accepted = Take(TryAccept(server.get()))).valid(); });
  }
  Until([&] { return call->over(); });
  CHECK(call->TakeOutcome().error.number == 0);
}

TEST_CASE("unix_socket: only UNIX sockets of the right type are taken over") {
  const SocketPair pair = Take(CreateSocketPair(SOCK_STREAM));
  CHECK(DuplicateSocket(pair.first.get(), SOCK_STREAM).ok());
  CHECK(DuplicateSocket(pair.first.get(), SOCK_DGRAM).error().number == EPROTOTYPE);
  const UniqueFd other(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (other.valid()) {
    CHECK(DuplicateSocket(other.get(), SOCK_STREAM).error().number == EAFNOSUPPORT);
  }
  const Pipe pipe;
  CHECK(DuplicateSocket(pipe.reader(), SOCK_STREAM).error().number == ENOTSOCK);
  CHECK(DuplicateSocket(-1, SOCK_STREAM).error().number == EBADF);
}

}  // namespace interproc::test
