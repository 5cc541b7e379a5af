// Calling threads of ours back out of system calls that would block for ever: interrupt.h.
#include "os/interrupt.h"

#include <sys/resource.h>
#include <sys/syscall.h>

#include <vector>

#include "os/thread.h"
#include "seccomp.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

// A thread that sleeps in a call without a timeout until it is told to stop.
struct Sleeper {
  Sleeper()
      : thread([this] {
          interruptible.Enter();
          entered = true;
          while (!stopped) {
            char byte;
            const ssize_t size = read(never.reader(), &byte, 1);
            if (size < 0 && errno == EINTR) ++interrupted;
          }
          interruptible.Leave();
          left = true;
        }) {}

  void Stop() {
    stopped = true;
    interruptible.Interrupt();
  }

  Pipe never;
  Interruptible interruptible;
  std::atomic<bool> stopped{false};
  std::atomic<bool> entered{false};
  std::atomic<bool> left{false};
  std::atomic<int> interrupted{0};
  Thread thread;  // last: it uses all of the above
};

}  // namespace

// First: in this process nobody may have asked for the signal yet.
TEST_CASE("interrupt: no handler that somebody has installed is replaced") {
  CHECK(ExitCodeOf([] {
          const int first = SIGRTMAX - 1;
          static std::atomic<int> foreign{0};
          struct sigaction theirs = {};
          theirs.sa_handler = [](int) { ++foreign; };
          CHILD_EXPECT(sigaction(first, &theirs, nullptr) == 0);
          {
            Sleeper sleeper;
            Until([&] { return sleeper.entered.load(); });
            sleeper.Stop();
            CHILD_EXPECT(sleeper.left);
          }
          CHILD_EXPECT(foreign == 0);
          struct sigaction now = {};
          CHILD_EXPECT(sigaction(first, nullptr, &now) == 0);
          CHILD_EXPECT(now.sa_handler == theirs.sa_handler);
          CHILD_EXPECT(sigaction(first - 1, nullptr, &now) == 0);
          CHILD_EXPECT(now.sa_handler != SIG_DFL);
        }) == 0);
}

TEST_CASE("interrupt: a thread is called out of the call that it sleeps in") {
  Sleeper sleeper;
  Until([&] { return sleeper.entered.load(); });
  sleeper.Stop();
  CHECK(sleeper.left);  // Interrupt() returns then, and not before
}

TEST_CASE("interrupt: it reaches a thread that has just begun, or is about to sleep") {
  for (int round = 0; round < 300; ++round) {
    Sleeper sleeper;
    sleeper.Stop();
    REQUIRE(sleeper.left);
  }
}

TEST_CASE("interrupt: of many threads only the one that is meant is interrupted") {
  std::vector<std::unique_ptr<Sleeper>> all;
  for (int each = 0; each < 8; ++each) all.push_back(std::make_unique<Sleeper>());
  for (const auto& each : all) Until([&] { return each->entered.load(); });
  for (size_t stopped = 0; stopped < all.size(); ++stopped) {
    all[stopped]->Stop();
    CHECK(all[stopped]->left);
    for (size_t other = stopped + 1; other < all.size(); ++other) {
      CHECK(!all[other]->left);
      CHECK(all[other]->interrupted == 0);
    }
  }
}

TEST_CASE("interrupt: it reaches a thread where the user may have no more signals pending") {
  CHECK(ExitCodeOf([] {
          const struct rlimit none = {0, 0};
          CHILD_EXPECT(setrlimit(RLIMIT_SIGPENDING, &none) == 0);
          Sleeper sleeper;
          Until([&] { return sleeper.entered.load(); });
          sleeper.Stop();
          CHILD_EXPECT(sleeper.left);
        }) == 0);
}

TEST_CASE("interrupt: a signal that can be handled but not sent is passed over") {
  CHECK(ExitCodeOf([] {
          const int first = SIGRTMAX - 1;
          RefuseCall(SYS_tgkill, 2, static_cast<uint32_t>(first), EINVAL);
          Sleeper sleeper;
          Until([&] { return sleeper.entered.load(); });
          sleeper.Stop();
          CHILD_EXPECT(sleeper.left);
          struct sigaction now = {};
          CHILD_EXPECT(sigaction(first, nullptr, &now) == 0);
          CHILD_EXPECT(now.sa_handler == SIG_DFL);
          const Alarm alarm(1);
          CHILD_EXPECT(alarm.set());
        }) == 0);
}

