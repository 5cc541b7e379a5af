#include "os/memory_file.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "os/memfd.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

constexpr size_t kSmallFileSystem = 1 << 20;

Ref<MemoryFile> NewMemfd(uint64_t size) {
  auto made = CreateMemfd("test", {}, size, Pages::kReserved);
  REQUIRE(made.ok());
  return made.value();
}

uint64_t FreeBytes(const char* where) {
  struct statvfs status;
  REQUIRE(statvfs(where, &status) == 0);
  return uint64_t{status.f_bavail} * status.f_frsize;
}

// In a child: no file system knows O_TMPFILE any more, as many don't.
void ForbidTmpfile() {
  constexpr auto kFlags = offsetof(struct seccomp_data, args) + 2 * sizeof(uint64_t);
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFlags),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
  CHILD_EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  CHILD_EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
  CHILD_EXPECT(open("/dev/shm", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600) == -1);
  CHILD_EXPECT(errno == EOPNOTSUPP);
}

}  // namespace

TEST_CASE("memory_file: the mode of a new object is the one asked for whatever the umask") {
  for (const mode_t mask : {0000, 0077, 0777}) {
    ShmName name;
    CHECK(ExitCodeOf([&] {
            umask(mask);
            auto made =
                CreatePosixShm(name.get(), {0666, std::nullopt, std::nullopt}, 1, Pages::kReserved);
            CHILD_EXPECT(made.ok());
          }) == 0);
    CHECK(StatPosixShm(name.get()).value().mode == 0666);
  }
}

TEST_CASE("memory_file: the owner of a new object is the one asked for") {
  ShmName name;
  const uid_t uid = getuid() == 0 ? 12345 : getuid();
  const gid_t gid = getuid() == 0 ? 54321 : getgid();
  REQUIRE(CreatePosixShm(name.get(), {06640, uid, gid}, 1, Pages::kReserved).ok());
  const FileStatus status = StatPosixShm(name.get()).value();
  CHECK(status.uid == uid);
  CHECK(status.gid == gid);
  CHECK(status.mode == 06640);
}

TEST_CASE("memory_file: a create that may not give the object away leaves no name") {
  ShmName name;
  CHECK(ExitCodeOf([&] {
          DropRights();
          auto made = CreatePosixShm(name.get(), {0600, 0, std::nullopt}, 4096, Pages::kReserved);
          CHILD_EXPECT(!made.ok() && made.error().number == EPERM);
          CHILD_EXPECT(std::string(made.error().syscall) == "fchown");
        }) == 0);
  CHECK_FALSE(name.exists());
}

TEST_CASE("memory_file: reserved memory is backed at once and sparse memory is not") {
  ShmName reserved;
  ShmName sparse;
  REQUIRE(CreatePosixShm(reserved.get(), {}, 1 << 20, Pages::kReserved).ok());
  REQUIRE(CreatePosixShm(sparse.get(), {}, 1 << 20, Pages::kSparse).ok());
  CHECK(StatPosixShm(reserved.get()).value().allocated == 1 << 20);
  CHECK(StatPosixShm(sparse.get()).value().allocated == 0);
  CHECK(StatPosixShm(sparse.get()).value().size == 1 << 20);
}

TEST_CASE("memory_file: create on a full file system is ENOSPC and leaves no name and no pages") {
  ShmName name;
  CHECK(ExitCodeWithOwnMounts([&] {
          MountTmpfs("/dev/shm", kSmallFileSystem);
          const uint64_t free_before = FreeBytes("/dev/shm");
          auto made = CreatePosixShm(name.get(), {}, 2 * kSmallFileSystem, Pages::kReserved);
          CHILD_EXPECT(!made.ok() && made.error().number == ENOSPC);
          CHILD_EXPECT(!name.exists());
          CHILD_EXPECT(FreeBytes("/dev/shm") == free_before);
          CHILD_EXPECT(CreatePosixShm(name.get(), {}, 2 * kSmallFileSystem, Pages::kSparse).ok());
        }) == 0);
}

