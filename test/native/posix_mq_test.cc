// POSIX message queues: posix_mq.h.
#include "os/posix_mq.h"

#include "os/file_status.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

constexpr MqSizes kSmall = {2, 16};

// A queue of two messages of 16 bytes; its name is gone at the end.
class Queue {
 public:
  explicit Queue(MqUse use = MqUse::kBoth, const Access& access = {})
      : fd_(std::move(MustBe(CreatePosixMq(name_, use, kSmall, access)).value())) {}
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  ~Queue() { (void)UnlinkPosixMq(name_); }

  const std::string& name() const { return name_; }
  int fd() const { return fd_.get(); }
  int64_t Messages() const { return AttributesOfMq(fd()).value().messages; }
  bool Send(const std::string& text, uint32_t priority = 0) const {
    return MustBe(SendToMq(fd(), text.data(), text.size(), priority)).value().has_value();
  }

 private:
  template <typename T>
  static Result<T> MustBe(Result<T> result) {
    MUST(result.ok());
    return result;
  }

  const std::string name_ = UniqueName();
  UniqueFd fd_;
};

std::string Receive(int fd, uint32_t* priority) {
  char room[kSmall.message_size];
  const Result<Moved> got = ReceiveFromMq(fd, room, sizeof(room), priority);
  if (!got.ok()) return "error " + std::to_string(got.error().number);
  return got.value().has_value() ? std::string(room, *got.value()) : "none";
}

std::string Receive(int fd) {
  uint32_t priority = 0;
  return Receive(fd, &priority);
}

int ErrorOfSending(int fd, size_t length) {
  const std::string data(length, 'x');
  return SendToMq(fd, data.data(), data.size(), 0).error().number;
}

}  // namespace

TEST_CASE("posix_mq: a name is made once, opened while it is there, and unlinked once") {
  const std::string name = UniqueName();
  const auto missing = OpenPosixMq(name, MqUse::kBoth);
  CHECK(missing.error().number == ENOENT);
  CHECK(std::string(missing.error().syscall) == "mq_open");
  {
    const Queue queue;
    CHECK(CreatePosixMq(queue.name(), MqUse::kBoth, kSmall, {}).error().number == EEXIST);
    CHECK(OpenPosixMq(queue.name(), MqUse::kBoth).ok());
    // As users know it.
    CHECK(OpenPosixMq("/" + queue.name(), MqUse::kBoth).ok());
    CHECK(UnlinkPosixMq("/" + queue.name()).ok());
    CHECK(OpenPosixMq(queue.name(), MqUse::kBoth).error().number == ENOENT);
  }
  const auto gone = UnlinkPosixMq(name);
  CHECK(gone.error().number == ENOENT);
  CHECK(std::string(gone.error().syscall) == "mq_unlink");
}

TEST_CASE("posix_mq: a descriptor ends with a new program") {
  const Queue queue;
  const UniqueFd opened = std::move(OpenPosixMq(queue.name(), MqUse::kReceiving).value());
  const UniqueFd taken = std::move(DuplicatePosixMq(queue.fd()).value());
  for (const int fd : {queue.fd(), opened.get(), taken.get()}) {
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  }
}

TEST_CASE("posix_mq: has its mode whatever the umask") {
  for (const mode_t mask : {0000, 0077, 0777}) {
    CHECK(ExitCodeOf([mask] {
            umask(mask);
            const Queue queue(MqUse::kBoth, {0624, {}, {}});
            CHILD_EXPECT(StatusOf(queue.fd()).value().mode == 0624);
          }) == 0);
  }
}

