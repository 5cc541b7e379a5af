// POSIX semaphores, beside glibc's own calls on the same memory: posix_sem.h.
#include "os/posix_sem.h"

#include <semaphore.h>

#include <vector>

#include "os/memfd.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

constexpr uint64_t kLong = 60'000'000'000;

// One in memory of its own, for us and for glibc.
struct Semaphore {
  Ref<MemoryFile> file = CreateMemfd("sem", Access{}, PageSize(), Pages::kReserved).value();
  Ref<Mapping> mapping = Mapping::OfFile(file, 0, PageSize()).value();

  explicit Semaphore(uint32_t value) { InitPosixSem(mapping->data(), value); }

  sem_t* glibc() const { return reinterpret_cast<sem_t*>(mapping->data()); }
  int value() const {
    int value = -1;
    MUST(sem_getvalue(glibc(), &value) == 0);
    return value;
  }
  uint32_t waiters() const {
    return reinterpret_cast<FutexWord*>(mapping->data() + kSemWaiters)->load();
  }
  Ref<BlockingCall> StartAcquiring() const {
    return BlockingCall::Start(
               *Threads().get(),
               [mapping = mapping](const BlockingCall& self) {
                 return AcquirePosixSem(self, *mapping.get());
               },
               [] {})
        .value();
  }
};

Outcome EndOf(const Ref<BlockingCall>& call) {
  while (!call->over()) call->Wait(kLong);
  return call->TakeOutcome();
}

}  // namespace

TEST_CASE("posix_sem: one that we make is what sem_init makes, byte for byte") {
  static_assert(sizeof(sem_t) == kSemSize);
  for (const uint32_t value : {0U, 1U, 1000U, 2147483647U}) {
    const Semaphore semaphore(value);
    sem_t theirs = {};
    REQUIRE(sem_init(&theirs, 1, value) == 0);
    CHECK(std::memcmp(semaphore.glibc(), &theirs, sizeof(theirs)) == 0);
    CHECK(semaphore.value() == static_cast<int>(value));
  }
}

TEST_CASE("posix_sem: what is posted by either is had by the other, and no wake-up is lost") {
  const Semaphore semaphore(0);
  const Semaphore answers(0);
  const Thread theirs([&] {
    for (int round = 0; round < 300; ++round) {
      MUST(RetryOnEintr([&] { return sem_wait(answers.glibc()); }) == 0);
      MUST(sem_post(semaphore.glibc()) == 0);
    }
  });
  for (int round = 0; round < 300; ++round) {
    ReleasePosixSem(*answers.mapping.get());
    REQUIRE(EndOf(semaphore.StartAcquiring()).number == 1);
  }
  CHECK(semaphore.value() == 0);
  CHECK(semaphore.waiters() == 0);
}

TEST_CASE("posix_sem: an acquire that is cancelled has a permit, or leaves it to who else waits") {
  const Semaphore semaphore(0);
  for (int round = 0; round < 500; ++round) {
    const Ref<BlockingCall> cancelled = semaphore.StartAcquiring();
    const Ref<BlockingCall> other = semaphore.StartAcquiring();
    if (round % 2 == 0) Until([&] { return semaphore.waiters() == 2; });
    MUST(sem_post(semaphore.glibc()) == 0);
    cancelled->Cancel();
    const Outcome outcome = cancelled->TakeOutcome();
    if (outcome.number == 1) {
      MUST(sem_post(semaphore.glibc()) == 0);
    } else {
      REQUIRE(outcome.error.number == ECANCELED);
    }
    REQUIRE(EndOf(other).number == 1);
    REQUIRE(semaphore.value() == 0);
  }
  CHECK(semaphore.waiters() == 0);
}

TEST_CASE("posix_sem: of many that wait as many go on as are given, and no more") {
  const Semaphore semaphore(0);
  std::vector<Ref<BlockingCall>> calls;
  for (int each = 0; each < 20; ++each) calls.push_back(semaphore.StartAcquiring());
  Until([&] { return semaphore.waiters() == 20; });
  for (int each = 0; each < 12; ++each) ReleasePosixSem(*semaphore.mapping.get());
  const auto count_over = [&] {
    return std::count_if(calls.begin(), calls.end(),
                         [](const Ref<BlockingCall>& call) { return call->over(); });
  };
  Until([&] { return count_over() == 12; });
  for (const auto& call : calls) call->Cancel();
  int taken = 0;
  for (const auto& call : calls) taken += static_cast<int>(call->TakeOutcome().number);
  CHECK(taken == 12);
  CHECK(semaphore.value() == 0);
  CHECK(semaphore.waiters() == 0);
}

TEST_CASE("posix_sem: where the memory was truncated nothing is had, and nobody is killed") {
  const Semaphore semaphore(0);
  REQUIRE(ftruncate(semaphore.file->fd(), 0) == 0);
  const Outcome outcome = EndOf(semaphore.StartAcquiring());
  CHECK(outcome.number == 0);
  CHECK(semaphore.mapping->fault() != Fault::kNone);
}

TEST_CASE("posix_sem: a named one is glibc's of that name, both ways") {
  const std::string name = "/" + UniqueName();
  const Result<Ref<MemoryFile>> file = CreatePosixSem(name, 5, Access{});
  REQUIRE(file.ok());
  CHECK(CreatePosixSem(name, 1, Access{}).error().number == EEXIST);
  sem_t* const theirs = sem_open(name.c_str(), 0);
  REQUIRE(theirs != SEM_FAILED);
  REQUIRE(sem_trywait(theirs) == 0);
  CHECK(ValueOfPosixSem(name).value() == 4);
  sem_close(theirs);
  const auto list = ListPosixSem().value();
  CHECK(std::count(list.begin(), list.end(), name.substr(1)) == 1);
  REQUIRE(UnlinkPosixSem(name).ok());
  CHECK(OpenPosixSem(name).error().number == ENOENT);
  CHECK(sem_open(name.c_str(), 0) == SEM_FAILED);

  sem_t* const made = sem_open(name.c_str(), O_CREAT | O_EXCL, 0600, 9);
  REQUIRE(made != SEM_FAILED);
  CHECK(OpenPosixSem(name).ok());
  CHECK(ValueOfPosixSem(name).value() == 9);
  sem_close(made);
  REQUIRE(sem_unlink(name.c_str()) == 0);
}

}  // namespace interproc::test
