#include "os/owner.h"

#include <algorithm>

namespace interproc::os {
namespace {

constexpr int kOwnersMax = 1024;

}  // namespace

Error OwnerError(int result) {
  switch (-result) {
    case EBUSY:
    case EINVAL:
    case ENOLCK:
    case EOPNOTSUPP:
      return ProtocolError(result, kLocking);
    default:
      return ProtocolError(result, "open");
  }
}

Result<std::vector<uint32_t>> ListOwners(const interproc_owner& owner) {
  std::vector<uint32_t> owners(kOwnersMax);
  const int count = interproc_list_owners(&owner, owners.data(), kOwnersMax);
  if (count < 0) return ProtocolError(count, kLocking);
  owners.resize(static_cast<size_t>(count));
  return owners;
}

Result<Ref<Owner>> Owner::Of(const Ref<OwnerRegistry>& registry, const Ref<MemoryFile>& file) {
  if (file->read_only()) return Error{EBADF, kLocking};
  for (Owner* each : registry->all_) {
    if (!each->file_->SameAs(*file.get())) continue;
    each->AddRef();
    return Ref<Owner>::Adopt(each);
  }
  Ref<Owner> owner = Ref<Owner>::Adopt(new Owner(registry, file));
  const int result = interproc_own(&owner->owner_, file->fd());
  if (result != 0) return OwnerError(result);
  registry->all_.push_back(owner.get());
  return owner;
}

Owner::~Owner() {
  auto& all = registry_->all_;
  all.erase(std::remove(all.begin(), all.end(), this), all.end());
  interproc_disown(&owner_);
}

Result<bool> Owner::Alive(uint32_t id) const {
  const int alive = interproc_owner_alive(&owner_, owner_.fd, id);
  if (alive < 0) return ProtocolError(alive, kLocking);
  return alive == 1;
}

}  // namespace interproc::os