TEST_CASE("posix_mq: where its owner can't be set nothing stays, neither name nor descriptor") {
  CHECK(ExitCodeOf([] {
          DropRights();
          if (getuid() == 0) return;
          const std::string name = UniqueName();
          const int before = CountInProc("fd");
          Access somebody_else;
          somebody_else.uid = getuid() + 1;
          const auto refused = CreatePosixMq(name, MqUse::kBoth, kSmall, somebody_else);
          CHILD_EXPECT(refused.error().number == EPERM);
          CHILD_EXPECT(OpenPosixMq(name, MqUse::kBoth).error().number == ENOENT);
          CHILD_EXPECT(CountInProc("fd") == before);
        }) == 0);
}

TEST_CASE("posix_mq: is used as it was opened") {
  const Queue queue;
  REQUIRE(queue.Send("kept"));
  const UniqueFd receiving = std::move(OpenPosixMq(queue.name(), MqUse::kReceiving).value());
  const UniqueFd sending = std::move(OpenPosixMq(queue.name(), MqUse::kSending).value());
  CHECK(ErrorOfSending(receiving.get(), 1) == EBADF);
  CHECK(Receive(sending.get()) == "error " + std::to_string(EBADF));
  CHECK(SendToMq(sending.get(), "too", 3, 0).ok());
  CHECK(Receive(receiving.get()) == "kept");
  CHECK(Receive(receiving.get()) == "too");
}

TEST_CASE("posix_mq: neither sending nor receiving waits, with O_NONBLOCK or without") {
  const Queue queue;
  for (const bool non_blocking : {false, true}) {
    REQUIRE(SetMqNonBlocking(queue.fd(), non_blocking).ok());
    CHECK(AttributesOfMq(queue.fd()).value().non_blocking == non_blocking);
    CHECK(Receive(queue.fd()) == "none");
    CHECK(queue.Send("1"));
    CHECK(queue.Send("2"));
    CHECK_FALSE(queue.Send("3"));
    CHECK(queue.Messages() == 2);
    CHECK(Receive(queue.fd()) == "1");
    CHECK(Receive(queue.fd()) == "2");
  }
}

TEST_CASE("posix_mq: O_NONBLOCK is shared by duplicates, and not by those that were opened") {
  const Queue queue;
  const UniqueFd duplicate = std::move(DuplicatePosixMq(queue.fd()).value());
  const UniqueFd opened = std::move(OpenPosixMq(queue.name(), MqUse::kBoth).value());
  REQUIRE(SetMqNonBlocking(duplicate.get(), true).ok());
  CHECK(AttributesOfMq(queue.fd()).value().non_blocking);
  CHECK_FALSE(AttributesOfMq(opened.get()).value().non_blocking);
}

TEST_CASE("posix_mq: a message keeps its bytes, its length and its priority") {
  const Queue queue;
  REQUIRE(queue.Send(std::string("\0\xff\n", 3), 7));
  REQUIRE(queue.Send("", 32767));
  uint32_t priority = 0;
  CHECK(Receive(queue.fd(), &priority).empty());
  CHECK(priority == 32767);
  CHECK(Receive(queue.fd(), &priority) == std::string("\0\xff\n", 3));
  CHECK(priority == 7);
}

TEST_CASE("posix_mq: what is too long is not sent, and too little room takes no message") {
  const Queue queue;
  CHECK(ErrorOfSending(queue.fd(), kSmall.message_size + 1) == EMSGSIZE);
  CHECK(queue.Messages() == 0);
  REQUIRE(queue.Send("kept"));
  char room[kSmall.message_size];
  uint32_t priority = 0;
  CHECK(ReceiveFromMq(queue.fd(), room, sizeof(room) - 1, &priority).error().number == EMSGSIZE);
  CHECK(Receive(queue.fd()) == "kept");
  const auto refused = SendToMq(queue.fd(), "x", 1, 32768);
  CHECK(refused.error().number == EINVAL);
  CHECK(std::string(refused.error().syscall) == "mq_send");
}

