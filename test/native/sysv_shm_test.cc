#include "os/sysv_shm.h"

#include <pthread.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <time.h>

#include "os/mapping.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

// A segment that nobody finds by a key, gone at the end.
class Segment {
 public:
  explicit Segment(uint64_t size, mode_t mode = 0600) {
    auto made = GetSysvShm(IPC_PRIVATE, size, true, mode);
    REQUIRE(made.ok());
    id_ = made.value();
  }
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;
  ~Segment() { (void)RemoveSysvShm(id_); }

  int id() const { return id_; }
  SysvShmStatus Status() const { return StatSysvShm(id_).value(); }

 private:
  int id_;
};

// A key that is this process's own as far as a number can be.
int32_t UniqueKey() { return 0x49500000 | (getpid() & 0xfffff); }

Ref<Mapping> Attach(int id, bool read_only) {
  auto mapping = Mapping::OfSysv(id, read_only);
  REQUIRE(mapping.ok());
  return mapping.value();
}

volatile char* Bytes(const Ref<Mapping>& mapping) { return mapping->data(); }

// ThreadSanitizer would note the store before it faults, and then take the copying for a race.
__attribute__((no_sanitize("thread"))) void StoreThatFaults(volatile char* address) {
  *address = 'x';
}

}  // namespace

TEST_CASE("sysv_shm: create with a taken key is EEXIST and with a free one makes it") {
  const int32_t key = UniqueKey();
  auto missing = GetSysvShm(key, 0, false, 0);
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().number == ENOENT);
  CHECK(std::string(missing.error().syscall) == "shmget");
  auto made = GetSysvShm(key, 4096, true, 0600);
  REQUIRE(made.ok());
  auto again = GetSysvShm(key, 4096, true, 0600);
  auto found = GetSysvShm(key, 0, false, 0);
  auto larger = GetSysvShm(key, 8192, false, 0);
  CHECK(RemoveSysvShm(made.value()).ok());
  CHECK(again.error().number == EEXIST);
  CHECK(found.value() == made.value());
  CHECK(larger.error().number == EINVAL);
  CHECK(GetSysvShm(key, 0, false, 0).error().number == ENOENT);
}

TEST_CASE("sysv_shm: IPC_PRIVATE is a new segment each time") {
  Segment first(1);
  Segment second(1);
  CHECK(first.id() != second.id());
}

TEST_CASE("sysv_shm: a segment of no bytes is EINVAL") {
  CHECK(GetSysvShm(IPC_PRIVATE, 0, true, 0600).error().number == EINVAL);
}

TEST_CASE("sysv_shm: the status tells who made it and how large it is and who is attached") {
  const double before = static_cast<double>(time(nullptr));
  Segment segment(5000, 0640);
  const SysvShmStatus made = segment.Status();
  CHECK(made.id == segment.id());
  CHECK(made.size == 5000);
  CHECK(made.mode == 0640);
  CHECK(made.uid == getuid());
  CHECK(made.creator_uid == getuid());
  CHECK(made.creator_gid == getgid());
  CHECK(made.creator_pid == getpid());
  CHECK(made.attached == 0);
  CHECK(made.attached_at_s == 0);
  CHECK(made.changed_at_s >= before);
  CHECK_FALSE(made.removed);

  auto mine = Attach(segment.id(), false);
  Child other([&] {
    auto theirs = Mapping::OfSysv(segment.id(), true);
    CHILD_EXPECT(theirs.ok());
    pause();
  });
  // The fork inherits our attach and adds one of its own.
  while (segment.Status().attached < 3) usleep(1000);
  CHECK(segment.Status().last_pid == other.pid());
  kill(other.pid(), SIGKILL);
  CHECK(other.EndingSignal() == SIGKILL);
  CHECK(segment.Status().attached == 1);
  mine = Ref<Mapping>();
  CHECK(segment.Status().attached == 0);
  CHECK(segment.Status().detached_at_s >= before);
}

TEST_CASE("sysv_shm: what one process stores another one sees") {
  Segment segment(4096);
  auto mapping = Attach(segment.id(), false);
  CHECK(mapping->length() == 4096);
  CHECK(ExitCodeOf([&] {
          auto theirs = Mapping::OfSysv(segment.id(), false);
          CHILD_EXPECT(theirs.ok());
          Bytes(theirs.value())[7] = 's';
        }) == 0);
  CHECK(Bytes(mapping)[7] == 's');
}

TEST_CASE("sysv_shm: a removed segment lives until the last one detaches") {
  auto made = GetSysvShm(IPC_PRIVATE, 4096, true, 0600);
  REQUIRE(made.ok());
  auto mapping = Attach(made.value(), false);
  REQUIRE(RemoveSysvShm(made.value()).ok());
  CHECK(StatSysvShm(made.value()).value().removed);
  Bytes(mapping)[0] = 'x';
  CHECK(Bytes(mapping)[0] == 'x');
  mapping = Ref<Mapping>();
  CHECK(StatSysvShm(made.value()).error().number == EINVAL);
  CHECK(RemoveSysvShm(made.value()).error().number == EINVAL);
}

TEST_CASE("sysv_shm: Close detaches exposed memory too and leaves zeros") {
  Segment segment(2 * PageSize());
  auto mapping = Attach(segment.id(), false);
  mapping->MarkExposed();
  Bytes(mapping)[0] = 'k';
  mapping->Close();
  CHECK(segment.Status().attached == 0);
  CHECK(Bytes(mapping)[0] == 0);
  Bytes(mapping)[0] = 'n';
  CHECK(Bytes(Attach(segment.id(), true))[0] == 'k');
}

