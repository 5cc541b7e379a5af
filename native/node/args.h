// Args: reads the arguments of one call. lib/ has checked them for the user; here they are checked
// once more so that no call of any kind can crash the process.
// After the first argument of a wrong type ok() is false, a TypeError is pending and each further
// read gives a harmless default.
#ifndef INTERPROC_NODE_ARGS_H_
#define INTERPROC_NODE_ARGS_H_

#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "node/errors.h"
#include "os/access.h"

namespace interproc::node {

struct ByteSpan {
  uint8_t* data = nullptr;
  size_t length = 0;
};

class Args {
 public:
  explicit Args(const Napi::CallbackInfo& info) : info_(info) {}

  bool ok() const { return ok_; }
  Napi::Env env() const { return info_.Env(); }
  Napi::Value at(size_t index) const { return info_[index]; }

  std::string Text(size_t index);
  bool Flag(size_t index);
  // A whole number of [least, most]; most is at most 2^53.
  int64_t Integer(size_t index, int64_t least, int64_t most);
  int Int(size_t index);
  // As Integer, and faster: fractions are cut, and 0 may be left out at the end.
  uint32_t Small(size_t index, uint32_t most);
  uint64_t Size(size_t index);  // bytes
  // 0 may be left out at the end.
  uint64_t TimeoutNs(size_t index) { return index < info_.Length() ? Size(index) : 0; }
  uint32_t Looks(size_t index);  // of os::TryPatiently
  std::optional<uint32_t> OptionalId(size_t index);
  // The memory of a Uint8Array, valid until JS runs again.
  ByteSpan Bytes(size_t index) { return ToBytes(info_[index]); }
  ByteSpan ToBytes(Napi::Value value);
  // Three arguments from `index` on: mode, uid | undefined, gid | undefined.
  os::Access Access(size_t index);

  // What is in a list, at most so much. Getters there run JS: read it before anything that JS can
  // take away.
  std::vector<Napi::Value> Elements(size_t index, size_t most);

  void Reject(const char* expected);
  // As Reject, with an error of the system.
  void Fail(const os::Error& error);

 private:
  const Napi::CallbackInfo& info_;
  bool ok_ = true;
};

}  // namespace interproc::node

#endif  // INTERPROC_NODE_ARGS_H_
