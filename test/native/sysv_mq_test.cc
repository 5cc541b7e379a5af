// System V message queues: sysv_mq.h.
#include "os/sysv_mq.h"

#include <sys/msg.h>
#include <sys/resource.h>

#include <vector>

#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

constexpr uint64_t kLong = 60'000'000'000;
constexpr size_t kRoom = 100;

// A queue that nobody finds by a key, gone at the end.
class Queue {
 public:
  explicit Queue(std::optional<uint64_t> max_bytes = {}) {
    const Result<int> made = GetSysvMq(IPC_PRIVATE, true, 0600);
    MUST(made.ok());
    id_ = made.value();
    if (max_bytes.has_value()) MUST(ChangeSysvMq(id_, SysvChange{}, max_bytes).ok());
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  ~Queue() { (void)RemoveSysvMq(id_); }

  int id() const { return id_; }

  bool Send(int64_t type, const std::string& text, uint64_t timeout_ns = 0) const {
    const SysvMessage message(type, text.data(), text.size());
    const Result<Moved> sent = SendSysv(id_, message.raw(), text.size(), timeout_ns);
    MUST(sent.ok());
    return sent.value().has_value();
  }

  // Nothing: "-".
  std::string Receive(int64_t type = 0, uint64_t timeout_ns = 0) const {
    SysvMessage message(kRoom);
    SysvWanted wanted;
    wanted.type = type;
    const Result<Moved> received =
        ReceiveSysv(id_, wanted, message.raw(), message.capacity(), timeout_ns);
    MUST(received.ok());
    if (!received.value().has_value()) return "-";
    return std::to_string(message.type()) + ' ' + std::string(message.bytes(), *received.value());
  }

  uint64_t messages() const { return StatSysvMq(id_).value().messages; }

 private:
  int id_;
};

struct Receiving {
  Ref<SysvMessage> message = Ref<SysvMessage>::Adopt(new SysvMessage(8));
  Ref<BlockingCall> call;

  explicit Receiving(int id, SysvWanted wanted = {}, size_t most = 1 << 20)
      : call(BlockingCall::Start(
                 *Threads().get(),
                 [id, wanted, most, message = message](const BlockingCall& self) {
                   return ReceiveSysvWaiting(self, id, wanted, most, message.get());
                 },
                 [] {})
                 .value()) {}

  Outcome End() const {
    while (!call->over()) call->Wait(kLong);
    return call->TakeOutcome();
  }
  std::string Text(const Outcome& outcome) const {
    return {message->bytes(), static_cast<size_t>(outcome.number)};
  }
};

}  // namespace

TEST_CASE("sysv_mq: what can't be done now, or in so long, moves nothing") {
  const Queue queue(10);
  CHECK(queue.Receive() == "-");
  CHECK(queue.Receive(0, 1) == "-");
  CHECK(queue.Receive(0, 3'000'000) == "-");
  CHECK(queue.Send(1, "ten bytes."));
  CHECK_FALSE(queue.Send(1, "x"));
  CHECK_FALSE(queue.Send(1, "x", 3'000'000));
  CHECK(queue.Receive(2, 3'000'000) == "-");
  CHECK(queue.Receive() == "1 ten bytes.");
}

TEST_CASE("sysv_mq: a wait of so long ends with what comes meanwhile") {
  const Queue queue(10);
  for (int round = 0; round < 100; ++round) {
    {
      const Thread sends([&] { MUST(queue.Send(3, "came")); });
      CHECK(queue.Receive(3, kLong) == "3 came");
    }
    MUST(queue.Send(1, "ten bytes."));
    {
      const Thread makes_room([&] { MUST(queue.Receive() == "1 ten bytes."); });
      CHECK(queue.Send(4, "sent", kLong));
    }
    CHECK(queue.Receive() == "4 sent");
  }
}

TEST_CASE("sysv_mq: it does so where no timer is to be had") {
  CHECK(ExitCodeOf([] {
          const Queue queue(10);
          const struct rlimit none = {0, 0};
          CHILD_EXPECT(setrlimit(RLIMIT_SIGPENDING, &none) == 0);
          CHILD_EXPECT(queue.Receive(0, 3'000'000) == "-");
          CHILD_EXPECT(queue.Send(1, "ten bytes."));
          CHILD_EXPECT(!queue.Send(1, "x", 3'000'000));
          CHILD_EXPECT(queue.Receive(0, kLong) == "1 ten bytes.");
          CHILD_EXPECT(RemoveSysvMq(queue.id()).ok());
        }) == 0);
}

