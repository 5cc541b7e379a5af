// Word of messages that come into an empty queue: mq_notice.h.
#include "os/mq_notice.h"

#include <poll.h>

#include "os/posix_mq.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

class Queue {
 public:
  Queue() {
    auto made = CreatePosixMq(name_, MqUse::kBoth, {4, 16}, {});
    MUST(made.ok());
    fd_ = std::move(made.value());
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  ~Queue() { (void)UnlinkPosixMq(name_); }

  int fd() const { return fd_.get(); }
  UniqueFd Again() const { return std::move(OpenPosixMq(name_, MqUse::kBoth).value()); }
  void Send() const { MUST(SendToMq(fd(), "x", 1, 0).value().has_value()); }
  bool Take() const {
    char room[16];
    uint32_t priority = 0;
    return ReceiveFromMq(fd(), room, sizeof(room), &priority).value().has_value();
  }

 private:
  const std::string name_ = UniqueName();
  UniqueFd fd_;
};

UniqueFd NoticeSocket() {
  auto socket = OpenNoticeSocket();
  MUST(socket.ok());
  return std::move(socket.value());
}

// Asks with a socket of its own; 0 where that was possible, and then takes it back.
int ErrorOfAsking(int mq) {
  const UniqueFd socket = NoticeSocket();
  const Result<void> asked = AskForNotice(mq, socket.get());
  if (!asked.ok()) return asked.error().number;
  WithdrawNotice(mq, socket.get());
  return 0;
}

Notice Take(const UniqueFd& socket) { return TakeNotice(socket.get()).value(); }

bool IsReadable(const UniqueFd& socket) {
  struct pollfd entry = {socket.get(), POLLIN, 0};
  return poll(&entry, 1, 0) == 1;
}

}  // namespace

TEST_CASE("mq_notice: a message that comes into the empty queue makes the socket readable, once") {
  const Queue queue;
  const UniqueFd socket = NoticeSocket();
  REQUIRE(AskForNotice(queue.fd(), socket.get()).ok());
  CHECK(Take(socket) == Notice::kNone);
  CHECK_FALSE(IsReadable(socket));
  queue.Send();
  queue.Send();
  CHECK(IsReadable(socket));
  CHECK(Take(socket) == Notice::kArrived);
  CHECK(Take(socket) == Notice::kNone);
  // It ended with its notice.
  CHECK(queue.Take());
  CHECK(queue.Take());
  queue.Send();
  CHECK(Take(socket) == Notice::kNone);
  REQUIRE(queue.Take());
  REQUIRE(AskForNotice(queue.fd(), socket.get()).ok());
  queue.Send();
  CHECK(Take(socket) == Notice::kArrived);
}

TEST_CASE("mq_notice: what is in the queue when it is asked for is not told of") {
  const Queue queue;
  const UniqueFd socket = NoticeSocket();
  queue.Send();
  REQUIRE(AskForNotice(queue.fd(), socket.get()).ok());
  queue.Send();
  CHECK(Take(socket) == Notice::kNone);
  CHECK(queue.Take());
  CHECK(queue.Take());
  queue.Send();
  CHECK(Take(socket) == Notice::kArrived);
}

TEST_CASE("mq_notice: a queue has one registration, whoever asks") {
  const Queue queue;
  const UniqueFd socket = NoticeSocket();
  REQUIRE(AskForNotice(queue.fd(), socket.get()).ok());
  const auto again = AskForNotice(queue.fd(), socket.get());
  CHECK(again.error().number == EBUSY);
  CHECK(std::string(again.error().syscall) == "mq_notify");
  CHECK(ErrorOfAsking(queue.fd()) == EBUSY);
  CHECK(ExitCodeOf([&] { CHILD_EXPECT(ErrorOfAsking(queue.fd()) == EBUSY); }) == 0);
  queue.Send();
  CHECK(Take(socket) == Notice::kArrived);
}

TEST_CASE("mq_notice: one that is withdrawn is told no more, and another can be") {
  const Queue queue;
  const UniqueFd socket = NoticeSocket();
  REQUIRE(AskForNotice(queue.fd(), socket.get()).ok());
  WithdrawNotice(queue.fd(), socket.get());
  queue.Send();
  CHECK(Take(socket) != Notice::kArrived);
  CHECK(ErrorOfAsking(queue.fd()) == 0);
}

