// Participant: how one env (the main thread or a worker) takes part in a segment: it holds the lock
// that shows it alive, on an open file description of its own, and its entry among the
// participants. However often an env opens a segment, it takes part once. The last reference
// leaves; the last participant to leave removes the name.
//
// Role: being the sender or the receiver. Letting go of it without Close() tells the peer that
// its owner has ended; so does the death of the process.
//
// Thread safety: all of one env, on its thread.
#ifndef INTERPROC_OS_PARTICIPANT_H_
#define INTERPROC_OS_PARTICIPANT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "os/mapping.h"
#include "os/memory_file.h"
#include "os/protocol.h"
#include "os/ref_counted.h"
#include "os/result.h"

namespace interproc::os {

class Participant;

// The participants of one env, by the file that they share.
class ParticipantRegistry : public RefCounted<ParticipantRegistry> {
 public:
  Ref<Participant> Find(const MemoryFile& file) const;

 private:
  friend class Participant;
  std::vector<Participant*> all_;
};

struct SegmentOptions {
  uint32_t capacity = 0;  // of the ring; a power of two
  bool persist = false;
  Access access;
};

// How long the gate of a segment is tried for, which is held for microseconds unless a process was
// stopped in it: no call of the package waits for that. About 50 ms, or 2 for who tries again.
enum class GateTries { kFew = 20, kSome = 300 };

class Participant : public RefCounted<Participant> {
 public:
  using Registry = Ref<ParticipantRegistry>;

  // A new segment at `path`, in place of one whose participants are all dead. EEXIST; EBUSY
  // (fcntl_locking) when the gate of that one can't be had.
  static Result<Ref<Participant>> Create(const Registry& registry, const std::string& path,
                                         const SegmentOptions& options, const char* syscall);
  // A new segment without a name, sealed against every change of its size.
  static Result<Ref<Participant>> CreateAnonymous(const Registry& registry,
                                                  const SegmentOptions& options);
  // Takes part in the segment in `file`; `path` is its name, if it is known by one. EBUSY
  // (fcntl_locking) when its gate can't be had.
  static Result<Ref<Participant>> Join(const Registry& registry, const Ref<MemoryFile>& file,
                                       const std::string& path,
                                       GateTries gate_tries = GateTries::kSome);
  // Leaves. Where the gate can't be had, the name stays: for the next one who leaves as the last,
  // or who creates.
  ~Participant();

  // Removes the name `path`; with `only`, if it leads to that file, else ENOENT. With the gate of
  // the segment that it leads to, if that can be had: see interproc__remove_name.
  static Result<void> Unlink(const std::string& path, const MemoryFile* only, const char* syscall);

  const Ref<MemoryFile>& file() const { return file_; }
  const std::string& path() const { return path_; }
  const interproc_owner& owner() const { return owner_; }
  // Of zeros from the moment on that the file was truncated under it.
  interproc_header* header() const { return reinterpret_cast<interproc_header*>(memory_->data()); }
  const unsigned char* ring() const;
  // Of the ring, as it was when we came: a hostile peer may change what the header says.
  uint32_t capacity() const;

  Result<bool> Alive(uint32_t owner) const;
  // The ids of all who take part, this one included.
  Result<std::vector<uint32_t>> Owners() const;

 private:
  friend class ParticipantRegistry;

  explicit Participant(Registry registry) : registry_(std::move(registry)) {}
  // Maps the segment of a joined participant, and enters it in the registry. REQUIRES file_
  Result<void> Settle(uint64_t size);

  const Registry registry_;
  Ref<MemoryFile> file_;
  Ref<Mapping> memory_;  // of our own: what JS does to its mapping changes nothing here
  std::string path_;
  interproc_owner owner_ = {-1, 0, nullptr, 0};
};

class Role : public RefCounted<Role> {
 public:
  static Result<Ref<Role>> Take(const Ref<Participant>& participant, interproc_side side);
  ~Role() { Leave(INTERPROC_ROLE_DIED); }

  void Close() { Leave(INTERPROC_ROLE_CLOSED); }

 private:
  Role(const Ref<Participant>& participant, interproc_side side)
      : participant_(participant), side_(side) {}
  void Leave(uint32_t how);

  Ref<Participant> participant_;  // empty once left
  const interproc_side side_;
};

}  // namespace interproc::os

#endif  // INTERPROC_OS_PARTICIPANT_H_
