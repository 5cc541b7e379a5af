// Sleeping on words of shared memory: futex.h and futex_waiters.h.
#include <doctest/doctest.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <set>
#include <vector>

#include "os/futex.h"
#include "os/futex_waiters.h"
#include "os/mapping.h"
#include "os/memfd.h"
#include "support.h"

namespace interproc::test {
namespace {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

struct Words {
  Ref<Mapping> mapping;

  explicit Words(size_t bytes) {
    auto file = CreateMemfd("futex", Access{}, bytes, Pages::kReserved).value();
    mapping = Mapping::OfFile(file, 0, bytes).value();
  }
  FutexWord* at(size_t index) const {
    return reinterpret_cast<FutexWord*>(mapping->data()) + index;
  }
  WaitWord to_wait(size_t index) const {
    return mapping->WordAt(index * sizeof(FutexWord)).value();
  }
};

// A wait set and a futex that its notifications bump, for the test to sleep on.
struct Waiters {
  FutexWord notified{0};
  FutexWaiters waiters{[this] {
    notified.fetch_add(1);
    (void)FutexWakePrivate(&notified, 1);
  }};

  // Until `count` waits are over; no time is measured, the test's watchdog ends what hangs.
  std::set<uint64_t> Await(size_t count) {
    std::set<uint64_t> over;
    while (over.size() < count) {
      const uint32_t seen = notified.load();
      for (const uint64_t id : waiters.TakeCompleted()) over.insert(id);
      const FutexEntry entry{&notified, seen, true};
      if (over.size() < count) (void)FutexWaitAny(&entry, 1);
    }
    return over;
  }
};

void Change(FutexWord* word) {
  word->fetch_add(1);
  (void)FutexWake(word, 1);
}

}  // namespace

TEST_CASE("futex: a wait on a word that differs already is EAGAIN, one in vain ETIMEDOUT") {
  Words words(4096);
  CHECK(FutexWait(words.at(0), 1, 0).error().number == EAGAIN);
  CHECK(FutexWait(words.at(0), 0, 1).error().number == ETIMEDOUT);
  CHECK(FutexWake(words.at(0), 1).value() == 0);
}

TEST_CASE("futex_waiters: each of many waits ends when its word changes, and no other") {
  Words words(1 << 16);
  Waiters set;
  constexpr size_t kWaits = 1000;
  for (size_t index = 0; index < kWaits; ++index) {
    REQUIRE(set.waiters.Add(index, words.to_wait(index), 0).ok());
  }
  std::set<uint64_t> odd;
  for (size_t index = 1; index < kWaits; index += 2) {
    Change(words.at(index));
    odd.insert(index);
  }
  CHECK(set.Await(odd.size()) == odd);
  for (size_t index = 0; index < kWaits; index += 2) CHECK(set.waiters.Cancel(index));
  for (size_t index = 1; index < kWaits; index += 2) CHECK(!set.waiters.Cancel(index));
}

TEST_CASE("futex_waiters: two words that are woken at once both end their waits") {
  Words words(4096);
  Waiters set;
  for (uint32_t round = 0; round < 300; ++round) {
    REQUIRE(set.waiters.Add(1, words.to_wait(0), round).ok());
    REQUIRE(set.waiters.Add(2, words.to_wait(1), round).ok());
    Change(words.at(0));
    Change(words.at(1));
    CHECK(set.Await(2) == std::set<uint64_t>{1, 2});
  }
}

TEST_CASE(
    "futex_waiters: of two waits on a word a wake-one reaches the one that is not cancelled") {
  Words words(4096);
  for (int round = 0; round < 300; ++round) {
    Waiters set;
    *words.at(0) = 0;
    REQUIRE(set.waiters.Add(1, words.to_wait(0), 0).ok());
    REQUIRE(set.waiters.Add(2, words.to_wait(0), 0).ok());
    Change(words.at(0));
    const bool cancelled = set.waiters.Cancel(1);
    CHECK(set.Await(cancelled ? 1 : 2).count(2) == 1);
  }
}

TEST_CASE("futex_waiters: a mapping that is closed under a wait harms nobody") {
  Words words(8192);
  Waiters set;
  words.mapping->MarkExposed();
  REQUIRE(set.waiters.Add(1, words.to_wait(1024), 0).ok());
  words.mapping->Close();
  CHECK(set.waiters.Cancel(1));
}

TEST_CASE("futex_waiters: a watch tells of each change until it is cancelled, and of none missed") {
  const Words words(4096);
  Waiters set;
  CHECK(set.waiters.Watch(1, words.to_wait(0)).ok());
  CHECK(set.waiters.Watch(2, words.to_wait(1)).ok());
  for (int round = 0; round < 200; ++round) {
    Change(words.at(0));
    CHECK(set.Await(1) == std::set<uint64_t>{1});
  }
  // However soon one comes after the other: the last is told of.
  for (int round = 0; round < 200; ++round) {
    Change(words.at(0));
    Change(words.at(1));
    CHECK(set.Await(2) == std::set<uint64_t>{1, 2});
  }
  CHECK(set.waiters.Cancel(1));
  CHECK(!set.waiters.Cancel(1));
  (void)set.waiters.TakeCompleted();
  Change(words.at(0));
  Change(words.at(1));
  CHECK(set.Await(1) == std::set<uint64_t>{2});
  CHECK(set.waiters.Cancel(2));
}

TEST_CASE("futex_waiters: a watch ends where its word is gone, and the others go on") {
  auto file = CreateMemfd("futex", Access{}, 8192, Pages::kReserved).value();
  const Ref<Mapping> cut = Mapping::OfFile(file, 0, 8192).value();
  const Words words(4096);
  Waiters set;
  CHECK(set.waiters.Watch(1, cut->WordAt(4096).value()).ok());
  CHECK(set.waiters.Watch(2, words.to_wait(0)).ok());
  REQUIRE(ftruncate(file->fd(), 4096) == 0);
  Change(words.at(0));  // the lane goes round, and looks at all of its words
  std::set<uint64_t> told;
  while (told.count(1 | kLastCompletion) == 0 || told.count(2) == 0) {
    told.merge(set.Await(1));
  }
  Change(words.at(0));
  CHECK(set.Await(1) == std::set<uint64_t>{2});
  CHECK(!set.waiters.Cancel(1));
  CHECK(set.waiters.Cancel(2));
}

TEST_CASE("futex_waiters: without futex_waitv each wait has a thread, and the 501st is ENOSYS") {
  CHECK(ExitCodeOf([] {
          setenv("INTERPROC_NO_FUTEX_WAITV", "1", 1);
          Words words(4096);
          FutexWaiters waiters([] {});
          for (size_t index = 0; index < FutexWaiters::kPlainWaitsMax; ++index) {
            CHILD_EXPECT(waiters.Add(index, words.to_wait(index), 0).ok());
          }
          CHILD_EXPECT(waiters.Add(1000, words.to_wait(0), 0).error().number == ENOSYS);
          CHILD_EXPECT(waiters.Cancel(0));
          CHILD_EXPECT(waiters.Add(1000, words.to_wait(0), 0).ok());
        }) == 0);
}

TEST_CASE(
    "futex_waiters: a thread that waits for nothing more lingers, serves what comes, and ends") {
  const Words words(4096);
  const int threads = CountThreads();
  Waiters set;
  uint32_t value = 0;
  // However long it has lingered: it takes the next wait, or another thread does.
  for (int round = 0; round < 60; ++round) {
    REQUIRE(set.waiters.Add(1, words.to_wait(0), value).ok());
    Change(words.at(0));
    ++value;
    CHECK(set.Await(1) == std::set<uint64_t>{1});
    if (round % 20 == 19) Until([&] { return CountInProc("task") == threads; });
    if (round % 5 == 0) usleep(1000);
  }
  REQUIRE(set.waiters.Add(1, words.to_wait(0), value).ok());
  CHECK(set.waiters.Cancel(1));
  Until([&] { return CountInProc("task") == threads; });
}

TEST_CASE("futex_waiters: of many threads all end, and the set may go while some linger") {
  const Words words(1 << 16);
  const int threads = CountThreads();
  for (int round = 0; round < 5; ++round) {
    Waiters set;
    for (size_t index = 0; index < 600; ++index) {
      REQUIRE(set.waiters.Add(index, words.to_wait(index), static_cast<uint32_t>(round)).ok());
    }
    CHECK(CountInProc("task") > threads + 3);
    std::set<uint64_t> all;
    for (size_t index = 0; index < 600; ++index) {
      Change(words.at(index));
      all.insert(index);
    }
    CHECK(set.Await(600) == all);
    if (round % 2 == 0) Until([&] { return CountInProc("task") == threads; });
  }
  Until([&] { return CountInProc("task") == threads; });
}

}  // namespace interproc::test
