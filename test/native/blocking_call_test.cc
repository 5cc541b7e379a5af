// Calls that can only block, on threads of their own: blocking_call.h; and the thread that tells of
// edges: edge_watcher.h.
#include "os/blocking_call.h"

#include <sys/eventfd.h>

#include <vector>

#include "os/edge_watcher.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

constexpr uint64_t kLong = 60'000'000'000;

// Reads a byte, which may never come.
BlockingCall::Work Reading(int fd) {
  return [fd](const BlockingCall& call) {
    Outcome outcome;
    char byte = 0;
    while (!call.cancelled()) {
      if (read(fd, &byte, 1) == 1) {
        outcome.number = byte;
        return outcome;
      }
    }
    outcome.error = {ECANCELED, "read"};
    return outcome;
  };
}

Ref<BlockingCall> StartCall(BlockingCall::Work work, std::function<void()> over = [] {}) {
  Result<Ref<BlockingCall>> call =
      BlockingCall::Start(*Threads().get(), std::move(work), std::move(over));
  MUST(call.ok());
  return call.value();
}

}  // namespace

TEST_CASE("blocking call: gives its outcome, and tells once that it is there") {
  const Pipe pipe;
  std::atomic<int> told{0};
  const Ref<BlockingCall> call = StartCall(Reading(pipe.reader()), [&] { ++told; });
  CHECK(!call->over());
  pipe.Put('a');
  Until([&] { return told != 0; });
  REQUIRE(call->over());
  CHECK(call->TakeOutcome().number == 'a');
  CHECK(told == 1);
}

TEST_CASE("blocking call: one that is cancelled is over then, wherever it was") {
  const Pipe never;
  for (int round = 0; round < 200; ++round) {
    const Ref<BlockingCall> call = StartCall(Reading(never.reader()));
    if (round % 2 == 0) call->Wait(1);
    call->Cancel();
    REQUIRE(call->over());
    REQUIRE(call->TakeOutcome().error.number == ECANCELED);
  }
}

TEST_CASE("blocking call: a cancel that comes too late leaves the outcome") {
  const Pipe pipe;
  const Ref<BlockingCall> call = StartCall(Reading(pipe.reader()));
  pipe.Put('a');
  call->Wait(kLong);
  call->Cancel();
  CHECK(call->TakeOutcome().number == 'a');
}

TEST_CASE("blocking call: waiting for it ends with it, or with the time") {
  const Pipe pipe;
  const Ref<BlockingCall> call = StartCall(Reading(pipe.reader()));
  call->Wait(1);
  CHECK(!call->over());
  Thread puts([&] { pipe.Put('a'); });
  while (!call->over()) call->Wait(kLong);
  CHECK(call->TakeOutcome().number == 'a');
}

TEST_CASE("blocking call: lets go of what its work holds, and its thread ends") {
  const int threads = CountThreads();
  const Pipe never;
  {
    const auto held = std::make_shared<int>(0);
    std::vector<Ref<BlockingCall>> calls;
    for (int each = 0; each < 64; ++each) {
      calls.push_back(StartCall([held, reading = Reading(never.reader())](
                                    const BlockingCall& call) { return reading(call); }));
    }
    for (const auto& call : calls) call->Cancel();
    CHECK(held.use_count() == 1);
  }
  Until([&] { return CountInProc("task") == threads; });
}

TEST_CASE("blocking call: a descriptor that nobody takes is closed") {
  const int before = CountInProc("fd");
  {
    const Ref<BlockingCall> call = StartCall([](const BlockingCall&) {
      Outcome outcome;
      outcome.fd.Reset(eventfd(0, EFD_CLOEXEC));
      return outcome;
    });
    call->Wait(kLong);
    CHECK(CountInProc("fd") == before + 1);
  }
  Until([&] { return CountInProc("fd") == before; });
}

TEST_CASE("edge watcher: tells of what is there and of all that comes later, until it goes") {
  const int threads = CountThreads();
  const int descriptors = CountInProc("fd");
  const UniqueFd watched(eventfd(1, EFD_CLOEXEC));
  std::atomic<int> told{0};
  {
    const auto watcher = EdgeWatcher::Start(watched.get(), [&] { ++told; });
    REQUIRE(watcher.ok());
    Until([&] { return told == 1; });
    for (int round = 2; round < 50; ++round) {
      REQUIRE(eventfd_write(watched.get(), 1) == 0);
      Until([&] { return told >= round; });
    }
  }
  Until([&] { return CountInProc("task") == threads; });
  CHECK(CountInProc("fd") == descriptors + 1);
  const int last = told;
  REQUIRE(eventfd_write(watched.get(), 1) == 0);
  CHECK(told == last);
}

}  // namespace interproc::test
