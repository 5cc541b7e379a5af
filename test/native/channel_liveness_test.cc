// Who takes part in a channel, as the kernel sees it: whoever holds the lock of an id is alive, and
// nobody else, however processes come and go.
#include <sys/socket.h>
#include <sys/un.h>

#include <set>
#include <vector>

#include "channel_support.h"

namespace interproc::test {
namespace {

using Ids = std::set<uint32_t>;

Ids OwnersSeenBy(const interproc_owner* me) {
  std::vector<uint32_t> ids(200);
  const int count = interproc_list_owners(me, ids.data(), 200);
  MUST(count >= 0);
  const Ids set(ids.begin(), ids.begin() + count);
  MUST(set.size() == static_cast<size_t>(count));  // none twice
  return set;
}

// A child that takes part, tells its id and does something then.
class Participating {
 public:
  Participating(int fd, const std::function<void()>& then)
      : child_([&] {
          const ChannelPtr own = FromFd(fd);
          told_.Put(own->me.id);
          then();
        }),
        id_(told_.Get<uint32_t>()) {}

  uint32_t id() const { return id_; }
  Child& child() { return child_; }
  void Kill() {
    kill(child_.pid(), SIGKILL);
    MUST(child_.EndingSignal() == SIGKILL);
  }

 private:
  Pipe told_;
  Child child_;
  const uint32_t id_;
};

void SendFd(int socket, int fd) {
  char byte = 'f';
  iovec data = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  MUST(sendmsg(socket, &message, 0) == 1);
}

os::UniqueFd ReceiveFd(int socket) {
  char byte;
  iovec data = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  MUST(recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1);
  int fd;
  std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
  return os::UniqueFd(fd);
}

}  // namespace

TEST_CASE("liveness: an owner lives until its process is killed, exits or leaves") {
  const ChannelPtr channel = Anonymous(64);
  SUBCASE("is killed") {
    Participating other(channel->fd, SleepUntilKilled);
    CHECK(IsAlive(channel, other.id()));
    CHECK(interproc_owner_alive(nullptr, channel->fd, other.id()) == 1);
    other.Kill();
    CHECK(!IsAlive(channel, other.id()));
    CHECK(interproc_owner_alive(nullptr, channel->fd, other.id()) == 0);
  }
  SUBCASE("exits without a word") {
    Participating other(channel->fd, [] { _exit(0); });
    CHECK(other.child().ExitCode() == 0);
    CHECK(!IsAlive(channel, other.id()));
  }
  SUBCASE("leaves") {
    ChannelPtr other = FromFd(channel->fd);
    const uint32_t id = other->me.id;
    CHECK(IsAlive(channel, id));
    other.reset();
    CHECK(!IsAlive(channel, id));
  }
}

TEST_CASE("liveness: one's own id is alive, and id 0 and those that nobody has are not") {
  const ChannelPtr channel = Anonymous(64);
  CHECK(IsAlive(channel, channel->me.id));
  CHECK(!IsAlive(channel, 0));
  CHECK(!IsAlive(channel, channel->me.id ^ 1));
  CHECK(!IsAlive(channel, INTERPROC_OWNER_MASK));
}

TEST_CASE("liveness: a forked child that lives on does not keep its parent alive") {
  const ChannelPtr channel = Anonymous(64);
  Pipe told, end;
  Participating other(channel->fd, [&] {
    end.CloseWriter();
    if (fork() == 0) {
      told.Put('f');
      char ignored;
      (void)end.Get(&ignored);  // until the test is over
      _exit(0);
    }
    SleepUntilKilled();
  });
  told.Get<char>();
  CHECK(IsAlive(channel, other.id()));
  other.Kill();
  CHECK(!IsAlive(channel, other.id()));
}

TEST_CASE("liveness: a forked child has no part in the channel, and closing there takes nobody's") {
  const ChannelName name;
  const ChannelPtr channel = Create(name.get(), 64);
  const Sender sender(channel);
  CHECK(ExitCodeOf([&] {
          CHILD_EXPECT(channel->me.fd == -1);
          CHILD_EXPECT(channel->me.id == 0);
          CHILD_EXPECT(interproc_owner_alive(nullptr, channel->fd,
                                             channel->header->role[INTERPROC_SENDER].owner) == 1);
          interproc_close(channel.get());
          const ChannelPtr own = Open(name.get());  // and may come anew
          CHILD_EXPECT(OwnersSeenBy(&own->me).size() == 2);
        }) == 0);
  CHECK(name.exists());
  CHECK(channel->header->role[INTERPROC_SENDER].owner == channel->me.id);
  CHECK(OwnersSeenBy(&channel->me) == Ids{channel->me.id});
  CHECK(interproc_find_participant(channel->header, channel->me.id) != nullptr);
}

TEST_CASE("liveness: what one file of a program opens, another may close, and a third may fork") {
  const ChannelPtr channel = Anonymous(64);
  std::vector<std::unique_ptr<interproc_channel>> all(10);
  for (size_t each = 0; each < all.size(); ++each) {
    all[each] = std::make_unique<interproc_channel>();
    if (each % 2 == 0) {
      REQUIRE(OpenInAnotherFile(all[each].get(), channel->fd) == 0);
      if (each % 4 == 0) interproc_close(all[each].get());
    } else {
      REQUIRE(interproc_from_fd(all[each].get(), channel->fd) == 0);
      CloseInAnotherFile(all[each].get());
    }
    if (each % 4 != 2) all[each].reset();
  }
  CHECK(OwnersSeenBy(&channel->me).size() == 3);
  CHECK(ExitCodeOf([&] {
          CHILD_EXPECT(all[2]->me.fd == -1);
          CHILD_EXPECT(all[6]->me.fd == -1);
        }) == 0);
  for (const auto& each : all) {
    if (each) CloseInAnotherFile(each.get());
  }
  CHECK(OwnersSeenBy(&channel->me).size() == 1);
}

TEST_CASE("liveness: forks of another thread while one joins and leaves keep nobody alive") {
  const ChannelPtr channel = Anonymous(64);
  CHECK(ExitCodeOf([&] {
          std::atomic<bool> over{false};
          std::vector<uint32_t> ids;
          Pipe end;
          {
            Thread joins([&] {
              while (!over) {
                ChannelPtr own = FromFd(channel->fd);
                ids.push_back(own->me.id);
                Abandon(own.get());
              }
            });
            for (int forks = 0; forks < 200; ++forks) {
              if (fork() == 0) {
                close(end.writer());
                char ignored;
                (void)!read(end.reader(), &ignored, 1);
                _exit(0);
              }
            }
            over = true;
          }
          // A fork keeps them for the moment until its child has closed them, and not for ever.
          for (const uint32_t id : ids) {
            Until([&] { return interproc_owner_alive(nullptr, channel->fd, id) == 0; });
          }
        }) == 0);
}

TEST_CASE("liveness: a process that becomes another program has left") {
  const ChannelPtr channel = Anonymous(64);
  Pipe in, out;
  Participating other(channel->fd, [&] {
    MUST(dup2(in.reader(), 0) == 0);
    MUST(dup2(out.writer(), 1) == 1);
    execlp("cat", "cat", nullptr);
    _exit(1);
  });
  in.Put('c');
  CHECK(out.Get<char>() == 'c');  // it is cat now, and alive
  CHECK(!IsAlive(channel, other.id()));
}

TEST_CASE("liveness: each opening of one process is a participant of its own") {
  const ChannelPtr channel = Anonymous(64);
  ChannelPtr second = FromFd(channel->fd);
  ChannelPtr third = FromFd(channel->fd);
  const uint32_t id = second->me.id;
  CHECK(OwnersSeenBy(&channel->me) == Ids{channel->me.id, id, third->me.id});
  second.reset();
  CHECK(!IsAlive(channel, id));
  CHECK(OwnersSeenBy(&channel->me) == Ids{channel->me.id, third->me.id});
  CHECK(OwnersSeenBy(&third->me) == Ids{channel->me.id, third->me.id});
}

TEST_CASE("liveness: one who only reads is seen, marked as such, and leaves no trace") {
  const ChannelPtr channel = Anonymous(64);
  const std::string path = "/proc/self/fd/" + std::to_string(channel->fd);
  const os::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::vector<unsigned char> before(INTERPROC_HEADER_SIZE);
  std::memcpy(before.data(), channel->header, before.size());
  interproc_owner readers[3];
  Ids expected = {channel->me.id};
  for (interproc_owner& reader : readers) {
    REQUIRE(interproc_join(&reader, channel->header, fd.get(), 1, 0, 1) == 0);
    CHECK((reader.id & INTERPROC_READER_BIT) != 0);
    expected.insert(reader.id);
  }
  CHECK(std::memcmp(before.data(), channel->header, before.size()) == 0);
  CHECK(OwnersSeenBy(&channel->me) == expected);
  CHECK(OwnersSeenBy(&readers[1]) == expected);
  for (interproc_owner& reader : readers) interproc_leave(&reader, channel->header, nullptr, 1);
  CHECK(OwnersSeenBy(&channel->me) == Ids{channel->me.id});
}

TEST_CASE("liveness: a descriptor that came over a socket keeps its sender alive no longer") {
  int sockets[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
  const os::UniqueFd here(sockets[0]);
  const os::UniqueFd there(sockets[1]);
  Pipe told;
  Child maker([&] {
    const ChannelPtr own = Anonymous(256);
    Sender sender(own);
    CHILD_EXPECT(sender.Send(8) == 0);
    interproc_flush(&sender);
    told.Put(own->me.id);
    SendFd(there.get(), own->fd);
    SleepUntilKilled();
  });
  const auto id = told.Get<uint32_t>();
  const os::UniqueFd fd = ReceiveFd(here.get());
  const ChannelPtr channel = FromFd(fd.get());
  Receiver receiver(channel);
  CHECK(receiver.Read() == 0);
  CHECK(IsAlive(channel, id));
  CHECK(IsAlive(channel, channel->me.id));
  kill(maker.pid(), SIGKILL);
  CHECK(maker.EndingSignal() == SIGKILL);
  CHECK(!IsAlive(channel, id));
  CHECK(receiver.Read() == INTERPROC_PEER_DIED);
}

TEST_CASE("liveness: it is the same in a regular file") {
  const TempDirectory directory;
  const std::string path = directory.File("feed");
  ChannelPtr channel = NewChannel();
  const interproc_options options = {256, 0640, 0};
  const int created = interproc_create(channel.get(), path.c_str(), &options);
  if (created == -EOPNOTSUPP) std::exit(kSkipped);
  REQUIRE(created == 0);
  struct stat status;
  REQUIRE(stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
  CHECK(status.st_size == 4096 + 256);
  {
    const ChannelPtr other = Open(path);
    CHECK(OwnersSeenBy(&channel->me) == Ids{channel->me.id, other->me.id});
    Sender sender(channel);
    Receiver receiver(other);
    REQUIRE(sender.Send(100) == 0);
    interproc_flush(&sender);
    CHECK(receiver.Read() == 0);
  }
  Participating dead(channel->fd, SleepUntilKilled);
  CHECK(IsAlive(channel, dead.id()));
  dead.Kill();
  CHECK(!IsAlive(channel, dead.id()));
  channel.reset();
  CHECK(access(path.c_str(), F_OK) != 0);
}

TEST_CASE("liveness: 40 participants of many processes are listed, each by all and none else") {
  const ChannelPtr channel = Anonymous(64);
  Ids expected = {channel->me.id};
  std::vector<ChannelPtr> own;
  std::vector<std::unique_ptr<Participating>> others;
  for (int each = 0; each < 20; ++each) {
    others.push_back(std::make_unique<Participating>(channel->fd, SleepUntilKilled));
    expected.insert(others.back()->id());
  }
  // After the children: they would have forked with these.
  for (int each = 0; each < 19; ++each) {
    own.push_back(FromFd(channel->fd));
    expected.insert(own.back()->me.id);
  }
  REQUIRE(expected.size() == 40);
  CHECK(OwnersSeenBy(&channel->me) == expected);
  for (const ChannelPtr& each : own) CHECK(OwnersSeenBy(&each->me) == expected);
  for (const uint32_t id : expected) {
    const interproc_participant* entry = interproc_find_participant(channel->header, id);
    REQUIRE(entry != nullptr);
    CHECK(entry->pid_namespace == interproc__pid_namespace());
    CHECK(entry->started_ms <= entry->since_ms + 20);  // clocks of different grain
  }
  uint32_t few[7];
  CHECK(interproc_list_owners(&channel->me, few, 7) == 7);
  for (const auto& other : others) {
    const interproc_participant* entry = interproc_find_participant(channel->header, other->id());
    CHECK(entry->pid == static_cast<uint32_t>(other->child().pid()));
    CHECK(entry->thread == entry->pid);
    other->Kill();
    expected.erase(other->id());
  }
  CHECK(OwnersSeenBy(&channel->me) == expected);
}

TEST_CASE("liveness: the 49th participant is turned away until another leaves or dies") {
  const ChannelPtr channel = Anonymous(64);
  std::vector<ChannelPtr> all;
  for (int each = 1; each < INTERPROC_PARTICIPANTS; ++each) all.push_back(FromFd(channel->fd));
  const auto joins = [&] {
    interproc_channel more;
    const int result = interproc_from_fd(&more, channel->fd);
    if (result == 0) interproc_close(&more);
    return result;
  };
  const int fds = CountInProc("fd");
  CHECK(joins() == INTERPROC_BUSY);
  CHECK(CountInProc("fd") == fds);
  all.pop_back();
  CHECK(joins() == 0);
  all.push_back(FromFd(channel->fd));
  CHECK(joins() == INTERPROC_BUSY);
  Abandon(all[20].get());  // dead, and its entry still there
  all.push_back(FromFd(channel->fd));
  CHECK(joins() == INTERPROC_BUSY);
  all.clear();
  CHECK(joins() == 0);
}

TEST_CASE("liveness: what a killed process leaves among the participants is used again") {
  const ChannelPtr channel = Anonymous(64);
  for (int round = 0; round < 3; ++round) {
    CHECK(EndingSignalOf([&] {
            std::vector<ChannelPtr> all;
            for (int each = 1; each < INTERPROC_PARTICIPANTS; ++each) {
              all.push_back(FromFd(channel->fd));
            }
            kill(getpid(), SIGKILL);
          }) == SIGKILL);
    CHECK(OwnersSeenBy(&channel->me) == Ids{channel->me.id});
  }
}

TEST_CASE("liveness: who dies while joining or leaving is in nobody's way") {
  const ChannelPtr channel = Anonymous(64);
  int step = 0;
  for (int signal = SIGKILL; signal == SIGKILL;) {
    ++step;
    CAPTURE(step);
    signal = EndingSignalOf([&] {
      doom.at = step;
      const ChannelPtr own = FromFd(channel->fd);
    });
    REQUIRE((signal == SIGKILL || signal == 0));
    REQUIRE(OwnersSeenBy(&channel->me) == Ids{channel->me.id});
    const ChannelPtr next = FromFd(channel->fd);
    REQUIRE(OwnersSeenBy(&channel->me).size() == 2);
  }
  CHECK(step > 5);
}

}  // namespace interproc::test
