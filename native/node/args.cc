#include "node/args.h"

#include <climits>

namespace interproc::node {
namespace {

constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

}  // namespace

void Args::Reject(const char* expected) {
  if (ok_) FailArgument(info_.Env(), expected);
  ok_ = false;
}

void Args::Fail(const os::Error& error) {
  if (ok_) node::Fail(info_.Env(), error);
  ok_ = false;
}

ByteSpan Args::ToBytes(Napi::Value value) {
  ByteSpan bytes;
  if (!ok_) return bytes;
  napi_typedarray_type type = napi_int8_array;
  void* data = nullptr;
  // It fails for what is no typed array: asking that first would be one more call of the runtime.
  if (napi_get_typedarray_info(info_.Env(), value, &type, &bytes.length, &data, nullptr, nullptr) !=
          napi_ok ||
      type != napi_uint8_array) {
    Reject("a Uint8Array");
    return {};
  }
  bytes.data = static_cast<uint8_t*>(data);
  return bytes;
}

std::string Args::Text(size_t index) {
  if (!ok_) return {};
  if (!info_[index].IsString()) {
    Reject("a string");
    return {};
  }
  return info_[index].As<Napi::String>().Utf8Value();
}

bool Args::Flag(size_t index) {
  if (!ok_) return false;
  if (!info_[index].IsBoolean()) {
    Reject("a boolean");
    return false;
  }
  return info_[index].As<Napi::Boolean>().Value();
}

int64_t Args::Integer(size_t index, int64_t least, int64_t most) {
  if (!ok_) return least;
  double value = 0;
  const bool is_number = napi_get_value_double(info_.Env(), info_[index], &value) == napi_ok;
  // The other way round, a cast of what is out of range would be undefined; NaN is never in range.
  const bool in_range =
      is_number && value >= static_cast<double>(least) && value <= static_cast<double>(most);
  const int64_t integer = in_range ? static_cast<int64_t>(value) : least;
  if (!in_range || static_cast<double>(integer) != value) {
    Reject("an integer in range");
    return least;
  }
  return integer;
}

int Args::Int(size_t index) { return static_cast<int>(Integer(index, INT_MIN, INT_MAX)); }

uint64_t Args::Size(size_t index) {
  return static_cast<uint64_t>(Integer(index, 0, kMaxSafeInteger));
}

uint32_t Args::Looks(size_t index) {
  constexpr uint32_t kLooksMax = 1000;
  return Small(index, kLooksMax);
}

uint32_t Args::Small(size_t index, uint32_t most) {
  if (!ok_ || index >= info_.Length()) return 0;
  uint32_t value = 0;
  if (napi_get_value_uint32(info_.Env(), info_[index], &value) != napi_ok || value > most) {
    Reject("an integer in range");
    return 0;
  }
  return value;
}

std::optional<uint32_t> Args::OptionalId(size_t index) {
  if (!ok_ || info_[index].IsUndefined()) return std::nullopt;
  return static_cast<uint32_t>(Integer(index, 0, UINT32_MAX));
}

os::Access Args::Access(size_t index) {
  os::Access access;
  access.mode = static_cast<mode_t>(Integer(index, 0, 07777));
  access.uid = OptionalId(index + 1);
  access.gid = OptionalId(index + 2);
  return access;
}

std::vector<Napi::Value> Args::Elements(size_t index, size_t most) {
  std::vector<Napi::Value> elements;
  if (ok_ && !info_[index].IsArray()) Reject("an array");
  if (!ok_) return elements;
  const auto list = info_[index].As<Napi::Array>();
  for (uint32_t at = 0; at < list.Length() && elements.size() < most; ++at) {
    elements.push_back(list.Get(at));
    if (elements.back().IsEmpty()) {
      ok_ = false;  // a getter threw, and that is on its way
      break;
    }
  }
  return elements;
}

}  // namespace interproc::node