TEST_CASE("memory_file: a size above what the file system has left is refused without trying") {
  ShmName name;
  CHECK(ExitCodeWithOwnMounts([&] {
          MountTmpfs("/dev/shm", kSmallFileSystem);
          auto made = CreatePosixShm(name.get(), {}, uint64_t{1} << 40, Pages::kReserved);
          CHILD_EXPECT(!made.ok() && made.error().number == ENOSPC);
          CHILD_EXPECT(!name.exists());
        }) == 0);
}

TEST_CASE("memory_file: growing gets all pages or changes nothing") {
  ShmName name;
  CHECK(ExitCodeWithOwnMounts([&] {
          MountTmpfs("/dev/shm", kSmallFileSystem);
          auto made = CreatePosixShm(name.get(), {}, 4 * PageSize(), Pages::kReserved);
          CHILD_EXPECT(made.ok());
          const uint64_t free_before = FreeBytes("/dev/shm");
          auto grown = made.value()->Resize(2 * kSmallFileSystem, Pages::kReserved);
          CHILD_EXPECT(!grown.ok() && grown.error().number == ENOSPC);
          CHILD_EXPECT(SizeOf(made.value()->fd()) == 4 * PageSize());
          CHILD_EXPECT(FreeBytes("/dev/shm") == free_before);
          CHILD_EXPECT(made.value()->Resize(kSmallFileSystem / 2, Pages::kReserved).ok());
          CHILD_EXPECT(StatusOf(made.value()->fd()).value().allocated == kSmallFileSystem / 2);
        }) == 0);
}

TEST_CASE("memory_file: a size above the process's file limit is EFBIG and leaves no name") {
  ShmName name;
  CHECK(ExitCodeOf([&] {
          signal(SIGXFSZ, SIG_IGN);
          const struct rlimit small = {4096, 4096};
          CHILD_EXPECT(setrlimit(RLIMIT_FSIZE, &small) == 0);
          auto made = CreatePosixShm(name.get(), {}, 8192, Pages::kReserved);
          CHILD_EXPECT(!made.ok() && made.error().number == EFBIG);
        }) == 0);
  CHECK_FALSE(name.exists());
}

TEST_CASE("memory_file: create does the same where the file system has no O_TMPFILE") {
  ShmName name;
  CHECK(ExitCodeOf([&] {
          ForbidTmpfile();
          umask(0077);
          const Access access{0644, std::nullopt, std::nullopt};
          CHILD_EXPECT(CreatePosixShm(name.get(), access, 8192, Pages::kReserved).ok());
          const FileStatus status = StatPosixShm(name.get()).value();
          CHILD_EXPECT(status.mode == 0644 && status.size == 8192 && status.allocated == 8192);
          auto again = CreatePosixShm(name.get(), access, 4096, Pages::kReserved);
          CHILD_EXPECT(!again.ok() && again.error().number == EEXIST);
          CHILD_EXPECT(StatPosixShm(name.get()).value().size == 8192);
          CHILD_EXPECT(UnlinkPosixShm(name.get()).ok());

          signal(SIGXFSZ, SIG_IGN);
          const struct rlimit small = {4096, 4096};
          CHILD_EXPECT(setrlimit(RLIMIT_FSIZE, &small) == 0);
          auto large = CreatePosixShm(name.get(), access, 8192, Pages::kReserved);
          CHILD_EXPECT(!large.ok() && large.error().number == EFBIG);
          CHILD_EXPECT(!name.exists());
        }) == 0);
}

TEST_CASE("memory_file: growing keeps the bytes and shows zeros behind them") {
  auto file = NewMemfd(5);
  REQUIRE(pwrite(file->fd(), "hello", 5, 0) == 5);
  REQUIRE(file->Resize(10, Pages::kReserved).ok());
  char bytes[10];
  REQUIRE(pread(file->fd(), bytes, 10, 0) == 10);
  CHECK(std::memcmp(bytes, "hello\0\0\0\0\0", 10) == 0);
}

TEST_CASE("memory_file: shrinking gives the pages back") {
  auto file = NewMemfd(1 << 20);
  REQUIRE(file->Resize(4096, Pages::kReserved).ok());
  const FileStatus status = StatusOf(file->fd()).value();
  CHECK(status.size == 4096);
  CHECK(status.allocated == PageSize());
  REQUIRE(file->Resize(0, Pages::kReserved).ok());
  CHECK(StatusOf(file->fd()).value().allocated == 0);
}

