#include "node/descriptor.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "node/env_data.h"
#include "os/patience.h"

namespace interproc::node {
namespace {

constexpr size_t kPartsMax = 1024;  // IOV_MAX

template <typename Move>
Napi::Value MovePatiently(Napi::Env env, uint32_t looks, Move move) {
  return MovedToJs(env, os::TryPatiently(looks, move, os::WouldBlock));
}

// descriptorFd(descriptor): -1 once it is closed
Napi::Value Fd(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::Descriptor>* descriptor = DescriptorHandle::Of(args, 0);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), *descriptor ? (*descriptor)->fd() : -1);
}

// descriptorDuplicate(fd): holds another descriptor of what somebody else's has open
Napi::Value Duplicate(const Napi::CallbackInfo& info) {
  Args args(info);
  const int fd = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  os::Result<os::UniqueFd> duplicate = os::DuplicateFd(fd);
  if (!duplicate.ok()) return Fail(info.Env(), duplicate.error());
  return DescriptorToJs(info.Env(), std::move(duplicate.value()), os::DescriptorKind::kOther);
}

// descriptorClose(descriptor)
Napi::Value Close(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::Descriptor>* descriptor = DescriptorHandle::Of(args, 0);
  if (args.ok()) *descriptor = {};
  return info.Env().Undefined();
}

// descriptorDetach(descriptor): its number, which is the caller's now
Napi::Value Detach(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Descriptor* descriptor = OpenDescriptor(args, 0, "dup");
  if (descriptor == nullptr) return info.Env().Undefined();
  const int fd = descriptor->Detach();
  *DescriptorHandle::Of(args, 0) = {};
  return Napi::Number::New(info.Env(), fd);
}

// descriptorRead(descriptor, into, length, looks): bytes, 0 at the end, -1 where it would block,
// also at so many further looks
Napi::Value Read(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Descriptor* descriptor = OpenDescriptor(args, 0, "read");
  const ByteSpan into = args.Bytes(1);
  const size_t length = std::min<size_t>(args.Size(2), into.length);
  const uint32_t looks = args.Looks(3);
  if (!args.ok()) return info.Env().Undefined();
  return MovePatiently(info.Env(), looks, [&] { return descriptor->Read(into.data, length); });
}

// descriptorWrite(descriptor, data, offset, looks): bytes, -1 where it would block
Napi::Value Write(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Descriptor* descriptor = OpenDescriptor(args, 0, "write");
  const ByteSpan data = args.Bytes(1);
  const size_t offset = std::min<size_t>(args.Size(2), data.length);
  const uint32_t looks = args.Looks(3);
  if (!args.ok()) return info.Env().Undefined();
  const struct iovec part = {data.data + offset, data.length - offset};
  return MovePatiently(info.Env(), looks, [&] { return descriptor->Write(&part, 1); });
}

// descriptorWritev(descriptor, list, offset, looks): as descriptorWrite, of all data in a row; of
// the first 1,024 pieces
Napi::Value Writev(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::vector<Napi::Value> list = args.Elements(1, kPartsMax);
  os::Descriptor* descriptor = OpenDescriptor(args, 0, "write");
  size_t offset = args.Size(2);
  const uint32_t looks = args.Looks(3);
  if (!args.ok()) return info.Env().Undefined();
  std::vector<struct iovec> parts;
  for (const Napi::Value& piece : list) {
    const ByteSpan each = args.ToBytes(piece);
    if (!args.ok()) return info.Env().Undefined();
    const size_t skipped = std::min(offset, each.length);
    offset -= skipped;
    if (each.length > skipped) parts.push_back({each.data + skipped, each.length - skipped});
  }
  return MovePatiently(info.Env(), looks,
                       [&] { return descriptor->Write(parts.data(), parts.size()); });
}

// descriptorWait(descriptor, events, nanoseconds): whether one of the events is there
Napi::Value Wait(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Descriptor* descriptor = OpenDescriptor(args, 0, "ppoll");
  const auto events = static_cast<uint32_t>(args.Integer(1, 0, 3));
  const uint64_t timeout_ns = args.Size(2);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<bool> ready = os::WaitUntilReady(descriptor->own(), events, timeout_ns);
  if (!ready.ok()) return Fail(info.Env(), ready.error());
  return Napi::Boolean::New(info.Env(), ready.value());
}

// descriptorWatch(descriptor, id, events, again): the poller tells of these from now on, of none
// for 0; `again`: also where it does so already, of what is there now
Napi::Value Watch(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Descriptor* descriptor = OpenDescriptor(args, 0, "epoll_ctl");
  const auto id = static_cast<uint32_t>(args.Integer(1, 0, UINT32_MAX));
  const auto events = static_cast<uint32_t>(args.Integer(2, 0, 3));
  const bool again = args.Flag(3);
  if (!args.ok()) return info.Env().Undefined();
  const os::Ref<os::PollSet>& set = info.Env().GetInstanceData<EnvData>()->poll_set;
  if (!set) return Fail(info.Env(), {EINVAL, "pollInit"});
  const os::Result<void> watched = descriptor->Watch(set, id, events, again);
  return watched.ok() ? info.Env().Undefined() : Fail(info.Env(), watched.error());
}

}  // namespace

os::Descriptor* OpenDescriptor(Args& args, size_t index, const char* syscall) {
  os::Ref<os::Descriptor>* descriptor = DescriptorHandle::Of(args, index);
  if (descriptor == nullptr) return nullptr;
  if (!*descriptor) args.Fail({EBADF, syscall});
  return descriptor->get();
}

Napi::Value DescriptorToJs(Napi::Env env, os::UniqueFd fd, os::DescriptorKind kind,
                           std::string name) {
  return DescriptorHandle::New(env, os::Ref<os::Descriptor>::Adopt(
                                        new os::Descriptor(std::move(fd), kind, std::move(name))));
}

Napi::Value MovedToJs(Napi::Env env, const os::Result<os::Moved>& moved) {
  if (!moved.ok()) return Fail(env, moved.error());
  const os::Moved& bytes = moved.value();
  napi_value number = nullptr;
  // Small ones, as most are, are made faster from an integer.
  if (!bytes.has_value()) {
    (void)napi_create_int32(env, -1, &number);
  } else if (*bytes <= INT32_MAX) {
    (void)napi_create_int32(env, static_cast<int32_t>(*bytes), &number);
  } else {
    (void)napi_create_double(env, static_cast<double>(*bytes), &number);
  }
  return Napi::Value(env, number);
}

void InitDescriptor(Napi::Env env, Napi::Object exports) {
  exports.Set("descriptorFd", Napi::Function::New<Fd>(env));
  exports.Set("descriptorDuplicate", Napi::Function::New<Duplicate>(env));
  exports.Set("descriptorClose", Napi::Function::New<Close>(env));
  exports.Set("descriptorDetach", Napi::Function::New<Detach>(env));
  exports.Set("descriptorRead", Napi::Function::New<Read>(env));
  exports.Set("descriptorWrite", Napi::Function::New<Write>(env));
  exports.Set("descriptorWritev", Napi::Function::New<Writev>(env));
  exports.Set("descriptorWait", Napi::Function::New<Wait>(env));
  exports.Set("descriptorWatch", Napi::Function::New<Watch>(env));
}

}  // namespace interproc::node
