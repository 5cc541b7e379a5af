// System V semaphore sets: sysv_sem.h.
#include "os/sysv_sem.h"

#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

constexpr uint64_t kLong = 60'000'000'000;

// A set that nobody finds by a key, gone at the end.
class Set {
 public:
  explicit Set(std::vector<uint16_t> values, const Access& access = Access{}) {
    const Result<int> made = CreateSysvSem(IPC_PRIVATE, std::move(values), access);
    MUST(made.ok());
    id_ = made.value();
  }
  Set(const Set&) = delete;
  Set& operator=(const Set&) = delete;
  ~Set() { (void)RemoveSysvSem(id_); }

  int id() const { return id_; }
  std::vector<uint16_t> values() const { return ValuesOfSysvSem(id_).value(); }
  int waiting() const {
    return AskSysvSem(id_, 0, SysvSemFact::kWaitingForIncrease).value() +
           AskSysvSem(id_, 0, SysvSemFact::kWaitingForZero).value();
  }

 private:
  int id_;
};

struct sembuf Change(int delta, int flags = 0, int index = 0) {
  struct sembuf operation = {};
  operation.sem_num = static_cast<uint16_t>(index);
  operation.sem_op = static_cast<int16_t>(delta);
  operation.sem_flg = static_cast<int16_t>(flags);
  return operation;
}

Ref<BlockingCall> StartOperating(int id, SemOperations operations) {
  return BlockingCall::Start(
             *Threads().get(),
             [id, operations = std::move(operations)](const BlockingCall& self) {
               return OperateSysvSemWaiting(self, id, operations);
             },
             [] {})
      .value();
}

Outcome EndOf(const Ref<BlockingCall>& call) {
  while (!call->over()) call->Wait(kLong);
  return call->TakeOutcome();
}

}  // namespace

TEST_CASE(
    "sysv_sem: a new set has its values, mode and owner, and can be told from one in the making") {
  Access access;
  access.mode = 0640;
  const Set set({1, 2, 32767}, access);
  CHECK(set.values() == std::vector<uint16_t>{1, 2, 32767});
  const SysvSemStatus status = StatSysvSem(set.id()).value();
  CHECK(status.count == 3);
  CHECK(status.mode == 0640);
  CHECK(status.uid == geteuid());
  CHECK(SysvSemIsReady(set.id()).value());
}

TEST_CASE("sysv_sem: of those that make and open a set of one key nobody sees another value") {
  const int32_t key = 0x49510000 | (getpid() & 0xffff);
  constexpr int kRounds = 400;
  const auto opens = [key] {
    for (int seen = 0; seen < kRounds;) {
      const Result<int> id = OpenSysvSem(key);
      if (!id.ok()) continue;
      const Result<bool> ready = SysvSemIsReady(id.value());
      if (!ready.ok() || !ready.value()) continue;
      const Result<std::vector<uint16_t>> values = ValuesOfSysvSem(id.value());
      if (!values.ok()) continue;  // removed meanwhile
      CHILD_EXPECT(values.value() == (std::vector<uint16_t>{7, 8}));
      ++seen;
    }
  };
  Child as_is(opens);
  Child as_nobody([&] {
    DropRights();
    opens();
  });
  Access access;
  access.mode = 0666;
  const auto over = [](const Child& child) {
    siginfo_t info = {};
    return waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
  };
  while (!over(as_is) || !over(as_nobody)) {
    const Result<int> id = CreateSysvSem(key, {7, 8}, access);
    REQUIRE(id.ok());
    sched_yield();
    REQUIRE(RemoveSysvSem(id.value()).ok());
  }
  CHECK(as_is.ExitCode() == 0);
  CHECK(as_nobody.ExitCode() == 0);
}

