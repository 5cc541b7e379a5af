// What the C++ tests share: objects that clean up after themselves, and child processes.
// A child reports through its exit code: it runs a function, checks with CHILD_EXPECT, and ends in
// _exit, so that no destructor of the parent's objects runs in it.
#ifndef INTERPROC_TEST_NATIVE_SUPPORT_H_
#define INTERPROC_TEST_NATIVE_SUPPORT_H_

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

#include "os/memory_file.h"
#include "os/posix_shm.h"
#include "os/result.h"

namespace interproc::test {

// What ctest takes for "skipped" (CMakeLists.txt).
constexpr int kSkipped = 77;
constexpr uid_t kNobody = 65534;

inline size_t PageSize() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

// Ends a child that found something wrong.
#define CHILD_EXPECT(condition)                                                              \
  do {                                                                                       \
    if (!(condition)) {                                                                      \
      std::fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, \
                   errno);                                                                   \
      _exit(1);                                                                              \
    }                                                                                        \
  } while (false)

class Child {
 public:
  explicit Child(const std::function<void()>& run) {
    // Buffered output would be written by both.
    std::fflush(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      run();
      _exit(0);
    }
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    Wait();
  }

  pid_t pid() const { return pid_; }

  // The status of man 2 waitpid.
  int Wait() {
    int status = -1;
    os::RetryOnEintr([&] { return waitpid(pid_, &status, 0); });
    pid_ = -1;
    return status;
  }
  int ExitCode() {
    const int status = Wait();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  // The signal that ended it; 0 if it exited.
  int EndingSignal() {
    const int status = Wait();
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }

 private:
  pid_t pid_;
};

inline int ExitCodeOf(const std::function<void()>& run) { return Child(run).ExitCode(); }
inline int EndingSignalOf(const std::function<void()>& run) { return Child(run).EndingSignal(); }

inline std::string UniqueName() {
  static std::atomic<int> count{0};
  return "interproc-test-" + std::to_string(getpid()) + "-" + std::to_string(++count);
}

// A name in /dev/shm that is free now and will be again.
class ShmName {
 public:
  ShmName() : name_(UniqueName()) {}
  ShmName(const ShmName&) = delete;
  ShmName& operator=(const ShmName&) = delete;
  ~ShmName() { (void)os::UnlinkPosixShm(name_); }

  const std::string& get() const { return name_; }
  std::string path() const { return os::PosixShmPath(name_); }
  bool exists() const { return access(path().c_str(), F_OK) == 0; }

 private:
  std::string name_;
};

// A directory on disk (or what TMPDIR says), with the files of one level in it.
class TempDirectory {
 public:
  TempDirectory() {
    const char* parent = std::getenv("TMPDIR");
    path_ = std::string(parent != nullptr ? parent : "/tmp") + "/interproc-test-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  ~TempDirectory() { std::system(("rm -rf '" + path_ + "'").c_str()); }

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline void WriteFile(const std::string& path, const std::string& content) {
  os::UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  REQUIRE(write(fd.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()));
}

inline uint64_t SizeOf(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 ? static_cast<uint64_t>(status.st_size) : UINT64_MAX;
}

// In a child: becomes a user without rights, for whom limits and permissions hold.
inline void DropRights() {
  if (getuid() != 0) return;
  CHILD_EXPECT(setresgid(kNobody, kNobody, kNobody) == 0);
  CHILD_EXPECT(setresuid(kNobody, kNobody, kNobody) == 0);
}

inline bool WriteText(const char* path, const std::string& text) {
  os::UniqueFd fd(open(path, O_WRONLY | O_CLOEXEC));
  return write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// In a child: gets mounts of its own, and with them the right to mount. Ends the child as skipped
// where neither root nor a user namespace gives that.
inline void TakeOwnMounts() {
  const std::string uid = std::to_string(getuid());
  const std::string gid = std::to_string(getgid());
  const bool root = getuid() == 0;
  if (unshare(root ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0) _exit(kSkipped);
  if (!root) {
    // Else we would be nobody there, who can make no file.
    CHILD_EXPECT(WriteText("/proc/self/setgroups", "deny"));
    CHILD_EXPECT(WriteText("/proc/self/uid_map", uid + " " + uid + " 1"));
    CHILD_EXPECT(WriteText("/proc/self/gid_map", gid + " " + gid + " 1"));
  }
  // Else our mounts would show outside.
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) _exit(kSkipped);
}

// In a child that took its own mounts: covers a directory with a tmpfs of `size` bytes.
inline void MountTmpfs(const std::string& where, size_t size) {
  const std::string options = "size=" + std::to_string(size);
  CHILD_EXPECT(mount("tmpfs", where.c_str(), "tmpfs", 0, options.c_str()) == 0);
}

// Runs `run` in a child with mounts of its own. If that can't be had here, the test case ends as
// skipped.
inline int ExitCodeWithOwnMounts(const std::function<void()>& run) {
  const int code = ExitCodeOf([&] {
    TakeOwnMounts();
    run();
  });
  if (code == kSkipped) {
    std::fprintf(stderr, "skipped: no right to mount here\n");
    std::exit(kSkipped);
  }
  return code;
}

}  // namespace interproc::test

#endif  // INTERPROC_TEST_NATIVE_SUPPORT_H_
