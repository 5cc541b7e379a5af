#include "os/posix_shm.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

constexpr Access kPrivate{};

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

TEST_CASE("posix_shm: a new object is what shm_open of the C library opens") {
  ShmName name;
  auto made = CreatePosixShm(name.get(), kPrivate, 5000, Pages::kReserved);
  REQUIRE(made.ok());
  CHECK_FALSE(made.value()->read_only());
  UniqueFd theirs(shm_open(("/" + name.get()).c_str(), O_RDWR, 0));
  REQUIRE(theirs.valid());
  CHECK(SizeOf(theirs.get()) == 5000);
}

TEST_CASE("posix_shm: a name means the same with and without its slash") {
  ShmName name;
  REQUIRE(CreatePosixShm("/" + name.get(), kPrivate, 1, Pages::kReserved).ok());
  CHECK(OpenPosixShm(name.get(), false).ok());
  CHECK(OpenPosixShm("/" + name.get(), false).ok());
  CHECK(UnlinkPosixShm(name.get()).ok());
  CHECK_FALSE(name.exists());
}

TEST_CASE("posix_shm: create says EEXIST of a taken name and leaves the object as it was") {
  ShmName name;
  REQUIRE(CreatePosixShm(name.get(), kPrivate, 4096, Pages::kReserved).ok());
  auto again = CreatePosixShm(name.get(), kPrivate, 8192, Pages::kReserved);
  REQUIRE_FALSE(again.ok());
  CHECK(again.error().number == EEXIST);
  CHECK(std::string(again.error().syscall) == "shm_open");
  CHECK(StatPosixShm(name.get()).value().size == 4096);
}

TEST_CASE("posix_shm: open and unlink and stat say ENOENT of a name that is not there") {
  ShmName name;
  auto opened = OpenPosixShm(name.get(), false);
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().number == ENOENT);
  CHECK(std::string(opened.error().syscall) == "shm_open");
  auto unlinked = UnlinkPosixShm(name.get());
  REQUIRE_FALSE(unlinked.ok());
  CHECK(unlinked.error().number == ENOENT);
  CHECK(std::string(unlinked.error().syscall) == "shm_unlink");
  CHECK(StatPosixShm(name.get()).error().number == ENOENT);
}

TEST_CASE("posix_shm: of racing processes one makes the object and the others are told so") {
  constexpr int kProcesses = 4;
  constexpr int kRounds = 50;
  for (int round = 0; round < kRounds; ++round) {
    ShmName name;
    int gate[2];
    REQUIRE(pipe(gate) == 0);
    std::vector<Child> children;
    for (int i = 0; i < kProcesses; ++i) {
      children.emplace_back([&] {
        close(gate[1]);
        char go;
        CHILD_EXPECT(read(gate[0], &go, 1) == 0);  // until the parent closes its end
        auto made = CreatePosixShm(name.get(), kPrivate, 4096, Pages::kReserved);
        CHILD_EXPECT(made.ok() || made.error().number == EEXIST);
        _exit(made.ok() ? 10 : 20);
      });
    }
    close(gate[0]);
    close(gate[1]);
    int made = 0;
    int refused = 0;
    for (Child& child : children) {
      const int code = child.ExitCode();
      made += code == 10;
      refused += code == 20;
    }
    CHECK(made == 1);
    CHECK(refused == kProcesses - 1);
  }
}

TEST_CASE("posix_shm: a process that opens in the middle of create sees nothing or all of it") {
  constexpr uint64_t kSize = 1 << 20;
  ShmName name;
  const Access access{0640, std::nullopt, std::nullopt};
  Child maker([&] {
    for (int i = 0; i < 2000; ++i) {
      CHILD_EXPECT(CreatePosixShm(name.get(), access, kSize, Pages::kReserved).ok());
      CHILD_EXPECT(UnlinkPosixShm(name.get()).ok());
    }
  });
  int seen = 0;
  int incomplete = 0;
  int status = 0;
  while (waitpid(maker.pid(), &status, WNOHANG | WNOWAIT) == 0 || seen == 0) {
    auto opened = OpenPosixShm(name.get(), true);
    if (!opened.ok()) {
      REQUIRE(opened.error().number == ENOENT);
      continue;
    }
    ++seen;
    const FileStatus found = StatusOf(opened.value()->fd()).value();
    if (found.size != kSize || found.mode != 0640 || found.allocated < kSize) ++incomplete;
  }
  CHECK(seen > 0);
  CHECK(incomplete == 0);
  CHECK(maker.ExitCode() == 0);
}

TEST_CASE("posix_shm: the list holds objects and leaves out semaphores and directories") {
  ShmName object;
  ShmName directory;
  const std::string semaphore = PosixShmPath("sem." + UniqueName());
  REQUIRE(CreatePosixShm(object.get(), kPrivate, 1, Pages::kReserved).ok());
  REQUIRE(mkdir(directory.path().c_str(), 0700) == 0);
  WriteFile(semaphore, "x");
  auto names = ListPosixShm();
  rmdir(directory.path().c_str());
  unlink(semaphore.c_str());
  REQUIRE(names.ok());
  CHECK(Contains(names.value(), object.get()));
  CHECK_FALSE(Contains(names.value(), directory.get()));
  for (const std::string& name : names.value()) CHECK(name.compare(0, 4, "sem.") != 0);
}

TEST_CASE("posix_shm: a symbolic link among the objects is not followed") {
  TempDirectory directory;
  ShmName name;
  WriteFile(directory.File("target"), "not yours");
  REQUIRE(symlink(directory.File("target").c_str(), name.path().c_str()) == 0);
  CHECK(OpenPosixShm(name.get(), false).error().number == ELOOP);
  CHECK(CreatePosixShm(name.get(), kPrivate, 1, Pages::kReserved).error().number == EEXIST);
}

TEST_CASE("posix_shm: a read-only open works with read permission alone and can't write") {
  ShmName name;
  REQUIRE(
      CreatePosixShm(name.get(), {0444, std::nullopt, std::nullopt}, 4096, Pages::kReserved).ok());
  CHECK(ExitCodeOf([&] {
          DropRights();
          auto opened = OpenPosixShm(name.get(), true);
          CHILD_EXPECT(opened.ok());
          CHILD_EXPECT(opened.value()->read_only());
          CHILD_EXPECT(pwrite(opened.value()->fd(), "x", 1, 0) == -1 && errno == EBADF);
          auto writable = OpenPosixShm(name.get(), false);
          CHILD_EXPECT(!writable.ok() && writable.error().number == EACCES);
        }) == 0);
}

TEST_CASE("posix_shm: without a mounted proc create still is exclusive and leaves nothing behind") {
  ShmName name;
  CHECK(ExitCodeWithOwnMounts([&] {
          MountTmpfs("/proc", PageSize());
          MountTmpfs("/dev/shm", 16 * PageSize());
          CHILD_EXPECT(CreatePosixShm(name.get(), kPrivate, 4096, Pages::kReserved).ok());
          auto again = CreatePosixShm(name.get(), kPrivate, 4096, Pages::kReserved);
          CHILD_EXPECT(!again.ok() && again.error().number == EEXIST);
          CHILD_EXPECT(UnlinkPosixShm(name.get()).ok());
          auto big = CreatePosixShm(name.get(), kPrivate, 32 * PageSize(), Pages::kReserved);
          CHILD_EXPECT(!big.ok() && big.error().number == ENOSPC);
          CHILD_EXPECT(!name.exists());
        }) == 0);
}

}  // namespace interproc::test