TEST_CASE("interrupt: a thread that has left is not waited for, nor is a second call anything") {
  Interruptible interruptible;
  {
    Thread thread([&] {
      interruptible.Enter();
      interruptible.Leave();
    });
  }
  interruptible.Interrupt();
  interruptible.Interrupt();
}

TEST_CASE("interrupt: threads that StartThread made, which block all signals, are reached too") {
  struct State {
    Pipe never;
    Interruptible interruptible;
    std::atomic<bool> stopped{false};
  } state;
  const auto run = [](void* data) -> void* {
    auto* state = static_cast<State*>(data);
    state->interruptible.Enter();
    while (!state->stopped) {
      char byte;
      (void)!read(state->never.reader(), &byte, 1);
    }
    state->interruptible.Leave();
    return nullptr;
  };
  const int threads = CountThreads();
  REQUIRE(StartThread(run, &state).ok());
  state.stopped = true;
  state.interruptible.Interrupt();
  Until([&] { return CountInProc("task") == threads; });
}

TEST_CASE("alarm: a call that would sleep for ever is called out of it, as often as it goes back") {
  const Pipe never;
  char byte;
  const Alarm alarm(2'000'000);
  REQUIRE(alarm.set());
  for (int times = 0; times < 5; ++times) {
    CHECK(read(never.reader(), &byte, 1) == -1);
    CHECK(errno == EINTR);
  }
}

TEST_CASE("alarm: one that has rung before the call calls it out all the same") {
  const Pipe never;
  for (int round = 0; round < 100; ++round) {
    char byte;
    const Alarm alarm(1);
    REQUIRE(alarm.set());
    if (round % 2 == 0) sched_yield();
    REQUIRE(read(never.reader(), &byte, 1) == -1);
    REQUIRE(errno == EINTR);
  }
}

TEST_CASE("alarm: it rings for its own thread alone, and never after its end") {
  Sleeper other;
  Until([&] { return other.entered.load(); });
  sigset_t before;
  sigset_t after;
  REQUIRE(pthread_sigmask(SIG_BLOCK, nullptr, &before) == 0);
  const Pipe never;
  for (int round = 0; round < 50; ++round) {
    char byte;
    const Alarm alarm(1000);
    REQUIRE(read(never.reader(), &byte, 1) == -1);
  }
  REQUIRE(pthread_sigmask(SIG_BLOCK, nullptr, &after) == 0);
  for (int number = 1; number < SIGRTMAX; ++number) {
    CHECK(sigismember(&before, number) == sigismember(&after, number));
  }
  // A sleep of several of its periods that nothing cuts short.
  const struct timespec several = {0, 5'000'000};
  CHECK(nanosleep(&several, nullptr) == 0);
  CHECK(other.interrupted == 0);
  other.Stop();
}

TEST_CASE("alarm: several threads have one each") {
  const Pipe never;
  std::vector<std::unique_ptr<Thread>> threads;
  std::atomic<int> rung{0};
  for (int each = 0; each < 8; ++each) {
    threads.push_back(std::make_unique<Thread>([&, each] {
      for (int round = 0; round < 20; ++round) {
        char byte;
        const Alarm alarm(static_cast<uint64_t>(1 + each) * 100'000);
        MUST(alarm.set());
        MUST(read(never.reader(), &byte, 1) == -1 && errno == EINTR);
        ++rung;
      }
    }));
  }
  threads.clear();
  CHECK(rung == 160);
}

TEST_CASE("alarm: where the user may have no more signals pending, it says that it is not set") {
  CHECK(ExitCodeOf([] {
          const struct rlimit none = {0, 0};
          CHILD_EXPECT(setrlimit(RLIMIT_SIGPENDING, &none) == 0);
          const Alarm alarm(1);
          CHILD_EXPECT(!alarm.set());
        }) == 0);
}

}  // namespace interproc::test
