// Being told of the deaths of owners: death_watch.h, by pidfd and by the wait for their lock.
#include "os/death_watch.h"

#include <linux/futex.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <set>
#include <vector>

#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

Participant::Registry NewEnv() { return Participant::Registry::Adopt(new ParticipantRegistry()); }

Ref<Participant> NewSegment() {
  SegmentOptions options;
  options.capacity = 64;
  return Participant::CreateAnonymous(NewEnv(), options).value();
}

Ref<Participant> JoinAgain(const Ref<Participant>& segment) {
  return Participant::Join(NewEnv(), segment->file(), "").value();
}

// A process that takes part until it is killed.
class Owner {
 public:
  explicit Owner(
      const Ref<Participant>& segment, const std::function<void()>& before = [] {})
      : child_([&] {
          before();
          told_.Put(JoinAgain(segment).Leak()->owner().id);
          SleepUntilKilled();
        }),
        id_(told_.Get<uint32_t>()) {}

  uint32_t id() const { return id_; }
  pid_t pid() const { return child_.pid(); }
  void Kill() {
    kill(child_.pid(), SIGKILL);
    MUST(child_.EndingSignal() == SIGKILL);
  }

 private:
  Pipe told_;
  Child child_;
  const uint32_t id_;
};

// A watch whose notifications the test sleeps on.
struct Watch {
  std::atomic<uint32_t> notified{0};
  DeathWatch watch{[this] {
    notified.fetch_add(1);
    syscall(SYS_futex, &notified, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }};

  std::set<uint64_t> Await(size_t count) {
    std::set<uint64_t> ids;
    for (;;) {
      const uint32_t seen = notified.load();
      for (const uint64_t id : watch.TakeCompleted()) MUST(ids.insert(id).second);
      if (ids.size() >= count) return ids;
      syscall(SYS_futex, &notified, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
    }
  }
};

// How many threads and descriptors this process has.
struct Holdings {
  int threads = CountThreads();
  int fds = CountInProc("fd");

  // Threads that were told to end need a moment.
  void AwaitSame() const {
    Until([this] { return CountInProc("task") == threads && CountInProc("fd") == fds; });
  }
};

// In a child: how many descriptors it may have from now on.
void LimitDescriptors(rlim_t limit) {
  const rlimit limits = {limit, limit};
  CHILD_EXPECT(setrlimit(RLIMIT_NOFILE, &limits) == 0);
}

// Runs `test` in a process of its own, by pidfd and without: what HasPidfd() says is asked once.
void ByBothWays(const std::function<void()>& test) {
  SUBCASE("by pidfd") {
    CHECK(ExitCodeOf([&] {
            if (HasPidfd()) test();
          }) == 0);
  }
  SUBCASE("by the lock") {
    CHECK(ExitCodeOf([&] {
            setenv("INTERPROC_NO_PIDFD", "1", 1);
            CHILD_EXPECT(!HasPidfd());
            test();
          }) == 0);
  }
}

}  // namespace

TEST_CASE("death_watch: the death of an owner is told, and of no other") {
  ByBothWays([] {
    const Ref<Participant> segment = NewSegment();
    std::vector<std::unique_ptr<Owner>> owners;
    for (int each = 0; each < 6; ++each) owners.push_back(std::make_unique<Owner>(segment));
    Watch watch;
    for (size_t each = 0; each < owners.size(); ++each) {
      CHILD_EXPECT(watch.watch.Watch(100 + each, *segment.get(), owners[each]->id()).ok());
    }
    for (const size_t dies : {3, 0, 5}) {
      owners[dies]->Kill();
      CHILD_EXPECT(watch.Await(1) == std::set<uint64_t>{100 + dies});
    }
    CHILD_EXPECT(watch.watch.TakeCompleted().empty());
    for (const size_t dies : {1, 2, 4}) owners[dies]->Kill();
    CHILD_EXPECT((watch.Await(3) == std::set<uint64_t>{101, 102, 104}));
  });
}

TEST_CASE("death_watch: an owner whose process exits without a word is dead, too") {
  ByBothWays([] {
    const Ref<Participant> segment = NewSegment();
    Watch watch;
    Pipe told, go;
    Child child([&] {
      go.CloseWriter();
      told.Put(JoinAgain(segment).Leak()->owner().id);
      char ignored;
      (void)go.Get(&ignored);
    });
    CHILD_EXPECT(watch.watch.Watch(1, *segment.get(), told.Get<uint32_t>()).ok());
    go.CloseWriter();
    CHILD_EXPECT(watch.Await(1) == std::set<uint64_t>{1});
  });
}

TEST_CASE("death_watch: an owner whose process goes on as another program is dead, too") {
  ByBothWays([] {
    const Ref<Participant> segment = NewSegment();
    Watch watch;
    Pipe told, go;
    Child child([&] {
      told.Put(JoinAgain(segment).Leak()->owner().id);
      go.Get<char>();
      execlp("sleep", "sleep", "1000", nullptr);
    });
    Owner other(segment);
    CHILD_EXPECT(watch.watch.Watch(1, *segment.get(), told.Get<uint32_t>()).ok());
    CHILD_EXPECT(watch.watch.Watch(2, *segment.get(), other.id()).ok());
    go.Put('g');
    CHILD_EXPECT(watch.Await(1) == std::set<uint64_t>{1});
    CHILD_EXPECT(kill(child.pid(), 0) == 0);
    other.Kill();
    CHILD_EXPECT(watch.Await(1) == std::set<uint64_t>{2});
  });
}

TEST_CASE("death_watch: an owner that is dead already is told at once") {
  ByBothWays([] {
    const Ref<Participant> segment = NewSegment();
    Owner owner(segment);
    owner.Kill();
    Watch watch;
    CHILD_EXPECT(watch.watch.Watch(7, *segment.get(), owner.id()).ok());
    CHILD_EXPECT(watch.Await(1) == std::set<uint64_t>{7});
    CHILD_EXPECT(watch.watch.Watch(8, *segment.get(), 12345).ok());  // there never was one
    CHILD_EXPECT(watch.Await(1) == std::set<uint64_t>{8});
  });
}

TEST_CASE("death_watch: many watches of one owner are all told") {
  ByBothWays([] {
    const Ref<Participant> segment = NewSegment();
    Owner owner(segment);
    Watch watch;
    std::set<uint64_t> all;
    for (uint64_t id = 0; id < 20; ++id) {
      CHILD_EXPECT(watch.watch.Watch(id, *segment.get(), owner.id()).ok());
      all.insert(id);
    }
    owner.Kill();
    CHILD_EXPECT(watch.Await(20) == all);
    // A watcher had the lock for reading for a moment, which makes nobody alive.
    CHILD_EXPECT(!segment->Alive(owner.id()).value());
  });
}

TEST_CASE(
    "death_watch: what is watched no more is not told, and holds no thread and no descriptor") {
  ByBothWays([] {
    const Ref<Participant> segment = NewSegment();
    Owner first(segment);
    Owner second(segment);
    Watch watch;
    const Holdings before;
    for (int round = 0; round < 30; ++round) {
      CHILD_EXPECT(watch.watch.Watch(1, *segment.get(), first.id()).ok());
      CHILD_EXPECT(watch.watch.Watch(2, *segment.get(), second.id()).ok());
      watch.watch.Unwatch(1);
      if (round < 29) watch.watch.Unwatch(2);
    }
    first.Kill();
    second.Kill();
    CHILD_EXPECT(watch.Await(1) == std::set<uint64_t>{2});
    watch.watch.Unwatch(1);
    watch.watch.Unwatch(77);  // there is none
    Until([&] { return CountInProc("task") == before.threads; });
    CHILD_EXPECT(watch.watch.TakeCompleted().empty());
    // One descriptor stays with the watch, for the next time.
    CHILD_EXPECT(CountInProc("fd") <= before.fds + 1);
  });
}

TEST_CASE("death_watch: no death is missed where there are no more descriptors") {
  CHECK(ExitCodeOf([] {
          if (!HasPidfd()) return;
          const Ref<Participant> segment = NewSegment();
          Owner first(segment);
          Owner second(segment);
          Watch watch;
          CHILD_EXPECT(watch.watch.Watch(1, *segment.get(), first.id()).ok());
          LimitDescriptors(100);
          std::vector<UniqueFd> taken;
          do {
            taken.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
          } while (taken.back().valid());
          taken.resize(taken.size() - 3);  // two are left, to watch with
          CHILD_EXPECT(watch.watch.Watch(2, *segment.get(), second.id()).ok());
          second.Kill();
          CHILD_EXPECT(watch.Await(1) == std::set<uint64_t>{2});
          first.Kill();
          CHILD_EXPECT(watch.Await(1) == std::set<uint64_t>{1});
        }) == 0);
}

// man 2 poll: EINVAL for more of them than RLIMIT_NOFILE.
TEST_CASE("death_watch: no death is missed where the kernel refuses to poll so many") {
  CHECK(ExitCodeOf([] {
          if (!HasPidfd()) return;
          const Ref<Participant> segment = NewSegment();
          std::vector<std::unique_ptr<Owner>> owners;
          Watch watch;
          for (uint64_t id = 0; id < 3; ++id) {
            owners.push_back(std::make_unique<Owner>(segment));
            CHILD_EXPECT(watch.watch.Watch(id, *segment.get(), owners[id]->id()).ok());
          }
          LimitDescriptors(2);
          owners[0]->Kill();  // and the thread polls anew
          CHILD_EXPECT(watch.Await(1) == std::set<uint64_t>{0});
          owners[1]->Kill();
          CHILD_EXPECT(watch.Await(1) == std::set<uint64_t>{1});
        }) == 0);
}

TEST_CASE("death_watch: a death that was noticed and not taken yet is not told after all") {
  ByBothWays([] {
    const Ref<Participant> segment = NewSegment();
    Owner owner(segment);
    Watch watch;
    CHILD_EXPECT(watch.watch.Watch(1, *segment.get(), owner.id()).ok());
    owner.Kill();
    Until([&] { return watch.notified.load() != 0; });
    watch.watch.Unwatch(1);
    CHILD_EXPECT(watch.watch.TakeCompleted().empty());
  });
}

TEST_CASE("death_watch: its end leaves no thread and no descriptor, whatever it was watching") {
  ByBothWays([] {
    const Ref<Participant> segment = NewSegment();
    Owner owner(segment);
    const Holdings before;
    const auto watch_and_end = [&](const std::function<void()>& between) {
      Watch watch;
      for (uint64_t id = 0; id < 10; ++id) {
        CHILD_EXPECT(watch.watch.Watch(id, *segment.get(), owner.id()).ok());
      }
      between();
    };
    for (int round = 0; round < 20; ++round) watch_and_end([] {});
    before.AwaitSame();
    watch_and_end([&] { owner.Kill(); });  // deaths on their way, with nobody to hear of them
    before.AwaitSame();
  });
}

TEST_CASE("death_watch: a watch may end while its segment has been left and closed") {
  ByBothWays([] {
    Ref<Participant> segment = NewSegment();
    Owner owner(segment);
    Watch watch;
    CHILD_EXPECT(watch.watch.Watch(1, *segment.get(), owner.id()).ok());
    segment = {};
    owner.Kill();
    CHILD_EXPECT(watch.Await(1) == std::set<uint64_t>{1});
  });
}

TEST_CASE("death_watch: a process that goes on without its owner is waited for by the lock") {
  // A pidfd would tell nothing here; the package has such a leave told by its role.
  CHECK(ExitCodeOf([] {
          setenv("INTERPROC_NO_PIDFD", "1", 1);
          const Ref<Participant> segment = NewSegment();
          Pipe told, go;
          Child child([&] {
            Ref<Participant> own = JoinAgain(segment);
            told.Put(own->owner().id);
            go.Get<char>();
            own = {};
            SleepUntilKilled();
          });
          Watch watch;
          CHILD_EXPECT(watch.watch.Watch(1, *segment.get(), told.Get<uint32_t>()).ok());
          go.Put('g');
          CHILD_EXPECT(watch.Await(1) == std::set<uint64_t>{1});
          CHILD_EXPECT(kill(child.pid(), 0) == 0);
        }) == 0);
}

// The table of participants, which anybody can write, names another process. So does a pid that was
// given again.
TEST_CASE("death_watch: the lock decides, whatever the table says of the owner's process") {
  CHECK(ExitCodeOf([] {
          if (!HasPidfd()) return;
          const Ref<Participant> segment = NewSegment();
          Owner owner(segment);
          Owner other(segment);
          const auto* entry = interproc_find_participant(segment->header(), owner.id());
          CHILD_EXPECT(entry != nullptr);
          auto* writable = const_cast<interproc_participant*>(entry);
          Watch watch;
          // Both pidfds end at once, and are looked at in this order.
          writable->pid = static_cast<uint32_t>(other.pid());
          CHILD_EXPECT(watch.watch.Watch(1, *segment.get(), owner.id()).ok());
          CHILD_EXPECT(watch.watch.Watch(2, *segment.get(), other.id()).ok());
          other.Kill();
          CHILD_EXPECT(watch.Await(1) == std::set<uint64_t>{2});
          CHILD_EXPECT(segment->Alive(owner.id()).value());
          owner.Kill();
          CHILD_EXPECT(watch.Await(1) == std::set<uint64_t>{1});
          // And this one lives.
          writable->pid = static_cast<uint32_t>(getpid());
          CHILD_EXPECT(watch.watch.Watch(3, *segment.get(), owner.id()).ok());
          CHILD_EXPECT(watch.Await(1) == std::set<uint64_t>{3});
        }) == 0);
}

TEST_CASE("death_watch: it sees deaths in another pid namespace") {
  const Ref<Participant> segment = NewSegment();
  Pipe told;
  Child outer([&] {
    const bool root = getuid() == 0;
    if (unshare(root ? CLONE_NEWPID : CLONE_NEWUSER | CLONE_NEWPID) != 0) {
      told.Put(uint32_t{0});
      _exit(kSkipped);
    }
    Child inner([&] {
      CHILD_EXPECT(getpid() == 1);
      told.Put(JoinAgain(segment).Leak()->owner().id);
      SleepUntilKilled();
    });
    inner.Wait();
  });
  const auto id = told.Get<uint32_t>();
  if (id == 0) {
    std::fprintf(stderr, "skipped: no right to a pid namespace here\n");
    std::exit(kSkipped);
  }
  const interproc_participant* entry = interproc_find_participant(segment->header(), id);
  REQUIRE(entry != nullptr);
  CHECK(entry->pid == 1);  // which is somebody else here
  CHECK(entry->pid_namespace != interproc__pid_namespace());
  Watch watch;
  REQUIRE(watch.watch.Watch(1, *segment.get(), id).ok());
  CHECK(segment->Alive(id).value());
  CHECK(watch.watch.TakeCompleted().empty());
  // Its pid here is the one that the kernel tells as child of the outer process.
  const std::string children =
      "/proc/" + std::to_string(outer.pid()) + "/task/" + std::to_string(outer.pid()) + "/children";
  std::FILE* list = std::fopen(children.c_str(), "r");
  REQUIRE(list != nullptr);
  int inner = 0;
  CHECK(std::fscanf(list, "%d", &inner) == 1);
  std::fclose(list);
  REQUIRE(kill(inner, SIGKILL) == 0);
  CHECK(watch.Await(1) == std::set<uint64_t>{1});
  CHECK(!segment->Alive(id).value());
}

}  // namespace interproc::test
