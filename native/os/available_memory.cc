#include "os/available_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "os/result.h"
#include "os/unique_fd.h"

namespace interproc::os {
namespace {

// The first 4 KiB of a file of /proc or /sys; empty when it can't be read.
std::string ReadSmallFile(const std::string& path) {
  UniqueFd fd(RetryOnEintr([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  if (!fd.valid()) return {};
  char text[4096];
  const ssize_t length = RetryOnEintr([&] { return read(fd.get(), text, sizeof(text)); });
  return length > 0 ? std::string(text, static_cast<size_t>(length)) : std::string();
}

uint64_t NumberAfter(const std::string& text, const std::string& label, uint64_t otherwise) {
  const size_t at = text.find(label);
  if (at == std::string::npos) return otherwise;
  return std::strtoull(text.c_str() + at + label.size(), nullptr, 10);
}

// cgroup v2 (man 7 cgroups): "0::/path" names our group below the mount.
uint64_t LeftInCgroup() {
  const std::string groups = ReadSmallFile("/proc/self/cgroup");
  const size_t at = groups.find("0::/");
  if (at == std::string::npos) return UINT64_MAX;
  const size_t start = at + 3;
  const std::string group = groups.substr(start, groups.find('\n', start) - start);
  const std::string base = "/sys/fs/cgroup" + group + "/memory.";
  const std::string most = ReadSmallFile(base + "max");
  if (most.empty() || most[0] == 'm') return UINT64_MAX;  // "max"
  const uint64_t limit = std::strtoull(most.c_str(), nullptr, 10);
  uint64_t used = std::strtoull(ReadSmallFile(base + "current").c_str(), nullptr, 10);
  // Cached files count as used, yet the kernel drops them before it refuses.
  const std::string detail = ReadSmallFile(base + "stat");
  used -= std::min(
      used, NumberAfter(detail, "\ninactive_file ", 0) + NumberAfter(detail, "\nactive_file ", 0));
  return limit > used ? limit - used : 0;
}

}  // namespace

uint64_t AvailableMemory() {
  const std::string meminfo = ReadSmallFile("/proc/meminfo");
  if (meminfo.empty()) return UINT64_MAX;
  const uint64_t kibibytes =
      NumberAfter(meminfo, "MemAvailable:", 0) + NumberAfter(meminfo, "SwapFree:", 0);
  return std::min(kibibytes * 1024, LeftInCgroup());
}

}  // namespace interproc::os
