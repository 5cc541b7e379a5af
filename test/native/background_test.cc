// Calls and watchers on threads of their own, ended at any moment; and what others do to a socket
// that this process receives from.
#include <sys/socket.h>
#include <sys/uio.h>

#include <vector>

#include "os/blocking_call.h"
#include "os/edge_watcher.h"
#include "os/pipe.h"
#include "os/poll_set.h"
#include "os/unix_socket.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

struct Ends {
  Ends() {
    int fds[2];
    MUST(pipe2(fds, O_CLOEXEC) == 0);
    reader.Reset(fds[0]);
    writer.Reset(fds[1]);
  }
  UniqueFd reader;
  UniqueFd writer;
};

int OpenDescriptors() {
  int count = 0;
  DIR* folder = opendir("/proc/self/fd");
  MUST(folder != nullptr);
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

}  // namespace

TEST_CASE("a call that is cancelled at any moment is over, and told once") {
  const int before = OpenDescriptors();
  {
    const Ends from;
    const Ends to;
    std::atomic<int> told{0};
    constexpr int kRounds = 300;
    for (int round = 0; round < kRounds; ++round) {
      Result<Ref<BlockingCall>> call = BlockingCall::Start(
          *Threads().get(),
          [from_fd = from.reader.get(), to_fd = to.writer.get()](const BlockingCall& self) {
            Outcome outcome = SpliceAll(self, from_fd, to_fd, 10);
            outcome.fd.Reset(dup(from_fd));  // that nobody takes
            return outcome;
          },
          [&told] { ++told; });
      MUST(call.ok());
      if (round % 3 == 1) usleep(static_cast<useconds_t>(round % 50));
      if (round % 3 == 2) call.value()->Wait(1000);
      call.value()->Cancel();
      CHECK(call.value()->over());
      CHECK(call.value()->TakeOutcome().error.number == ECANCELED);
    }
    Until([&] { return told == kRounds; });
  }
  CHECK(OpenDescriptors() == before);
}

TEST_CASE("a call that another thread waits for is over for both") {
  for (int round = 0; round < 100; ++round) {
    const Ends from;
    const Ends to;
    std::atomic<bool> told{false};
    Result<Ref<BlockingCall>> call = BlockingCall::Start(
        *Threads().get(),
        [from_fd = from.reader.get(), to_fd = to.writer.get()](const BlockingCall& self) {
          return SpliceAll(self, from_fd, to_fd, 4);
        },
        [&told] { told = true; });
    MUST(call.ok());
    Thread writer([&] { MUST(write(from.writer.get(), "four", 4) == 4); });
    while (!call.value()->over()) call.value()->Wait(1'000'000);
    const Outcome outcome = call.value()->TakeOutcome();
    CHECK(outcome.error.number == 0);
    CHECK(outcome.number == 4);
    Until([&] { return told.load(); });
  }
}

TEST_CASE("a watcher that ends while edges come tells nothing that is gone") {
  const int before = OpenDescriptors();
  for (int round = 0; round < 100; ++round) {
    Result<Ref<PollSet>> set = PollSet::New();
    MUST(set.ok());
    const Ends ends;
    MUST(set.value()->Set(ends.reader.get(), 7, 0, kReadable).ok());
    auto told = std::make_shared<std::atomic<int>>(0);
    auto watcher = EdgeWatcher::Start(set.value()->fd(), [told] { ++*told; });
    MUST(watcher.ok());
    for (int edge = 0; edge < 3; ++edge) {
      const int before_edge = *told;
      MUST(write(ends.writer.get(), "x", 1) == 1);
      Until([&] { return *told > before_edge; });
      uint32_t pairs[2] = {};
      CHECK(set.value()->Take(pairs, 1) == 1);
      CHECK(pairs[0] == 7);
    }
    if (round % 2 == 0) MUST(write(ends.writer.get(), "x", 1) == 1);
    watcher.value().reset();
  }
  Until([&] { return OpenDescriptors() == before; });
}

TEST_CASE("an empty message is none the less for another who receives from the socket") {
  int fds[2];
  MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
  const UniqueFd ours(fds[0]);
  const UniqueFd theirs(fds[1]);
  std::atomic<bool> stop{false};
  // As ReceiveMessage of another process ends.
  Thread other([&] {
    const int off = 0;
    while (!stop) (void)setsockopt(ours.get(), SOL_SOCKET, SO_TIMESTAMP, &off, sizeof(off));
  });
  Thread sender([&] {
    for (int message = 0; message < 20'000; ++message) MUST(send(theirs.get(), "", 0, 0) == 0);
  });
  char byte;
  const struct iovec part = {&byte, 1};
  int ends = 0;
  for (int received = 0; received < 20'000;) {
    ReceivedMessage message;
    const Result<bool> got = ReceiveMessage(ours.get(), SOCK_SEQPACKET, &part, 1, 0, &message);
    MUST(got.ok());
    if (!got.value()) continue;
    ++received;
    if (message.ended) ++ends;
  }
  stop = true;
  CHECK(ends == 0);
  MUST(shutdown(theirs.get(), SHUT_WR) == 0);
  ReceivedMessage last;
  MUST(ReceiveMessage(ours.get(), SOCK_SEQPACKET, &part, 1, 0, &last).ok());
  CHECK(last.ended);
}

}  // namespace interproc::test
