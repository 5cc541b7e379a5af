#include "os/draft.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace interproc::os {
namespace {

constexpr unsigned kRenameNoReplace = 1;  // RENAME_NOREPLACE of <linux/fs.h>

}  // namespace

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<std::string> DraftOf(const std::string& path) {
  uint64_t random = 0;
  if (syscall(SYS_getrandom, &random, sizeof(random), 0) < 0) return LastError("getrandom");
  return DirectoryOf(path) + "/.interproc-" + std::to_string(random);
}

bool RenameExclusively(const std::string& draft, const std::string& path) {
  if (syscall(SYS_renameat2, AT_FDCWD, draft.c_str(), AT_FDCWD, path.c_str(), kRenameNoReplace) ==
      0) {
    return true;
  }
  // File systems that can't rename so have links; after that the draft is one name of two.
  return errno == EINVAL && link(draft.c_str(), path.c_str()) == 0 && unlink(draft.c_str()) == 0;
}

}  // namespace interproc::os
