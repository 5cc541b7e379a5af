// The mutex of include/interproc.h: between threads and processes, and what is left of one whose
// holder died at any step. How Node and C share one is tested in test/interop/locks.test.ts.
#include <sys/time.h>

#include <vector>

#include "channel_support.h"
#include "seccomp.h"

namespace interproc::test {
namespace {

// What the tests share between processes: a mutex, and two words that are the same whenever nobody
// is changing them.
struct Memory {
  interproc_mutex mutex;
  volatile uint32_t first, second;
  std::atomic<uint32_t> changes;  // that were finished
  std::atomic<uint32_t> over;
};

class File {
 public:
  File() : fd_(static_cast<int>(syscall(SYS_memfd_create, "interproc", 1u))) {
    MUST(ftruncate(fd_.get(), sizeof(Memory)) == 0);
    void* base = mmap(nullptr, sizeof(Memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    MUST(base != MAP_FAILED);
    memory_ = static_cast<Memory*>(base);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { munmap(memory_, sizeof(Memory)); }

  int fd() const { return fd_.get(); }
  Memory* operator->() const { return memory_; }
  uint32_t state() const { return interproc__load(&memory_->mutex.state); }
  uint32_t holder() const { return state() & INTERPROC_OWNER_MASK; }

 private:
  const os::UniqueFd fd_;
  Memory* memory_;
};

// An owner and its view of the mutex. Where it stands in memory, it stays.
class Locker {
 public:
  explicit Locker(const File& file) : file_(file) {
    MUST(interproc_own(&me_, file.fd()) == 0);
    MUST(interproc_mutex_open(&lock_, &me_, &file->mutex) == 0);
  }
  Locker(const Locker&) = delete;
  Locker& operator=(const Locker&) = delete;
  ~Locker() { interproc_disown(&me_); }

  int Lock(int64_t timeout_ms = -1) { return interproc_mutex_lock(&lock_, timeout_ms); }
  int TryLock() { return interproc_mutex_trylock(&lock_); }
  int Unlock() { return interproc_mutex_unlock(&lock_); }
  int Recovered() { return interproc_mutex_recovered(&lock_); }
  // With what it holds, as a death does.
  void Die() { interproc_disown(&me_); }
  uint32_t id() const { return me_.id; }
  interproc_owner* me() { return &me_; }
  interproc_lock* lock() { return &lock_; }

  // REQUIRES that it has the mutex.
  void Change() {
    const uint32_t next = file_->first + 1;
    file_->first = next;
    PassStep("test.half");
    file_->second = next;
  }
  // Makes whole what a dead one left.
  void Repair() {
    const uint32_t first = file_->first;  // the one that is changed first
    file_->second = first;
    MUST(Recovered() == 0);
  }
  // Has it once, however it comes.
  void Turn(int64_t timeout_ms = -1) {
    const int got = Lock(timeout_ms);
    if (got == -ETIMEDOUT) return;
    MUST(got == 0 || got == INTERPROC_ABANDONED);
    if (got == INTERPROC_ABANDONED) Repair();
    MUST(file_->first == file_->second);
    Change();
    ++file_->changes;
    MUST(Unlock() == 0);
  }

 private:
  const File& file_;
  interproc_owner me_ = {};
  interproc_lock lock_ = {};
};

constexpr interproc__wanting kNewcomer = {0, 0, 0};

// A child that takes the mutex and is killed with it.
void DieHolding(const File& file) {
  MUST(EndingSignalOf([&] {
         Locker locker(file);
         CHILD_EXPECT(locker.Lock() >= 0);
         kill(getpid(), SIGKILL);
       }) == SIGKILL);
}

// Processes that take turns until the end of the test.
class Neighbours {
 public:
  Neighbours(const File& file, int count) : file_(file) {
    for (int made = 0; made < count; ++made) {
      children_.emplace_back([this] {
        Locker locker(file_);
        while (file_->over == 0) locker.Turn();
      });
    }
  }
  // Whether all of them found all in order.
  bool End() {
    file_->over = 1;
    bool fine = true;
    for (Child& child : children_) fine = child.ExitCode() == 0 && fine;
    return fine;
  }

 private:
  const File& file_;
  std::vector<Child> children_;
};

}  // namespace

TEST_CASE("mutex: one at a time has it, by any of the calls") {
  const File file;
  Locker a(file), b(file);
  CHECK(a.Lock() == 0);
  CHECK(file.holder() == a.id());
  CHECK(interproc_pid_shown(file->mutex.shown_pid) == static_cast<uint32_t>(getpid()));
  CHECK(b.TryLock() == -EBUSY);
  CHECK(b.Lock(0) == -ETIMEDOUT);
  CHECK(b.Lock(1) == -ETIMEDOUT);
  CHECK(a.Unlock() == 0);
  CHECK(b.TryLock() == 0);
  CHECK(a.Lock(30) == -ETIMEDOUT);
  CHECK(b.Unlock() == 0);
  CHECK(a.Lock(0) == 0);
  CHECK(a.Unlock() == 0);
  CHECK(file.state() == 0);
}

TEST_CASE("mutex: an owner that has it gets told so, and one that has it not can't unlock it") {
  const File file;
  Locker a(file), b(file);
  CHECK(a.Unlock() == -EPERM);
  CHECK(a.Recovered() == -EPERM);
  REQUIRE(a.Lock() == 0);
  CHECK(a.Lock() == -EDEADLK);
  CHECK(a.Lock(0) == -EDEADLK);
  CHECK(a.TryLock() == -EDEADLK);
  CHECK(b.Unlock() == -EPERM);
  CHECK(b.Recovered() == -EPERM);
  interproc_lock again;
  REQUIRE(interproc_mutex_open(&again, a.me(), &file->mutex) == 0);
  CHECK(interproc_mutex_lock(&again, -1) == -EDEADLK);
  CHECK(interproc_mutex_unlock(&again) == -EPERM);
  CHECK(a.Recovered() == 0);
  CHECK(a.Unlock() == 0);
  CHECK(a.Unlock() == -EPERM);
}

TEST_CASE("mutex: nothing is opened where something else lies, or in the middle of a word") {
  const File file;
  Locker owner(file);
  interproc_lock lock;
  CHECK(interproc_mutex_open(&lock, owner.me(), &file->mutex.kind) == -EINVAL);
  for (const uint32_t kind :
       {INTERPROC_LOCK_MAGIC | 2u, INTERPROC_LOCK_MAGIC,
        INTERPROC_LOCK_MAGIC | INTERPROC_LOCK_MUTEX | INTERPROC_LOCK_PLAIN, INTERPROC_MAGIC, 7u}) {
    file->mutex.kind = kind;
    CHECK(interproc_mutex_open(&lock, owner.me(), &file->mutex) == INTERPROC_MISMATCH);
    CHECK(file->mutex.kind == kind);
  }
}

TEST_CASE("mutex: threads exclude each other, each an owner of its own") {
  constexpr uint32_t kThreads = 4, kRounds = 2000;
  const File file;
  {
    std::vector<std::unique_ptr<Thread>> threads;
    for (uint32_t thread = 0; thread < kThreads; ++thread) {
      threads.push_back(std::make_unique<Thread>([&file, thread] {
        Locker locker(file);
        for (uint32_t round = 0; round < kRounds; ++round) {
          if (round % kThreads == thread) {
            while (locker.TryLock() == -EBUSY) sched_yield();
          } else {
            MUST(locker.Lock() == 0);
          }
          MUST(file->first == file->second);
          if (round % 16 == 0) sched_yield();
          locker.Change();
          MUST(locker.Unlock() == 0);
        }
      }));
    }
  }
  CHECK(file->first == kThreads * kRounds);
  CHECK(file->second == kThreads * kRounds);
  CHECK(file.holder() == 0);
}

TEST_CASE("mutex: processes that wait for a moment only, lose nothing of what others do") {
  const File file;
  Neighbours neighbours(file, 2);
  Locker locker(file);
  for (int turn = 0; turn < 300; ++turn) locker.Turn(turn % 3);
  CHECK(neighbours.End());
  CHECK(file->first == file->changes);
  CHECK(file->second == file->changes);
}

TEST_CASE("mutex: who takes it from a dead holder is told, also when others died over that") {
  const File file;
  DieHolding(file);
  CHECK(EndingSignalOf([&] {
          Locker heir(file);
          doom = {1, "lock.inherited"};
          (void)heir.TryLock();
        }) == SIGKILL);
  DieHolding(file);
  Locker locker(file);
  SUBCASE("by a try") { CHECK(locker.TryLock() == INTERPROC_ABANDONED); }
  SUBCASE("by waiting") { CHECK(locker.Lock() == INTERPROC_ABANDONED); }
  SUBCASE("by waiting for a moment") { CHECK(locker.Lock(1) == INTERPROC_ABANDONED); }
  SUBCASE("by not waiting at all") { CHECK(locker.Lock(0) == INTERPROC_ABANDONED); }
  CHECK(file.holder() == locker.id());
  CHECK(locker.Recovered() == 0);
  CHECK(locker.Unlock() == 0);
  CHECK(locker.Lock() == 0);
  CHECK(locker.Unlock() == 0);
}

TEST_CASE("mutex: not made whole it is had by nobody any more, whoever waits or comes") {
  const File file;
  DieHolding(file);
  Locker locker(file);
  REQUIRE(locker.Lock() == INTERPROC_ABANDONED);
  std::vector<Child> waiting;
  for (const char* step : {"", "lock.flagged", "lock.woken"}) {
    waiting.emplace_back([&file, step] {
      Locker waiter(file);
      if (*step != '\0') doom = {2, step};
      CHILD_EXPECT(waiter.Lock() == INTERPROC_NOT_RECOVERABLE);
    });
  }
  Until([&] { return (file.state() & INTERPROC_LOCK_WAITERS) != 0; });
  CHECK(waiting[1].EndingSignal() == SIGKILL);
  CHECK(waiting[2].EndingSignal() == SIGKILL);
  CHECK(locker.Unlock() == 0);
  CHECK(waiting[0].ExitCode() == 0);
  CHECK(locker.Unlock() == -EPERM);
  CHECK(locker.TryLock() == INTERPROC_NOT_RECOVERABLE);
  CHECK(locker.Lock() == INTERPROC_NOT_RECOVERABLE);
  CHECK(file.state() == INTERPROC_LOCK_RUINED);
}

TEST_CASE("mutex: who gives it up for lost and dies over that leaves it lost, or to the next one") {
  const File file;
  bool is_lost = false;
  const char* step = "lock.releasing";
  SUBCASE("before") {}
  SUBCASE("after") {
    is_lost = true;
    step = "lock.ruined";
  }
  DieHolding(file);
  Pipe told;
  Child victim([&] {
    Locker locker(file);
    CHILD_EXPECT(locker.Lock() == INTERPROC_ABANDONED);
    told.Put('l');
    Until([&] { return file->over != 0; });
    doom = {1, step};
    (void)locker.Unlock();
  });
  told.Get<char>();
  Child waiting([&] {
    Locker locker(file);
    CHILD_EXPECT(locker.Lock() == (is_lost ? INTERPROC_NOT_RECOVERABLE : INTERPROC_ABANDONED));
  });
  file->over = 1;
  CHECK(victim.EndingSignal() == SIGKILL);
  CHECK(waiting.ExitCode() == 0);
}

TEST_CASE("mutex: nobody goes to sleep on one that is lost, which would look like another state") {
  const File file;
  Locker locker(file);
  file->mutex.state = INTERPROC_LOCK_RUINED;
  CHECK(interproc__mutex_sleep(locker.lock(), &kNewcomer, 900) == -EAGAIN);
  CHECK(file.state() == INTERPROC_LOCK_RUINED);
}

TEST_CASE("mutex: a signal ends a sleep as its time does, so that one looks for a death then") {
  const File file;
  Locker holder(file);
  REQUIRE(holder.Lock() == 0);
  CHECK(ExitCodeOf([&] {
          struct sigaction action = {};
          action.sa_handler = [](int) {};
          CHILD_EXPECT(sigaction(SIGALRM, &action, nullptr) == 0);
          Locker sleeper(file);
          const itimerval soon = {{0, 1000}, {0, 1000}};
          CHILD_EXPECT(setitimer(ITIMER_REAL, &soon, nullptr) == 0);
          CHILD_EXPECT(interproc__mutex_sleep(sleeper.lock(), &kNewcomer, 999) == 1);
        }) == 0);
}

TEST_CASE("mutex: who sleeps on it is woken, not only by its time") {
  const File file;
  Locker holder(file), other(file);
  std::function<void()> wake;
  SUBCASE("by who unlocks") {
    wake = [&] { (void)holder.Unlock(); };
  }
  SUBCASE("by who gives up, and may have been woken in its place") {
    wake = [&] { interproc__mutex_give_up(other.lock()); };
  }
  // 0: it was woken; -EAGAIN: it saw the change before it slept. A machine that stands still for a
  // second does not count.
  int slept = 1;
  for (int tried = 0; slept == 1 && tried < 5; ++tried) {
    REQUIRE(holder.Lock() == 0);
    std::atomic<bool> over{false};
    {
      const Thread thread([&] {
        Locker sleeper(file);
        slept = interproc__mutex_sleep(sleeper.lock(), &kNewcomer, 999);
        over = true;
      });
      Until([&] { return (file.state() & INTERPROC_LOCK_WAITERS) != 0; });
      Until([&] {
        wake();
        return over.load();
      });
    }
    (void)holder.Unlock();
  }
  CHECK(slept != 1);
}

TEST_CASE("mutex: free for those who have slept, none of whom lives, it is had all the same") {
  const File file;
  Locker locker(file);
  const uint32_t reserved = INTERPROC_LOCK_STARVING | INTERPROC_LOCK_WAITERS;
  file->mutex.state = reserved;
  SUBCASE("by waiting") {
    CHECK(locker.Lock() == 0);
    CHECK(locker.Unlock() == 0);
    CHECK(file.state() == 0);
  }
  SUBCASE("by whoever comes after one who gave up") {
    interproc__mutex_give_up(locker.lock());
    CHECK(file.state() == 0);
  }
  SUBCASE("by tries, once it is clear that nobody comes") {
    CHECK(locker.TryLock() == -EBUSY);
    CHECK(locker.TryLock() == -EBUSY);
    int result = -EBUSY;
    while (result == -EBUSY) result = locker.TryLock();
    CHECK(result == 0);
    CHECK(file.state() == (locker.id() | reserved));
  }
}

TEST_CASE("mutex: an owner that was disowned has nothing any more, and is nobody") {
  const File file;
  Locker gone(file), next(file);
  REQUIRE(gone.Lock() == 0);
  gone.Die();
  CHECK(gone.Recovered() == -EPERM);
  CHECK(gone.Unlock() == -EPERM);
  CHECK(gone.Lock() == -EBADF);
  CHECK(gone.TryLock() == -EBADF);
  CHECK(next.TryLock() == INTERPROC_ABANDONED);
  CHECK(gone.Lock() == -EBADF);
  CHECK(next.Recovered() == 0);
  CHECK(next.Unlock() == 0);
  REQUIRE(interproc_own(gone.me(), file.fd()) == 0);
  CHECK(gone.Lock() == 0);
  CHECK(gone.Unlock() == 0);
}

TEST_CASE("mutex: a forked child has nothing of its parent's") {
  const File file;
  Locker locker(file);
  REQUIRE(locker.Lock() == 0);
  CHECK(ExitCodeOf([&] {
          CHILD_EXPECT(locker.Recovered() == -EPERM);
          CHILD_EXPECT(locker.Unlock() == -EPERM);
          CHILD_EXPECT(locker.Lock() == -EBADF);
          Locker own(file);
          CHILD_EXPECT(own.Lock(1) == -ETIMEDOUT);
        }) == 0);
  CHECK(file.holder() == locker.id());
  CHECK(locker.Unlock() == 0);
}

TEST_CASE("mutex: where nobody can sleep, waiting is an error and not a loop") {
  const File file;
  Locker holder(file);
  REQUIRE(holder.Lock() == 0);
  CHECK(ExitCodeOf([&] {
          Locker locker(file);
          RefuseCall(SYS_futex, 1, FUTEX_WAIT, ENOSYS);
          CHILD_EXPECT(locker.Lock() == -ENOSYS);
          CHILD_EXPECT(locker.TryLock() == -EBUSY);
        }) == 0);
}

TEST_CASE("mutex: one may die at any step among others: they go on, and what it guards is whole") {
  const File file;
  Neighbours neighbours(file, 2);
  Locker locker(file);
  int step = 0, deaths = 0;
  for (int signal = SIGKILL; signal == SIGKILL; ++deaths) {
    ++step;
    CAPTURE(step);
    signal = EndingSignalOf([&] {
      doom.at = step;
      Locker victim(file);
      for (int turn = 0; turn < 12; ++turn) victim.Turn(turn % 3 == 2 ? 0 : -1);
    });
    REQUIRE((signal == SIGKILL || signal == 0));
    locker.Turn();
    // Each neighbour, too: nobody is left asleep.
    const uint32_t changes = file->changes;
    Until([&] { return file->changes >= changes + 5; });
  }
  CHECK(deaths > 20);
  CHECK(neighbours.End());
  CHECK(file->first == file->second);
}

TEST_CASE("mutex: one may die at any step as another waits for it: that one gets it, and is told") {
  const File file;
  for (const char* step :
       {"lock.taken", "test.half", "lock.releasing", "lock.released", "lock.roused"}) {
    CAPTURE(step);
    const bool is_abandoned = std::string(step).find("lock.r") == std::string::npos ||
                              std::string(step) == "lock.releasing";
    Pipe told, there;
    Child victim([&] {
      Locker locker(file);
      if (std::string(step) == "lock.taken") doom = {1, step};
      const int got = locker.Lock();
      CHILD_EXPECT(got == 0);
      told.Put('l');
      there.Get<char>();
      doom = {1, step};
      locker.Change();
      (void)locker.Unlock();
    });
    if (std::string(step) != "lock.taken")
      told.Get<char>();
    else
      CHECK(victim.EndingSignal() == SIGKILL);
    Child waiting([&] {
      Locker locker(file);
      CHILD_EXPECT(locker.Lock() == (is_abandoned ? INTERPROC_ABANDONED : 0));
      if (is_abandoned) locker.Repair();
      CHILD_EXPECT(locker.Unlock() == 0);
    });
    if (std::string(step) != "lock.taken") {
      Until([&] { return (file.state() & INTERPROC_LOCK_WAITERS) != 0; });
      there.Put('g');
      CHECK(victim.EndingSignal() == SIGKILL);
    }
    CHECK(waiting.ExitCode() == 0);
    CHECK(file.holder() == 0);
  }
}

}  // namespace interproc::test
