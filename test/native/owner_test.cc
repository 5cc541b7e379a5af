// Who an env is in a file: owner.h. What locks do with it is in mutex_test.cc.
#include "os/owner.h"

#include <set>
#include <vector>

#include "os/mapped_file.h"
#include "os/memfd.h"
#include "seccomp.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

using Env = Ref<OwnerRegistry>;

Env NewEnv() { return Env::Adopt(new OwnerRegistry()); }

Ref<MemoryFile> NewMemfd() { return CreateMemfd("test", {}, 4096, Pages::kReserved).value(); }

// By a descriptor of its own.
Ref<MemoryFile> Again(const Ref<MemoryFile>& file, bool read_only = false) {
  return MemoryFile::Duplicate(file->fd(), read_only).value();
}

Ref<Owner> OwnerOf(const Env& env, const Ref<MemoryFile>& file) {
  return Owner::Of(env, file).value();
}

using Ids = std::set<uint32_t>;

Ids AllSeenBy(const Ref<Owner>& owner) {
  const std::vector<uint32_t> all = owner->All().value();
  Ids ids(all.begin(), all.end());
  CHECK(ids.size() == all.size());
  return ids;
}

// Locks `count` ids from `first` on, or all bytes of the file, as another program would.
UniqueFd LockIds(const Ref<MemoryFile>& file, int64_t first, int64_t count) {
  UniqueFd fd(open(("/proc/self/fd/" + std::to_string(file->fd())).c_str(), O_RDWR | O_CLOEXEC));
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = first;
  lock.l_len = count;
  MUST(fcntl(fd.get(), F_OFD_SETLK, &lock) == 0);
  return fd;
}

}  // namespace

TEST_CASE("owner: an env is one owner of a file, by whatever descriptor it comes") {
  const Env env = NewEnv();
  const Ref<MemoryFile> file = NewMemfd();
  const Ref<Owner> owner = OwnerOf(env, file);
  CHECK(OwnerOf(env, file).get() == owner.get());
  CHECK(OwnerOf(env, Again(file)).get() == owner.get());
  CHECK(owner->id() > 0);
  CHECK(owner->id() < INTERPROC_OWNER_MASK);
  CHECK(owner->Alive(owner->id()).value());
  CHECK(AllSeenBy(owner) == Ids{owner->id()});
}

TEST_CASE("owner: other envs and other files have other owners, who see only those of the file") {
  const Env env = NewEnv();
  const Ref<MemoryFile> file = NewMemfd();
  const Ref<Owner> owner = OwnerOf(env, file);
  const Ref<Owner> other = OwnerOf(NewEnv(), file);
  const Ref<Owner> elsewhere = OwnerOf(env, NewMemfd());
  CHECK(other->id() != owner->id());
  CHECK(elsewhere.get() != owner.get());
  CHECK(AllSeenBy(owner) == Ids{owner->id(), other->id()});
  CHECK(AllSeenBy(other) == Ids{owner->id(), other->id()});
  CHECK(AllSeenBy(elsewhere) == Ids{elsewhere->id()});
  CHECK(owner->Alive(other->id()).value());
  CHECK(!owner->Alive(elsewhere->id()).value());
  CHECK(!owner->Alive(0).value());
}

TEST_CASE("owner: the last reference lets go, and the env comes again as another one") {
  const Env env = NewEnv();
  const Ref<MemoryFile> file = NewMemfd();
  const Ref<Owner> judge = OwnerOf(NewEnv(), file);
  const int before = CountInProc("fd");
  Ref<Owner> first = OwnerOf(env, file);
  Ref<Owner> second = OwnerOf(env, file);
  const uint32_t id = first->id();
  first = {};
  CHECK(judge->Alive(id).value());
  second = {};
  CHECK(!judge->Alive(id).value());
  CHECK(CountInProc("fd") == before);
  const Ref<Owner> next = OwnerOf(env, file);
  CHECK(next->id() != id);
  CHECK(AllSeenBy(judge) == Ids{judge->id(), next->id()});
}

TEST_CASE(
    "owner: the owner of a thread is dead when the thread's env has ended, as its process's") {
  const Ref<MemoryFile> file = NewMemfd();
  const Ref<Owner> judge = OwnerOf(NewEnv(), file);
  Pipe told, end;
  uint32_t id = 0;
  {
    const Thread thread([&] {
      const Ref<Owner> owner = OwnerOf(NewEnv(), Again(file));
      told.Put(owner->id());
      end.Get<char>();
    });
    id = told.Get<uint32_t>();
    CHECK(judge->Alive(id).value());
    end.Put('e');
  }
  CHECK(!judge->Alive(id).value());
}

