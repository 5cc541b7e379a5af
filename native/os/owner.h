// Owner: the identity by which one env is known to all who share a file: a random id of 30 bits,
// whose byte of the file it keeps locked on an open file description of its own for as long as it
// lives (include/interproc.h, LIVENESS). Lock words carry the id. However many locks of a file an
// env has open, it is one owner there. The last reference lets go.
//
// Thread safety: all of one env, on its thread.
#ifndef INTERPROC_OS_OWNER_H_
#define INTERPROC_OS_OWNER_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "os/memory_file.h"
#include "os/protocol.h"
#include "os/ref_counted.h"
#include "os/result.h"

namespace interproc::os {

class Owner;

// How errors of locks are called: man 2 fcntl, "Open file description locks".
constexpr const char* kLocking = "fcntl_locking";

// What of becoming an owner failed: its description could not be opened, or not locked.
Error OwnerError(int result);
// The ids of all who own something of that file, this one included.
Result<std::vector<uint32_t>> ListOwners(const interproc_owner& owner);

// The owners that one env is, by their file.
class OwnerRegistry : public RefCounted<OwnerRegistry> {
 private:
  friend class Owner;
  std::vector<Owner*> all_;
};

class Owner : public RefCounted<Owner> {
 public:
  // EBADF for a file that is open for reading only. EINVAL, ENOLCK or EOPNOTSUPP (fcntl_locking)
  // where its file system knows no such locks; EACCES (open) for another user's memfd.
  static Result<Ref<Owner>> Of(const Ref<OwnerRegistry>& registry, const Ref<MemoryFile>& file);
  ~Owner();

  uint32_t id() const { return owner_.id; }
  Result<bool> Alive(uint32_t id) const;
  Result<std::vector<uint32_t>> All() const { return ListOwners(owner_); }

 private:
  Owner(Ref<OwnerRegistry> registry, Ref<MemoryFile> file)
      : registry_(std::move(registry)), file_(std::move(file)) {}

  const Ref<OwnerRegistry> registry_;
  const Ref<MemoryFile> file_;
  interproc_owner owner_ = {-1, 0, nullptr, 0};
};

}  // namespace interproc::os

#endif  // INTERPROC_OS_OWNER_H_
