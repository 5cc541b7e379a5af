// What the C++ tests share: objects that clean up after themselves, and child processes.
// A child reports through its exit code: it runs a function, checks with CHILD_EXPECT, and ends in
// _exit, so that no destructor of the parent's objects runs in it.
#ifndef INTERPROC_TEST_NATIVE_SUPPORT_H_
#define INTERPROC_TEST_NATIVE_SUPPORT_H_

#include <dirent.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "os/blocking_threads.h"
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

// Ends a process, the test's own or a child, that could not be set up.
#define MUST(condition)                                                                      \
  do {                                                                                       \
    if (!(condition)) {                                                                      \
      std::fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, \
                   errno);                                                                   \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)

// Looks again and again: for what nobody tells. The test's watchdog ends what never comes.
inline void Until(const std::function<bool()>& holds) {
  while (!holds()) usleep(200);
}

class Child {
 public:
  explicit Child(const std::function<void()>& run) {
    // Buffered output would be written by both.
    std::fflush(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      // Also where the watchdog ends the test.
      prctl(PR_SET_PDEATHSIG, SIGKILL);
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

// One way between a process and its child; both ends are in both. Reading from one whose writers
// are all gone gives false.
class Pipe {
 public:
  Pipe() {
    int ends[2];
    MUST(pipe2(ends, O_CLOEXEC) == 0);
    reader_.Reset(ends[0]);
    writer_.Reset(ends[1]);
  }

  int reader() const { return reader_.get(); }
  int writer() const { return writer_.get(); }
  void CloseReader() { reader_.Reset(); }
  void CloseWriter() { writer_.Reset(); }

  template <typename T>
  void Put(const T& value) const {
    MUST(write(writer(), &value, sizeof(value)) == static_cast<ssize_t>(sizeof(value)));
  }
  template <typename T>
  bool Get(T* value) const {
    const ssize_t size = os::RetryOnEintr([&] { return read(reader(), value, sizeof(*value)); });
    return size == static_cast<ssize_t>(sizeof(*value));
  }
  template <typename T>
  T Get() const {
    T value = {};
    MUST(Get(&value));
    return value;
  }

 private:
  os::UniqueFd reader_;
  os::UniqueFd writer_;
};

// In a child that a test is going to kill.
[[noreturn]] inline void SleepUntilKilled() {
  for (;;) pause();
}

// Entries of a directory of /proc: descriptors ("fd") or threads ("task") of this process.
inline int CountInProc(const std::string& directory) {
  DIR* entries = opendir(("/proc/self/" + directory).c_str());
  MUST(entries != nullptr);
  int count = 0;
  while (const dirent* entry = readdir(entries)) count += entry->d_name[0] != '.';
  closedir(entries);
  return count;
}

// Memory that a process and its children share.
template <typename T>
class Shared {
 public:
  Shared() {
    void* base =
        mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(base != MAP_FAILED);
    object_ = new (base) T();
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { munmap(object_, sizeof(T)); }

  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }

 private:
  T* object_;
};

class Thread {
 public:
  explicit Thread(std::function<void()> run) : run_(std::move(run)) {
    MUST(pthread_create(&thread_, nullptr, Run, &run_) == 0);
  }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread() { pthread_join(thread_, nullptr); }

 private:
  static void* Run(void* run) {
    (*static_cast<std::function<void()>*>(run))();
    return nullptr;
  }

  std::function<void()> run_;
  pthread_t thread_;
};

// The threads of this process, with those that a sanitizer starts along with the first.
inline int CountThreads() {
  pid_t id = 0;
  {
    const Thread first([&id] { id = static_cast<pid_t>(syscall(SYS_gettid)); });
  }
  const std::string gone = "/proc/self/task/" + std::to_string(id);
  Until([&] { return access(gone.c_str(), F_OK) != 0; });
  return CountInProc("task");
}

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

// What calls run on that can only block.
inline const os::Ref<os::BlockingThreads>& Threads() {
  static const auto threads = os::Ref<os::BlockingThreads>::Adopt(new os::BlockingThreads());
  return threads;
}

}  // namespace interproc::test

#endif  // INTERPROC_TEST_NATIVE_SUPPORT_H_