TEST_CASE("posix_mq: only a queue is taken over, by a descriptor of our own") {
  const Queue queue;
  {
    const UniqueFd taken = std::move(DuplicatePosixMq(queue.fd()).value());
    CHECK(taken.get() != queue.fd());
  }
  CHECK(queue.Send("x"));
  const int before = CountInProc("fd");
  {
    const Pipe pipe;
    const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    const UniqueFd bare(open("/dev/null", O_PATH | O_CLOEXEC));
    for (const int fd : {pipe.reader(), pipe.writer(), null.get(), bare.get(), -1, 1 << 30}) {
      CHECK(DuplicatePosixMq(fd).error().number == EBADF);
      CHECK(AttributesOfMq(fd).error().number == EBADF);
      CHECK(SetMqNonBlocking(fd, true).error().number == EBADF);
      CHECK(ErrorOfSending(fd, 1) == EBADF);
      CHECK(Receive(fd) == "error " + std::to_string(EBADF));
    }
  }
  CHECK(CountInProc("fd") == before);
}

TEST_CASE("posix_mq: is linked while its name leads to it, whatever it was opened for") {
  const Queue first;
  const UniqueFd sending = std::move(OpenPosixMq(first.name(), MqUse::kSending).value());
  const int before = CountInProc("fd");
  for (const int fd : {first.fd(), sending.get()}) CHECK(PosixMqLinkedAt(fd, first.name()));
  CHECK_FALSE(PosixMqLinkedAt(-1, first.name()));
  REQUIRE(UnlinkPosixMq(first.name()).ok());
  CHECK_FALSE(PosixMqLinkedAt(first.fd(), first.name()));
  const UniqueFd another = std::move(CreatePosixMq(first.name(), MqUse::kBoth, kSmall, {}).value());
  CHECK_FALSE(PosixMqLinkedAt(first.fd(), first.name()));
  CHECK(PosixMqLinkedAt(another.get(), first.name()));
  CHECK(CountInProc("fd") == before + 1);
}

TEST_CASE("posix_mq: who may only send, or only receive, sees whether it is linked") {
  for (const mode_t mode : {0200, 0400}) {
    CHECK(ExitCodeOf([mode] {
            DropRights();
            const Queue queue(MqUse::kBoth, {mode, {}, {}});
            CHILD_EXPECT(PosixMqLinkedAt(queue.fd(), queue.name()));
            CHILD_EXPECT(UnlinkPosixMq(queue.name()).ok());
            CHILD_EXPECT(!PosixMqLinkedAt(queue.fd(), queue.name()));
          }) == 0);
  }
}

TEST_CASE("posix_mq: several processes and threads get each message once") {
  constexpr int kEach = 5000;
  constexpr int kSenders = 3;
  const Queue queue;
  const auto send = [&](int from) {
    for (int i = 0; i < kEach; ++i) {
      const int message = from * kEach + i;
      while (!SendToMq(queue.fd(), &message, sizeof(message), 0).value().has_value()) sched_yield();
    }
  };
  const Child first([&] { send(0); });
  const Child second([&] { send(1); });
  std::atomic<int> left{kEach * kSenders};
  std::atomic<int> wrong{0};
  auto seen = std::make_unique<std::atomic<int>[]>(kEach * kSenders);
  const auto receive = [&] {
    int last[kSenders] = {-1, -1, -1};
    while (left > 0) {
      int message[4];
      uint32_t priority = 0;
      const Result<Moved> got = ReceiveFromMq(queue.fd(), message, sizeof(message), &priority);
      if (!got.ok() || !got.value().has_value()) {
        sched_yield();
        continue;
      }
      int& before = last[message[0] / kEach];
      if (*got.value() != sizeof(int) || message[0] <= before || seen[message[0]]++ != 0) ++wrong;
      before = message[0];
      --left;
    }
  };
  {
    const Thread sending([&] { send(2); });
    const Thread one(receive);
    const Thread other(receive);
  }
  CHECK(wrong == 0);
  CHECK(Receive(queue.fd()) == "none");
}

}  // namespace interproc::test
