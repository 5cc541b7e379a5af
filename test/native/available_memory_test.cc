#include "os/available_memory.h"

#include <cstdio>

#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

// A line of /proc/meminfo, in bytes.
uint64_t MemInfo(const char* label) {
  FILE* file = std::fopen("/proc/meminfo", "re");
  REQUIRE(file != nullptr);
  char line[256];
  uint64_t bytes = 0;
  while (std::fgets(line, sizeof(line), file) != nullptr) {
    const size_t length = std::strlen(label);
    if (std::strncmp(line, label, length) == 0) bytes = std::strtoull(line + length, nullptr, 10);
  }
  std::fclose(file);
  return bytes * 1024;
}

}  // namespace

TEST_CASE("available_memory: more than nothing and no more than there is") {
  const uint64_t available = AvailableMemory();
  CHECK(available > (1 << 20));
  CHECK(available <= MemInfo("MemTotal:") + MemInfo("SwapTotal:"));
}

TEST_CASE("available_memory: without a mounted proc there is no limit to tell") {
  CHECK(ExitCodeWithOwnMounts([] {
          MountTmpfs("/proc", PageSize());
          CHILD_EXPECT(AvailableMemory() == UINT64_MAX);
        }) == 0);
}

TEST_CASE("available_memory: the limit of the process's own cgroup counts") {
  constexpr uint64_t kLimit = 64 << 20;
  // What the kernel would show in a container, put where it shows it.
  CHECK(ExitCodeWithOwnMounts([&] {
          TempDirectory directory;
          WriteFile(directory.File("meminfo"), "MemAvailable:  1048576 kB\nSwapFree:  1024 kB\n");
          CHILD_EXPECT(mount(directory.File("meminfo").c_str(), "/proc/meminfo", nullptr, MS_BIND,
                             nullptr) == 0);
          WriteFile(directory.File("cgroup"), "0::/some/group\n");
          CHILD_EXPECT(mount(directory.File("cgroup").c_str(), "/proc/self/cgroup", nullptr,
                             MS_BIND, nullptr) == 0);
          MountTmpfs("/sys/fs/cgroup", 1 << 20);
          CHILD_EXPECT(AvailableMemory() == (uint64_t{1024} + 1) << 20);

          CHILD_EXPECT(mkdir("/sys/fs/cgroup/some", 0700) == 0);
          CHILD_EXPECT(mkdir("/sys/fs/cgroup/some/group", 0700) == 0);
          const std::string group = "/sys/fs/cgroup/some/group/";
          WriteFile(group + "memory.max", std::to_string(kLimit) + "\n");
          WriteFile(group + "memory.current", std::to_string(48 << 20) + "\n");
          WriteFile(group + "memory.stat", "anon 1\ninactive_file " + std::to_string(10 << 20) +
                                               "\nactive_file " + std::to_string(6 << 20) + "\n");
          // 64 - (48 - 16 that are cached files)
          CHILD_EXPECT(AvailableMemory() == 32 << 20);

          WriteFile(group + "memory.current", std::to_string(200 << 20) + "\n");
          CHILD_EXPECT(AvailableMemory() == 0);
          WriteFile(group + "memory.max", "max\n");
          CHILD_EXPECT(AvailableMemory() == (uint64_t{1024} + 1) << 20);
        }) == 0);
}

}  // namespace interproc::test