TEST_CASE("sysv_shm: mode and owner can be changed") {
  Segment segment(1);
  REQUIRE(ChangeSysvShm(segment.id(), {0644, std::nullopt, std::nullopt}).ok());
  CHECK(segment.Status().mode == 0644);
  CHECK(segment.Status().uid == getuid());
  CHECK(ExitCodeOf([&] {
          if (getuid() != 0) return;
          DropRights();
          CHILD_EXPECT(
              ChangeSysvShm(segment.id(), {0666, std::nullopt, std::nullopt}).error().number ==
              EPERM);
          CHILD_EXPECT(RemoveSysvShm(segment.id()).error().number == EPERM);
          CHILD_EXPECT(Mapping::OfSysv(segment.id(), false).error().number == EACCES);
          CHILD_EXPECT(Mapping::OfSysv(segment.id(), true).ok());
        }) == 0);
}

TEST_CASE("sysv_shm: locking shows in the status") {
  Segment segment(4096);
  REQUIRE(LockSysvShm(segment.id(), true).ok());
  CHECK(segment.Status().locked);
  REQUIRE(LockSysvShm(segment.id(), false).ok());
  CHECK_FALSE(segment.Status().locked);
}

TEST_CASE("sysv_shm: the list holds each segment with its id") {
  Segment first(1234);
  Segment second(5678);
  auto list = ListSysvShm();
  REQUIRE(list.ok());
  const auto size_of = [&](int id) -> uint64_t {
    for (const SysvShmStatus& status : list.value()) {
      if (status.id == id) return status.size;
    }
    return 0;
  };
  CHECK(size_of(first.id()) == 1234);
  CHECK(size_of(second.id()) == 5678);
}

TEST_CASE("sysv_shm: ftok gives one key for one file and project and ENOENT for no file") {
  TempDirectory directory;
  WriteFile(directory.File("a"), "");
  WriteFile(directory.File("b"), "");
  const int32_t key = Ftok(directory.File("a"), 1).value();
  CHECK(key == Ftok(directory.File("a"), 1).value());
  CHECK(key == ftok(directory.File("a").c_str(), 1));
  CHECK(key != Ftok(directory.File("a"), 2).value());
  CHECK(key != Ftok(directory.File("b"), 1).value());
  CHECK(Ftok(directory.File("none"), 1).error().number == ENOENT);
}

TEST_CASE("sysv_shm: a store into a read-only attach gets a private copy of its page") {
  Segment segment(3 * PageSize());
  auto writer = Attach(segment.id(), false);
  auto reader = Attach(segment.id(), true);
  Bytes(writer)[PageSize()] = 'a';
  Bytes(writer)[PageSize() + 1] = 'b';

  Bytes(reader)[PageSize()] = 'x';
  CHECK(Bytes(reader)[PageSize()] == 'x');
  CHECK(Bytes(reader)[PageSize() + 1] == 'b');  // the copy holds what the page held
  CHECK(Bytes(writer)[PageSize()] == 'a');
  CHECK(reader->fault() == Fault::kNone);

  // Its page is frozen, the others follow the segment.
  Bytes(writer)[PageSize() + 1] = 'c';
  Bytes(writer)[2 * PageSize()] = 'c';
  CHECK(Bytes(reader)[PageSize() + 1] == 'b');
  CHECK(Bytes(reader)[2 * PageSize()] == 'c');

  REQUIRE(reader->Refresh().ok());
  CHECK(Bytes(reader)[PageSize()] == 'a');
  CHECK(Bytes(reader)[PageSize() + 1] == 'c');
  Bytes(reader)[PageSize()] = 'y';
  CHECK(Bytes(writer)[PageSize()] == 'a');
}

TEST_CASE("sysv_shm: threads that store into one page of a read-only attach keep their stores") {
  constexpr int kThreads = 4;
  constexpr int kRounds = 10000;
  Segment segment(PageSize());
  auto reader = Attach(segment.id(), true);
  struct Race {
    volatile char* page;
    pthread_barrier_t barrier;
    std::atomic<int> next{0};
  } race;
  race.page = Bytes(reader);
  pthread_barrier_init(&race.barrier, nullptr, kThreads + 1);
  const auto store = [](void* data) -> void* {
    auto* shared = static_cast<Race*>(data);
    const int mine = shared->next++;
    for (int round = 0; round < kRounds; ++round) {
      pthread_barrier_wait(&shared->barrier);
      StoreThatFaults(shared->page + mine);
      pthread_barrier_wait(&shared->barrier);
    }
    return nullptr;
  };
  pthread_t threads[kThreads];
  for (pthread_t& thread : threads) REQUIRE(pthread_create(&thread, nullptr, store, &race) == 0);
  int lost = 0;
  for (int round = 0; round < kRounds; ++round) {
    pthread_barrier_wait(&race.barrier);  // they store
    pthread_barrier_wait(&race.barrier);
    for (int i = 0; i < kThreads; ++i) lost += race.page[i] != 'x';
    CHECK(reader->Refresh().ok());
  }
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  pthread_barrier_destroy(&race.barrier);
  CHECK(lost == 0);
}

}  // namespace interproc::test
