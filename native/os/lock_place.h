// LockPlace: where a lock of this process lies, so that no other kind of lock, and none that begins
// elsewhere, is opened in the same bytes: such a mistake would destroy both. The places of all
// threads are known together; the last reference to a place frees it.
//
// Thread safety: any thread.
#ifndef INTERPROC_OS_LOCK_PLACE_H_
#define INTERPROC_OS_LOCK_PLACE_H_

#include <cstdint>

#include "os/mapping.h"
#include "os/ref_counted.h"
#include "os/result.h"

namespace interproc::os {

// The bytes of a file, or of a System V segment, that a lock takes.
struct LockBytes {
  uint64_t device;  // kSysvDevice: `object` is the id of a segment
  uint64_t object;
  uint64_t begin;
  uint64_t length;
  uint32_t kind;
};

class LockPlace : public RefCounted<LockPlace> {
 public:
  // `there`: set to the lock that is in the way, when EEXIST is returned. REQUIRES
  // !mapping.closed().
  static Result<Ref<LockPlace>> Claim(const Mapping& mapping, uint64_t offset, uint64_t length,
                                      uint32_t kind, LockBytes* there);
  ~LockPlace();

 private:
  explicit LockPlace(const LockBytes& bytes) : bytes_(bytes) {}

  const LockBytes bytes_;
};

}  // namespace interproc::os

#endif  // INTERPROC_OS_LOCK_PLACE_H_
