#include "os/memfd.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <utility>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace interproc::os {

Result<Ref<MemoryFile>> CreateMemfd(const std::string& label, const Access& access, uint64_t size,
                                    Pages pages) {
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  // Never executable, unless the mode says so: systems with vm.memfd_noexec=2 refuse anything else,
  // Linux < 6.3 refuses this.
  const unsigned never_executable = (access.mode & 0111) == 0 ? MFD_NOEXEC_SEAL : 0;
  UniqueFd fd(memfd_create(label.c_str(), flags | never_executable));
  if (!fd.valid() && errno == EINVAL) fd.Reset(memfd_create(label.c_str(), flags));
  if (!fd.valid()) return LastError("memfd_create");
  Result<void> prepared = Prepare(fd.get(), access, size, pages);
  if (!prepared.ok()) return prepared.error();
  return Ref<MemoryFile>::Adopt(new MemoryFile(std::move(fd), false));
}

}  // namespace interproc::os