TEST_CASE("memory_file: a frequent signal does not keep a reservation from ending") {
  constexpr uint64_t kSize = 128 << 20;
  CHECK(ExitCodeOf([&] {
          struct sigaction action = {};
          action.sa_handler = [](int) {};
          CHILD_EXPECT(sigaction(SIGALRM, &action, nullptr) == 0);
          const struct itimerval every_ms = {{0, 1000}, {0, 1000}};
          CHILD_EXPECT(setitimer(ITIMER_REAL, &every_ms, nullptr) == 0);
          auto made = CreateMemfd("", {}, kSize, Pages::kReserved);
          CHILD_EXPECT(made.ok());
          CHILD_EXPECT(StatusOf(made.value()->fd()).value().allocated == kSize);
        }) == 0);
}

TEST_CASE("memory_file: a duplicate stays open when the given descriptor is closed") {
  auto file = NewMemfd(4096);
  UniqueFd given(dup(file->fd()));
  auto mine = MemoryFile::Duplicate(given.get(), false);
  REQUIRE(mine.ok());
  CHECK(mine.value()->fd() != given.get());
  given.Reset();
  CHECK(SizeOf(mine.value()->fd()) == 4096);
  CHECK((fcntl(mine.value()->fd(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("memory_file: what a descriptor is opened for decides what its duplicate may do") {
  TempDirectory directory;
  const std::string path = directory.File("data");
  WriteFile(path, "data");
  const auto duplicate = [&](int flags, bool read_only) {
    UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC));
    return MemoryFile::Duplicate(fd.get(), read_only);
  };
  CHECK_FALSE(duplicate(O_RDWR, false).value()->read_only());
  CHECK(duplicate(O_RDWR, true).value()->read_only());
  CHECK(duplicate(O_RDONLY, false).value()->read_only());
  CHECK(duplicate(O_WRONLY, false).error().number == EACCES);
  CHECK(duplicate(O_PATH, false).error().number == EBADF);
}

TEST_CASE("memory_file: what is no file is refused") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  CHECK(MemoryFile::Duplicate(reader.get(), false).error().number == ENODEV);
  CHECK(MemoryFile::Duplicate(1000000, false).error().number == EBADF);
  CHECK(MemoryFile::Duplicate(-1, false).error().number == EBADF);
  TempDirectory directory;
  UniqueFd folder(open(directory.path().c_str(), O_RDONLY | O_CLOEXEC));
  CHECK(MemoryFile::Duplicate(folder.get(), false).error().number == ENODEV);
}

TEST_CASE("memory_file: opening a FIFO is an error and waits for nobody") {
  TempDirectory directory;
  const std::string path = directory.File("fifo");
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  for (const bool read_only : {true, false}) {
    auto opened = OpenRegular(path, read_only, 0, "open");
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().number == ENODEV);
  }
}

TEST_CASE("memory_file: LinkedAt tells this object from another one of the same name") {
  ShmName name;
  auto first = CreatePosixShm(name.get(), {}, 1, Pages::kReserved);
  REQUIRE(first.ok());
  CHECK(first.value()->LinkedAt(name.path()));
  REQUIRE(UnlinkPosixShm(name.get()).ok());
  CHECK_FALSE(first.value()->LinkedAt(name.path()));
  auto second = CreatePosixShm(name.get(), {}, 1, Pages::kReserved);
  REQUIRE(second.ok());
  CHECK_FALSE(first.value()->LinkedAt(name.path()));
  CHECK(second.value()->LinkedAt(name.path()));
}

TEST_CASE("memory_file: a named object takes no seals") {
  ShmName name;
  auto file = CreatePosixShm(name.get(), {}, 1, Pages::kReserved);
  REQUIRE(file.ok());
  // Files of a tmpfs are born sealed against sealing.
  CHECK(file.value()->Seals().value() == F_SEAL_SEAL);
  CHECK(file.value()->AddSeals(F_SEAL_SHRINK).error().number == EPERM);
}

}  // namespace interproc::test
