#include "os/lock_place.h"

#include <map>
#include <mutex>
#include <tuple>

#include "os/file_status.h"

namespace interproc::os {
namespace {

// No device has this number.
constexpr uint64_t kSysvDevice = ~uint64_t{0};

struct Taken {
  LockBytes bytes;
  uint32_t count;  // of handles
};

using Key = std::tuple<uint64_t, uint64_t, uint64_t>;

Key KeyOf(const LockBytes& bytes) { return {bytes.device, bytes.object, bytes.begin}; }

bool Overlap(const LockBytes& a, const LockBytes& b) {
  return a.device == b.device && a.object == b.object && a.begin < b.begin + b.length &&
         b.begin < a.begin + a.length;
}

std::mutex places_mutex;

// Never destroyed: threads may end after it would be. REQUIRES places_mutex.
std::map<Key, Taken>& Places() {
  static auto* places = new std::map<Key, Taken>();
  return *places;
}

Result<LockBytes> BytesOf(const Mapping& mapping, uint64_t offset, uint64_t length, uint32_t kind) {
  const uint64_t begin = mapping.offset() + offset;
  if (!mapping.file()) {
    return LockBytes{kSysvDevice, static_cast<uint64_t>(mapping.sysv_id()), begin, length, kind};
  }
  const Result<FileStatus> status = StatusOf(mapping.file()->fd());
  if (!status.ok()) return status.error();
  return LockBytes{status.value().device, status.value().inode, begin, length, kind};
}

}  // namespace

Result<Ref<LockPlace>> LockPlace::Claim(const Mapping& mapping, uint64_t offset, uint64_t length,
                                        uint32_t kind, LockBytes* there) {
  const Result<LockBytes> bytes = BytesOf(mapping, offset, length, kind);
  if (!bytes.ok()) return bytes.error();
  const LockBytes& wanted = bytes.value();
  std::lock_guard<std::mutex> lock(places_mutex);
  auto& places = Places();
  // Those there are don't overlap: only the one from here on, and the last one before it, may.
  auto next = places.lower_bound(KeyOf(wanted));
  if (next != places.end() && next->second.bytes.kind == kind &&
      KeyOf(next->second.bytes) == KeyOf(wanted)) {
    ++next->second.count;
    return Ref<LockPlace>::Adopt(new LockPlace(wanted));
  }
  for (auto each = next;;) {
    if (each != places.end() && Overlap(each->second.bytes, wanted)) {
      *there = each->second.bytes;
      return Error{EEXIST, "lock"};
    }
    if (each != next || each == places.begin()) break;
    --each;
  }
  places.emplace(KeyOf(wanted), Taken{wanted, 1});
  return Ref<LockPlace>::Adopt(new LockPlace(wanted));
}

LockPlace::~LockPlace() {
  std::lock_guard<std::mutex> lock(places_mutex);
  const auto found = Places().find(KeyOf(bytes_));
  if (--found->second.count == 0) Places().erase(found);
}

}  // namespace interproc::os
