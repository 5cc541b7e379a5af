// Which bytes the locks of this process take: lock_place.h.
#include "os/lock_place.h"

#include <sys/ipc.h>

#include <vector>

#include "os/memfd.h"
#include "os/sysv_shm.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

constexpr uint32_t kMutex = 1;
constexpr uint32_t kOther = 2;

Ref<MemoryFile> NewMemfd() { return CreateMemfd("test", {}, 16384, Pages::kReserved).value(); }

Ref<Mapping> Map(const Ref<MemoryFile>& file, uint64_t offset = 0) {
  return Mapping::OfFile(file, offset, 8192).value();
}

struct Claimed {
  Ref<LockPlace> place;  // empty: something else lies there
  LockBytes there = {};

  explicit operator bool() const { return static_cast<bool>(place); }
};

Claimed Claim(const Ref<Mapping>& mapping, uint64_t offset, uint64_t length,
              uint32_t kind = kMutex) {
  Claimed claimed;
  Result<Ref<LockPlace>> place =
      LockPlace::Claim(*mapping.get(), offset, length, kind, &claimed.there);
  if (place.ok())
    claimed.place = place.value();
  else
    MUST(place.error().number == EEXIST);
  return claimed;
}

}  // namespace

TEST_CASE("lock_place: the same lock is claimed as often as one likes, another kind never") {
  const Ref<Mapping> mapping = Map(NewMemfd());
  const Claimed first = Claim(mapping, 64, 16);
  CHECK(first);
  CHECK(Claim(mapping, 64, 16));
  const Claimed other = Claim(mapping, 64, 16, kOther);
  CHECK(!other);
  CHECK(other.there.begin == 64);
  CHECK(other.there.length == 16);
  CHECK(other.there.kind == kMutex);
}

TEST_CASE("lock_place: the last claim frees it") {
  const Ref<Mapping> mapping = Map(NewMemfd());
  Claimed first = Claim(mapping, 64, 16);
  Claimed second = Claim(mapping, 64, 16);
  first = {};
  CHECK(!Claim(mapping, 64, 16, kOther));
  second = {};
  const Claimed third = Claim(mapping, 64, 256, kOther);
  CHECK(third);
  CHECK(!Claim(mapping, 64, 16));
}

TEST_CASE("lock_place: a claim that is refused takes nothing") {
  const Ref<Mapping> mapping = Map(NewMemfd());
  Claimed first = Claim(mapping, 64, 16);
  CHECK(!Claim(mapping, 0, 256, kOther));
  CHECK(Claim(mapping, 128, 16));
  first = {};
  CHECK(Claim(mapping, 0, 256, kOther));
}

TEST_CASE("lock_place: locks may touch each other, and not overlap by a byte at either end") {
  const Ref<Mapping> mapping = Map(NewMemfd());
  const Claimed lower = Claim(mapping, 1024, 256, kOther);
  const Claimed upper = Claim(mapping, 2048, 16);
  REQUIRE(lower);
  REQUIRE(upper);
  struct {
    uint64_t offset, length;
    const Claimed* there;
  } const refused[] = {
      {1008, 17, &lower},   {1279, 16, &lower},   {1032, 8, &lower},   {1025, 256, &lower},
      {1000, 1024, &lower}, {2047, 2, &upper},    {2063, 16, &upper},  {2040, 1024, &upper},
      {2056, 16, &upper},   {1016, 1033, &lower}, {1280, 769, &upper}, {0, 4096, &lower},
  };
  for (const auto& each : refused) {
    CAPTURE(each.offset);
    for (const uint32_t kind : {kMutex, kOther}) {
      const Claimed claimed = Claim(mapping, each.offset, each.length, kind);
      CHECK(!claimed);
      const uint64_t begin = each.there == &lower ? 1024 : 2048;
      CHECK(claimed.there.begin == begin);
    }
  }
  CHECK(Claim(mapping, 1008, 16));
  CHECK(Claim(mapping, 1280, 768, kOther));
  CHECK(Claim(mapping, 2064, 16));
}

TEST_CASE("lock_place: a place is one of the file, by whatever mapping and descriptor") {
  const Ref<MemoryFile> file = NewMemfd();
  const Ref<Mapping> whole = Map(file);
  const Ref<Mapping> part = Map(MemoryFile::Duplicate(file->fd(), false).value(), 4104);
  const Claimed first = Claim(whole, 4104 + 64, 16);
  CHECK(Claim(part, 64, 16));
  const Claimed other = Claim(part, 56, 16);
  CHECK(!other);
  CHECK(other.there.begin == 4104 + 64);
  CHECK(Claim(Map(NewMemfd()), 4104 + 64, 256, kOther));
}

TEST_CASE("lock_place: segments of System V have places of their own") {
  const int id = GetSysvShm(IPC_PRIVATE, 8192, true, 0600).value();
  const int other_id = GetSysvShm(IPC_PRIVATE, 8192, true, 0600).value();
  {
    const Ref<Mapping> mapping = Mapping::OfSysv(id, false).value();
    const Ref<Mapping> again = Mapping::OfSysv(id, false).value();
    const Ref<Mapping> other = Mapping::OfSysv(other_id, false).value();
    const Claimed first = Claim(mapping, 64, 16);
    CHECK(Claim(again, 64, 16));
    CHECK(!Claim(again, 72, 16));
    CHECK(Claim(other, 72, 16));
  }
  CHECK(RemoveSysvShm(id).ok());
  CHECK(RemoveSysvShm(other_id).ok());
}

TEST_CASE("lock_place: threads never get overlapping places, and all are free in the end") {
  constexpr uint64_t kBytes = 64;
  constexpr uint64_t kUnit = 16;
  const Ref<Mapping> mapping = Map(NewMemfd());
  // How many have each unit, by where their lock begins and how many units it takes.
  std::atomic<int> takers[kBytes / kUnit][kBytes / kUnit][2] = {};
  std::atomic<int> claims{0};
  const auto have = [&](uint64_t begin, uint64_t units, int change) {
    for (uint64_t at = begin; at < begin + units; ++at) takers[at][begin][units - 1] += change;
  };
  const auto others = [&](uint64_t begin, uint64_t units) {
    int count = 0;
    for (uint64_t at = begin; at < begin + units; ++at) {
      for (const auto& of_begin : takers[at]) {
        for (const auto& of_size : of_begin) {
          if (&of_size != &takers[at][begin][units - 1]) count += of_size;
        }
      }
    }
    return count;
  };
  {
    std::vector<std::unique_ptr<Thread>> threads;
    for (uint32_t thread = 0; thread < 4; ++thread) {
      threads.push_back(std::make_unique<Thread>([&, thread] {
        uint32_t random = thread + 1;
        for (int round = 0; round < 3000; ++round) {
          random = random * 1664525u + 1013904223u;
          const uint64_t begin = random >> 8 & 3, units = 1 + (random >> 16 & 1);
          if ((begin + units) * kUnit > kBytes) continue;
          const Claimed claimed =
              Claim(mapping, begin * kUnit, units * kUnit, units == 1 ? kMutex : kOther);
          if (!claimed) continue;
          ++claims;
          have(begin, units, 1);
          MUST(others(begin, units) == 0);
          have(begin, units, -1);
        }
      }));
    }
  }
  CHECK(claims > 100);
  CHECK(Claim(mapping, 0, 1024, kOther));
}

}  // namespace interproc::test
