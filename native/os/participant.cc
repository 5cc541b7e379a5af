#include "os/participant.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "os/memfd.h"
#include "os/owner.h"

namespace interproc::os {
namespace {

// The header of a file, for a moment. Guarded, since it may be anybody's.
Result<Ref<Mapping>> MapHeader(const Ref<MemoryFile>& file, uint64_t size) {
  if (size == 0) return ProtocolError(INTERPROC_NOT_READY, "open");
  if (size < INTERPROC_HEADER_SIZE) return ProtocolError(INTERPROC_MISMATCH, "open");
  return Mapping::OfFile(file, 0, INTERPROC_HEADER_SIZE);
}

interproc_header* HeaderIn(const Ref<Mapping>& mapping) {
  return reinterpret_cast<interproc_header*>(mapping->data());
}

Result<uint64_t> SizeOf(const MemoryFile& file) {
  const Result<FileStatus> status = StatusOf(file.fd());
  if (!status.ok()) return status.error();
  return status.value().size;
}

// Removes the segment at `path` if all its participants are dead; false if it is in use, or
// something else. EPERM, EACCES (unlink) where that is not ours to do.
Result<bool> RemoveDead(const std::string& path) {
  Result<UniqueFd> fd = OpenRegular(path, false, O_NOFOLLOW, "open");
  if (!fd.ok()) return fd.error().number == ENOENT;
  const Ref<MemoryFile> file = Ref<MemoryFile>::Adopt(new MemoryFile(std::move(fd.value()), false));
  const Result<uint64_t> size = SizeOf(*file.get());
  if (!size.ok()) return size.error();
  Result<Ref<Mapping>> mapping = MapHeader(file, size.value());
  if (!mapping.ok()) return false;
  interproc_header* header = HeaderIn(mapping.value());
  uint32_t capacity;
  const int state = interproc_check(header, size.value(), &capacity);
  if (state != 0 && state != INTERPROC_UNLINKED) return false;
  const int removed = interproc_retire_if_dead(header, file->fd(), path.c_str(),
                                               static_cast<int>(GateTries::kSome));
  switch (-removed) {
    case EPERM:
    case EACCES:
    case EROFS:
      return ProtocolError(removed, "unlink");
    default:
      if (removed < 0) return ProtocolError(removed, kLocking);
      return removed == 1;
  }
}

// Makes a segment of the new file `fd`, and joins it.
Result<void> Found(int fd, const SegmentOptions& options, uint32_t flags, interproc_owner* owner) {
  void* base = mmap(nullptr, INTERPROC_HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) return LastError("mmap");
  auto* header = static_cast<interproc_header*>(base);
  interproc_init(header, options.capacity, flags | (options.persist ? INTERPROC_PERSIST : 0));
  const int joined = interproc_join(owner, header, fd, 0, 1, 0);
  munmap(base, INTERPROC_HEADER_SIZE);
  if (joined != 0) return OwnerError(joined);
  return {};
}

// The name of a segment that came as a descriptor and has one: who leaves last removes it.
std::string NameOf(int fd, const interproc_header* header) {
  char target[PATH_MAX];
  if ((interproc__peek(&header->id.flags) & INTERPROC_NAMED) == 0) return {};
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = readlink(self.c_str(), target, sizeof(target));
  return length > 0 ? std::string(target, static_cast<size_t>(length)) : std::string();
}

uint64_t SegmentSize(const SegmentOptions& options) {
  return uint64_t{INTERPROC_HEADER_SIZE} + options.capacity;
}

}  // namespace

Ref<Participant> ParticipantRegistry::Find(const MemoryFile& file) const {
  for (Participant* each : all_) {
    if (each->file_->read_only() != file.read_only() || !each->file_->SameAs(file)) continue;
    each->AddRef();
    return Ref<Participant>::Adopt(each);
  }
  return {};
}

Result<Ref<Participant>> Participant::Create(const Registry& registry, const std::string& path,
                                             const SegmentOptions& options, const char* syscall) {
  for (;;) {
    Ref<Participant> created = Ref<Participant>::Adopt(new Participant(registry));
    Result<UniqueFd> fd = CreateExclusively(
        path, options.access, SegmentSize(options), Pages::kReserved, syscall,
        [&](int draft) { return Found(draft, options, INTERPROC_NAMED, &created->owner_); });
    if (fd.ok()) {
      Failpoint("create.linked");
      created->file_ = Ref<MemoryFile>::Adopt(new MemoryFile(std::move(fd.value()), false));
      created->path_ = path;
      const Result<void> settled = created->Settle(SegmentSize(options));
      if (!settled.ok()) return settled.error();
      return created;
    }
    if (fd.error().number != EEXIST) return fd.error();
    const Result<bool> removed = RemoveDead(path);
    if (!removed.ok()) return removed.error();
    if (!removed.value()) return fd.error();
  }
}

Result<Ref<Participant>> Participant::CreateAnonymous(const Registry& registry,
                                                      const SegmentOptions& options) {
  Ref<Participant> created = Ref<Participant>::Adopt(new Participant(registry));
  Result<Ref<MemoryFile>> file =
      CreateMemfd("interproc", options.access, SegmentSize(options), Pages::kReserved);
  if (!file.ok()) return file.error();
  created->file_ = file.value();
  Result<void> done = Found(created->file_->fd(), options, 0, &created->owner_);
  if (done.ok()) done = created->file_->AddSeals(F_SEAL_SHRINK | F_SEAL_GROW);
  if (done.ok()) done = created->Settle(SegmentSize(options));
  if (!done.ok()) return done.error();
  return created;
}

Result<Ref<Participant>> Participant::Join(const Registry& registry, const Ref<MemoryFile>& file,
                                           const std::string& path, GateTries gate_tries) {
  const Result<uint64_t> size = SizeOf(*file.get());
  if (!size.ok()) return size.error();
  Result<Ref<Mapping>> mapping = MapHeader(file, size.value());
  if (!mapping.ok()) return mapping.error();
  interproc_header* header = HeaderIn(mapping.value());
  uint32_t capacity;
  const int state = interproc_check(header, size.value(), &capacity);
  if (state != 0) return ProtocolError(state, "open");
  Ref<Participant> there = registry->Find(*file.get());
  if (there) {
    if (interproc__unlinked(&there->owner_, header)) {
      return ProtocolError(INTERPROC_UNLINKED, "open");
    }
    if (there->path_.empty()) there->path_ = path;
    return there;
  }
  Ref<Participant> joined = Ref<Participant>::Adopt(new Participant(registry));
  joined->file_ = file;
  joined->path_ = path.empty() ? NameOf(file->fd(), header) : path;
  const int result = interproc_join(&joined->owner_, header, file->fd(), file->read_only() ? 1 : 0,
                                    0, static_cast<int>(gate_tries));
  if (result != 0) return OwnerError(result);
  const Result<void> settled = joined->Settle(uint64_t{INTERPROC_HEADER_SIZE} + capacity);
  if (!settled.ok()) return settled.error();
  return joined;
}

Result<void> Participant::Settle(uint64_t size) {
  Result<Ref<Mapping>> memory = Mapping::OfFile(file_, 0, size);
  if (!memory.ok()) return memory.error();
  memory_ = memory.value();
  registry_->all_.push_back(this);
  return {};
}

Participant::~Participant() {
  auto& all = registry_->all_;
  all.erase(std::remove(all.begin(), all.end(), this), all.end());
  if (!memory_) {  // it never came to be
    interproc_discard(&owner_);
    return;
  }
  interproc_leave(&owner_, header(), path_.empty() ? nullptr : path_.c_str(),
                  static_cast<int>(GateTries::kSome));
}

Result<void> Participant::Unlink(const std::string& path, const MemoryFile* only,
                                 const char* syscall) {
  const int removed = interproc__remove_name(path.c_str(), only == nullptr ? -1 : only->fd(),
                                             static_cast<int>(GateTries::kSome));
  if (removed != 0) return ProtocolError(removed, syscall);
  return {};
}

uint32_t Participant::capacity() const {
  return static_cast<uint32_t>(memory_->length() - INTERPROC_HEADER_SIZE);
}

const unsigned char* Participant::ring() const {
  return reinterpret_cast<const unsigned char*>(memory_->data()) + INTERPROC_HEADER_SIZE;
}

Result<bool> Participant::Alive(uint32_t owner) const {
  const int alive = interproc_owner_alive(&owner_, owner_.fd, owner);
  if (alive < 0) return ProtocolError(alive, kLocking);
  return alive == 1;
}

Result<std::vector<uint32_t>> Participant::Owners() const { return ListOwners(owner_); }

Result<Ref<Role>> Role::Take(const Ref<Participant>& participant, interproc_side side) {
  const int taken = interproc_take_role(&participant->owner(), participant->header(), side);
  if (taken != 0) return ProtocolError(taken, kLocking);
  return Ref<Role>::Adopt(new Role(participant, side));
}

void Role::Leave(uint32_t how) {
  if (!participant_) return;
  interproc_leave_role(&participant_->owner(), participant_->header(), side_, how);
  participant_ = Ref<Participant>();
}

}  // namespace interproc::os