TEST_CASE("owner: whoever ends in whatever way is dead, and who lives on is not") {
  const Ref<MemoryFile> file = NewMemfd();
  const Ref<Owner> judge = OwnerOf(NewEnv(), file);
  Pipe told;
  const auto own = [&](const std::function<void()>& then) {
    return Child([&] {
      told.Put(OwnerOf(NewEnv(), Again(file)).Leak()->id());
      then();
    });
  };
  Child living = own(SleepUntilKilled);
  const auto its_id = told.Get<uint32_t>();
  SUBCASE("is killed") {
    Child other = own(SleepUntilKilled);
    const auto id = told.Get<uint32_t>();
    CHECK(judge->Alive(id).value());
    kill(other.pid(), SIGKILL);
    CHECK(other.EndingSignal() == SIGKILL);
    CHECK(!judge->Alive(id).value());
  }
  SUBCASE("exits without a word") {
    CHECK(own([] { _exit(0); }).ExitCode() == 0);
    CHECK(!judge->Alive(told.Get<uint32_t>()).value());
  }
  SUBCASE("becomes another program") {
    Child other = own([] { execlp("sleep", "sleep", "1000", nullptr); });
    const auto id = told.Get<uint32_t>();
    Until([&] { return !judge->Alive(id).value(); });
  }
  CHECK(judge->Alive(its_id).value());
  CHECK(AllSeenBy(judge) == Ids{judge->id(), its_id});
}

TEST_CASE("owner: a forked child owns nothing, and keeps nobody alive") {
  const Ref<MemoryFile> file = NewMemfd();
  const Ref<Owner> judge = OwnerOf(NewEnv(), file);
  Ref<Owner> owner = OwnerOf(NewEnv(), file);
  const uint32_t id = owner->id();
  Pipe told;
  const Child child([&] {
    CHILD_EXPECT(owner->id() == 0);
    owner = {};  // takes it from nobody
    const Ref<Owner> own = OwnerOf(NewEnv(), file);
    CHILD_EXPECT(own->Alive(id).value());
    told.Put(own->id());
    SleepUntilKilled();
  });
  const auto its_id = told.Get<uint32_t>();
  CHECK(AllSeenBy(judge) == Ids{judge->id(), id, its_id});
  owner = {};
  CHECK(!judge->Alive(id).value());
  CHECK(judge->Alive(its_id).value());
}

TEST_CASE("owner: what was opened read-only has no owners") {
  const Ref<MemoryFile> file = NewMemfd();
  const Result<Ref<Owner>> none = Owner::Of(NewEnv(), Again(file, true));
  REQUIRE(!none.ok());
  CHECK(none.error().number == EBADF);
  CHECK(std::string(none.error().syscall) == kLocking);
}

TEST_CASE("owner: a file that can not be opened anew for writing has none, and nothing is left") {
  if (getuid() != 0) std::exit(kSkipped);
  CHECK(ExitCodeOf([&] {
          const Ref<MemoryFile> file = NewMemfd();
          CHILD_EXPECT(fchmod(file->fd(), 0400) == 0);
          DropRights();
          const int before = CountInProc("fd");
          const Result<Ref<Owner>> none = Owner::Of(NewEnv(), file);
          CHILD_EXPECT(!none.ok());
          CHILD_EXPECT(none.error().number == EACCES);
          CHILD_EXPECT(std::string(none.error().syscall) == "open");
          CHILD_EXPECT(CountInProc("fd") == before);
        }) == 0);
}

TEST_CASE("owner: where the file system knows no such locks there are none, and nothing is left") {
  CHECK(ExitCodeOf([&] {
          RefuseCall(SYS_fcntl, 1, F_OFD_SETLK, EINVAL);
          const Env env = NewEnv();
          const Ref<MemoryFile> file = NewMemfd();
          const int before = CountInProc("fd");
          for (int tried = 0; tried < 2; ++tried) {
            const Result<Ref<Owner>> none = Owner::Of(env, file);
            CHILD_EXPECT(!none.ok());
            CHILD_EXPECT(none.error().number == EINVAL);
            CHILD_EXPECT(std::string(none.error().syscall) == kLocking);
          }
          CHILD_EXPECT(CountInProc("fd") == before);
        }) == 0);
}

TEST_CASE("owner: nobody gets an id that another one has") {
  const Ref<MemoryFile> file = NewMemfd();
  const int64_t half = INTERPROC__OWNER_COUNT / 2;
  const UniqueFd taken = LockIds(file, INTERPROC__OWNER_BASE + half, half);
  for (int tried = 0; tried < 30; ++tried) CHECK(OwnerOf(NewEnv(), file)->id() < half);
}

TEST_CASE("owner: where another program has locked all of the file, nobody waits for an id") {
  const Ref<MemoryFile> file = NewMemfd();
  const Env env = NewEnv();
  {
    const UniqueFd taken = LockIds(file, 0, 0);
    const Result<Ref<Owner>> none = Owner::Of(env, file);
    REQUIRE(!none.ok());
    CHECK(none.error().number == EBUSY);
    CHECK(std::string(none.error().syscall) == kLocking);
  }
  CHECK(Owner::Of(env, file).ok());
}

TEST_CASE("owner: threads that come and go are all different, and are gone when they are") {
  const Ref<MemoryFile> file = NewMemfd();
  const Ref<Owner> judge = OwnerOf(NewEnv(), file);
  {
    std::vector<std::unique_ptr<Thread>> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.push_back(std::make_unique<Thread>([&] {
        const Env env = NewEnv();
        const Ref<MemoryFile> own = Again(file);
        uint32_t last = 0;
        for (int round = 0; round < 200; ++round) {
          const Ref<Owner> owner = OwnerOf(env, own);
          MUST(owner->id() != last);
          MUST(owner->Alive(owner->id()).value() && owner->Alive(judge->id()).value());
          last = owner->id();
        }
      }));
    }
  }
  CHECK(AllSeenBy(judge) == Ids{judge->id()});
}

}  // namespace interproc::test