TEST_CASE("mq_notice: withdrawing what has ended takes nobody else's registration") {
  const Queue queue;
  const UniqueFd ended = NoticeSocket();
  const UniqueFd other = NoticeSocket();
  REQUIRE(AskForNotice(queue.fd(), ended.get()).ok());
  queue.Send();
  REQUIRE(queue.Take());
  REQUIRE(AskForNotice(queue.fd(), other.get()).ok());
  WithdrawNotice(queue.fd(), ended.get());
  queue.Send();
  CHECK(Take(other) == Notice::kArrived);
}

TEST_CASE("mq_notice: any close of the queue in this process ends it, and says so") {
  const Queue queue;
  const UniqueFd socket = NoticeSocket();
  REQUIRE(AskForNotice(queue.fd(), socket.get()).ok());
  queue.Again().Reset();
  CHECK(IsReadable(socket));
  CHECK(Take(socket) == Notice::kRemoved);
  CHECK(ErrorOfAsking(queue.fd()) == 0);
  // Another process may close what it likes.
  REQUIRE(AskForNotice(queue.fd(), socket.get()).ok());
  CHECK(ExitCodeOf([&] { queue.Again().Reset(); }) == 0);
  CHECK(Take(socket) == Notice::kNone);
  queue.Send();
  CHECK(Take(socket) == Notice::kArrived);
}

TEST_CASE("mq_notice: the registration of a process ends with it") {
  const Queue queue;
  const Pipe there;
  Child other([&] {
    const UniqueFd socket = NoticeSocket();
    CHILD_EXPECT(AskForNotice(queue.fd(), socket.get()).ok());
    there.Put('x');
    SleepUntilKilled();
  });
  there.Get<char>();
  CHECK(ErrorOfAsking(queue.fd()) == EBUSY);
  kill(other.pid(), SIGKILL);
  CHECK(other.EndingSignal() == SIGKILL);
  CHECK(ErrorOfAsking(queue.fd()) == 0);
}

TEST_CASE("mq_notice: a socket that is closed first is told nothing, and harms nobody") {
  const Queue queue;
  {
    const UniqueFd socket = NoticeSocket();
    REQUIRE(AskForNotice(queue.fd(), socket.get()).ok());
  }
  queue.Send();
  CHECK(queue.Take());
  CHECK(ErrorOfAsking(queue.fd()) == 0);
}

TEST_CASE("mq_notice: what is neither queue nor such a socket is refused") {
  const Queue queue;
  const Pipe pipe;
  const UniqueFd socket = NoticeSocket();
  CHECK(AskForNotice(pipe.reader(), socket.get()).error().number == EBADF);
  CHECK(AskForNotice(-1, socket.get()).error().number == EBADF);
  for (const int fd : {queue.fd(), pipe.reader(), -1}) {
    CHECK_FALSE(AskForNotice(queue.fd(), fd).ok());
    CHECK_FALSE(TakeNotice(fd).ok());
    WithdrawNotice(queue.fd(), fd);
  }
  CHECK(ErrorOfAsking(queue.fd()) == 0);
}

TEST_CASE("mq_notice: a withdrawal never ends what another thread has asked for since") {
  constexpr int kRounds = 5000;
  const Queue queue;
  std::atomic<bool> over{false};
  int lost = 0;
  {
    // Asks whenever it can, and lets go of its own.
    const Thread other([&] {
      while (!over) (void)ErrorOfAsking(queue.fd());
    });
    const UniqueFd socket = NoticeSocket();
    for (int round = 0; round < kRounds; ++round) {
      // Ends the other's, which is about to be withdrawn, and takes its place.
      queue.Send();
      MUST(queue.Take());
      if (!AskForNotice(queue.fd(), socket.get()).ok()) continue;
      sched_yield();
      queue.Send();
      if (Take(socket) != Notice::kArrived) ++lost;
      MUST(queue.Take());
    }
    over = true;
  }
  CHECK(lost == 0);
}

}  // namespace interproc::test
