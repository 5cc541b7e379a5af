#include "os/socket_file.h"

#include <sys/file.h>

#include <atomic>
#include <vector>

#include "os/unix_socket.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

constexpr Access kPrivate{};

UniqueFd Socket(int type) {
  Result<UniqueFd> socket = CreateSocket(type);
  MUST(socket.ok());
  return std::move(socket.value());
}

// A socket that is bound to a path, or why not.
struct Bound {
  UniqueFd fd;
  int error = 0;
  FileStatus file;

  Bound(const std::string& path, bool replace_stale, const Access& access = kPrivate,
        int type = SOCK_STREAM)
      : fd(Socket(type)) {
    const Result<FileStatus> bound = BindSocketFile(fd.get(), path, access, replace_stale);
    if (!bound.ok()) error = bound.error().number;
    if (bound.ok()) file = bound.value();
  }
};

void LeaveStale(const std::string& path) { CHECK(Bound(path, false).error == 0); }

mode_t ModeOf(const std::string& path) {
  struct stat status = {};
  return lstat(path.c_str(), &status) == 0 ? status.st_mode : 0;
}

int CountIn(const TempDirectory& directory) {
  DIR* entries = opendir(directory.path().c_str());
  MUST(entries != nullptr);
  int count = 0;
  while (const dirent* entry = readdir(entries)) {
    const std::string name = entry->d_name;
    count += name != "." && name != "..";
  }
  closedir(entries);
  return count;
}

}  // namespace

TEST_CASE("socket_file: its mode is what was asked for, whatever the umask is") {
  CHECK(ExitCodeOf([] {
          const TempDirectory directory;
          for (const mode_t mask : {0, 022, 077, 0777}) {
            umask(mask);
            for (const mode_t mode : {0, 0600, 0666, 0777}) {
              Access access;
              access.mode = mode;
              const std::string path = directory.File("s");
              const Bound bound(path, false, access);
              CHILD_EXPECT(bound.error == 0);
              CHILD_EXPECT(ModeOf(path) == (S_IFSOCK | mode));
              CHILD_EXPECT(UnlinkSocketFile(path, bound.file).value());
            }
          }
        }) == 0);
}

TEST_CASE("socket_file: the file of a dead socket is replaced only where that is asked for") {
  const TempDirectory directory;
  const std::string path = directory.File("s");
  LeaveStale(path);
  CHECK(Bound(path, false).error == EADDRINUSE);
  CHECK(Bound(path, true).error == 0);
  CHECK(CountIn(directory) == 1);
}

TEST_CASE("socket_file: a live socket of any type keeps its file, listening or not") {
  for (const int first : {SOCK_DGRAM, SOCK_STREAM, SOCK_SEQPACKET}) {
    for (const int second : {SOCK_DGRAM, SOCK_STREAM, SOCK_SEQPACKET}) {
      for (const bool listens : {false, true}) {
        const TempDirectory directory;
        const std::string path = directory.File("s");
        const Bound bound(path, false, kPrivate, first);
        REQUIRE(bound.error == 0);
        if (listens && first != SOCK_DGRAM) REQUIRE(ListenOn(bound.fd.get(), 1).ok());
        CHECK(Bound(path, true, kPrivate, second).error == EADDRINUSE);
        CHECK(UnlinkSocketFile(path, bound.file).value());
      }
    }
  }
}

TEST_CASE("socket_file: what is no socket stays, and so does a link to a dead one") {
  const TempDirectory directory;
  const std::string path = directory.File("s");
  LeaveStale(path);
  const std::string link = directory.File("link");
  REQUIRE(symlink(path.c_str(), link.c_str()) == 0);
  CHECK(Bound(link, true).error == EADDRINUSE);
  const std::string file = directory.File("file");
  WriteFile(file, "content");
  CHECK(Bound(file, true).error == EADDRINUSE);
  CHECK(UnlinkSocketFile(file).error().number == EINVAL);
  CHECK(CountIn(directory) == 3);
}

TEST_CASE("socket_file: only the own file is removed") {
  const TempDirectory directory;
  const std::string path = directory.File("s");
  const Bound first(path, false);
  REQUIRE(UnlinkSocketFile(path).ok());
  const Bound second(path, false);
  REQUIRE(second.error == 0);
  CHECK_FALSE(UnlinkSocketFile(path, first.file).value());
  CHECK(UnlinkSocketFile(path, second.file).value());
  CHECK_FALSE(UnlinkSocketFile(path, second.file).value());
}

TEST_CASE("socket_file: of threads that replace a dead one at once exactly one wins") {
  const TempDirectory directory;
  const std::string path = directory.File("s");
  for (int round = 0; round < 100; ++round) {
    LeaveStale(path);
    constexpr int kThreads = 4;
    std::atomic<int> ready{0};
    std::atomic<int> won{0};
    std::atomic<int> over{0};
    {
      std::vector<std::unique_ptr<Thread>> threads;
      for (int i = 0; i < kThreads; ++i) {
        threads.push_back(std::make_unique<Thread>([&] {
          ++ready;
          while (ready < kThreads) sched_yield();
          const Bound bound(path, true);
          if (bound.error == 0) ++won;
          if (bound.error != 0) MUST(bound.error == EADDRINUSE);
          ++over;
          while (over < kThreads) sched_yield();  // it lives until all have tried
        }));
      }
    }
    CHECK(won == 1);
    CHECK(CountIn(directory) == 1);
    REQUIRE(UnlinkSocketFile(path).ok());
  }
}

TEST_CASE("socket_file: dead ones of one folder are replaced at the same time") {
  const TempDirectory directory;
  std::vector<std::unique_ptr<Thread>> threads;
  for (int i = 0; i < 4; ++i) {
    const std::string path = directory.File(std::to_string(i));
    LeaveStale(path);
    threads.push_back(std::make_unique<Thread>([path] {
      for (int round = 0; round < 100; ++round) MUST(Bound(path, true).error == 0);
    }));
  }
  threads.clear();
  CHECK(CountIn(directory) == 4);
}

TEST_CASE("socket_file: a folder that stays locked is EAGAIN, and its file stays") {
  const TempDirectory directory;
  const std::string path = directory.File("s");
  LeaveStale(path);
  const UniqueFd folder(open(directory.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  REQUIRE(flock(folder.get(), LOCK_EX) == 0);
  CHECK(Bound(path, true).error == EAGAIN);
  CHECK(CountIn(directory) == 1);
}

}  // namespace interproc::test