TEST_CASE("sysv_mq: a queue that is removed ends those who sleep in EIDRM") {
  const Queue queue;
  const Receiving first(queue.id());
  const Receiving second(queue.id());
  REQUIRE(RemoveSysvMq(queue.id()).ok());
  for (const Receiving* one : {&first, &second}) {
    const int error = one->End().error.number;
    // Whoever comes only now finds none.
    CHECK((error == EIDRM || error == EINVAL));
  }
  CHECK(StatSysvMq(queue.id()).error().number == EINVAL);
}

TEST_CASE("sysv_mq: a receive gets as much memory as a message takes, up to what is asked for") {
  const Queue queue;
  for (const size_t size : {0, 8, 9, 17, 1000, 8192}) {
    const std::string text(size, 'x');
    const Receiving receiving(queue.id());
    CHECK(queue.Send(5, text));
    const Outcome outcome = receiving.End();
    REQUIRE(outcome.error.number == 0);
    CHECK(receiving.Text(outcome) == text);
    CHECK(receiving.message->type() == 5);
  }
  const Receiving too_small(queue.id(), SysvWanted{}, 99);
  CHECK(queue.Send(1, std::string(100, 'y')));
  CHECK(too_small.End().error.number == E2BIG);
  CHECK(queue.messages() == 1);
  SysvWanted cut;
  cut.truncate = true;
  const Receiving cutting(queue.id(), cut, 99);
  const Outcome outcome = cutting.End();
  CHECK(cutting.Text(outcome) == std::string(99, 'y'));
  CHECK(queue.messages() == 0);
}

TEST_CASE("sysv_mq: a receive that is cancelled has a message, or leaves it") {
  const Queue queue;
  for (int round = 0; round < 500; ++round) {
    const Receiving receiving(queue.id());
    if (round % 2 == 0) receiving.call->Wait(1);
    const std::string text = std::to_string(round);
    CHECK(queue.Send(1, text));
    if (round % 3 == 0) sched_yield();
    receiving.call->Cancel();
    const Outcome outcome = receiving.call->TakeOutcome();
    if (outcome.error.number == 0) {
      REQUIRE(receiving.Text(outcome) == text);
    } else {
      REQUIRE(outcome.error.number == ECANCELED);
      REQUIRE(queue.Receive() == "1 " + text);
    }
    REQUIRE(queue.messages() == 0);
  }
}

TEST_CASE("sysv_mq: a send that is cancelled has sent its message, or not") {
  const Queue queue(1);
  for (int round = 0; round < 300; ++round) {
    MUST(queue.Send(1, "x"));
    const auto message = Ref<SysvMessage>::Adopt(new SysvMessage(2, "y", 1));
    const Ref<BlockingCall> call = BlockingCall::Start(
                                       *Threads().get(),
                                       [id = queue.id(), message](const BlockingCall& self) {
                                         return SendSysvWaiting(self, id, *message.get(), 1);
                                       },
                                       [] {})
                                       .value();
    if (round % 2 == 0) call->Wait(1);
    MUST(queue.Receive() == "1 x");
    if (round % 3 == 0) sched_yield();
    call->Cancel();
    const bool sent = call->TakeOutcome().error.number == 0;
    REQUIRE(queue.Receive() == (sent ? "2 y" : "-"));
  }
}

TEST_CASE("sysv_mq: the list has a queue as its status tells it, and an old id leads to none") {
  int id = -1;
  {
    const Queue queue;
    id = queue.id();
    MUST(queue.Send(1, "four"));
    const SysvMqStatus status = StatSysvMq(id).value();
    CHECK(status.messages == 1);
    CHECK(status.bytes == 4);
    CHECK(status.mode == 0600);
    CHECK(status.last_send_pid == getpid());
    const auto list = ListSysvMq().value();
    const auto found = std::find_if(list.begin(), list.end(),
                                    [id](const SysvMqStatus& one) { return one.id == id; });
    REQUIRE(found != list.end());
    CHECK(found->bytes == 4);
  }
  CHECK(StatSysvMq(id).error().number == EINVAL);
  CHECK(RemoveSysvMq(id).error().number == EINVAL);
}

}  // namespace interproc::test