TEST_CASE("sysv_sem: what can't be done now, or in so long, does nothing") {
  const Set set({0, 1});
  CHECK_FALSE(OperateSysvSem(set.id(), {Change(-1)}, 0).value());
  CHECK_FALSE(OperateSysvSem(set.id(), {Change(-1)}, 3'000'000).value());
  CHECK_FALSE(OperateSysvSem(set.id(), {Change(-1, 0, 1), Change(-1)}, 3'000'000).value());
  CHECK(set.values() == std::vector<uint16_t>{0, 1});
  // One that is not to wait is an error where others would, and nothing where nobody waits.
  CHECK(OperateSysvSem(set.id(), {Change(-1, IPC_NOWAIT)}, kLong).error().number == EAGAIN);
  CHECK_FALSE(OperateSysvSem(set.id(), {Change(-1, IPC_NOWAIT)}, 0).value());
  CHECK(OperateSysvSem(set.id(), {Change(0), Change(1)}, 0).value());
  CHECK_FALSE(OperateSysvSem(set.id(), {Change(0), Change(1)}, 0).value());
}

TEST_CASE("sysv_sem: a wait of so long ends with what comes meanwhile") {
  const Set set({0});
  for (int round = 0; round < 100; ++round) {
    const Thread gives([&] { MUST(OperateSysvSem(set.id(), {Change(2)}, 0).value()); });
    CHECK(OperateSysvSem(set.id(), {Change(-2)}, kLong).value());
  }
  CHECK(set.values() == std::vector<uint16_t>{0});
}

TEST_CASE("sysv_sem: a set that is removed ends those who sleep in EIDRM") {
  const Set set({0});
  const Ref<BlockingCall> first = StartOperating(set.id(), {Change(-1)});
  const Ref<BlockingCall> second = StartOperating(set.id(), {Change(-1)});
  Until([&] { return set.waiting() == 2; });
  REQUIRE(RemoveSysvSem(set.id()).ok());
  CHECK(EndOf(first).error.number == EIDRM);
  CHECK(EndOf(second).error.number == EIDRM);
  CHECK(SysvSemIsReady(set.id()).error().number == EINVAL);
}

TEST_CASE("sysv_sem: operations that are cancelled were done, or not") {
  const Set set({0});
  for (int round = 0; round < 500; ++round) {
    const Ref<BlockingCall> call = StartOperating(set.id(), {Change(-1)});
    if (round % 2 == 0) call->Wait(1);
    MUST(OperateSysvSem(set.id(), {Change(1)}, 0).value());
    if (round % 3 == 0) sched_yield();
    call->Cancel();
    const int error = call->TakeOutcome().error.number;
    REQUIRE((error == 0 || error == ECANCELED));
    REQUIRE(set.values() == std::vector<uint16_t>{static_cast<uint16_t>(error == 0 ? 0 : 1)});
    REQUIRE(set.waiting() == 0);
    REQUIRE(SetValueOfSysvSem(set.id(), 0, 0).ok());
  }
}

TEST_CASE(
    "sysv_sem: undo is the process's: the end of a thread undoes nothing, the end of all does") {
  const Set set({3});
  const Pipe done;
  Child holder([&] {
    const int threads = CountThreads();
    {
      const Thread takes(
          [&] { MUST(OperateSysvSem(set.id(), {Change(-1, SEM_UNDO)}, 0).value()); });
    }
    CHILD_EXPECT(EndOf(StartOperating(set.id(), {Change(-1, SEM_UNDO)})).error.number == 0);
    // Those threads linger a moment, and end.
    Until([&] { return CountInProc("task") == threads; });
    done.Put('x');
    SleepUntilKilled();
  });
  CHECK(done.Get<char>() == 'x');
  CHECK(set.values() == std::vector<uint16_t>{1});
  REQUIRE(kill(holder.pid(), SIGKILL) == 0);
  CHECK(holder.EndingSignal() == SIGKILL);
  CHECK(set.values() == std::vector<uint16_t>{3});
}

}  // namespace interproc::test
