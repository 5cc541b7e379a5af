#include "node/pipe.h"

#include <climits>
#include <utility>

#include "node/blocking_call.h"
#include "node/descriptor.h"
#include "os/pipe.h"

namespace interproc::node {
namespace {

os::DescriptorKind KindOf(bool writes) {
  return writes ? os::DescriptorKind::kPipeWriter : os::DescriptorKind::kPipeReader;
}

// pipeCreate(packet): [reader, writer]
Napi::Value Create(const Napi::CallbackInfo& info) {
  Args args(info);
  const bool packet = args.Flag(0);
  if (!args.ok()) return info.Env().Undefined();
  os::Result<os::Pipe> pipe = os::CreatePipe(packet);
  if (!pipe.ok()) return Fail(info.Env(), pipe.error());
  Napi::Array ends = Napi::Array::New(info.Env(), 2);
  ends.Set(0u, DescriptorHandle::New(info.Env(), pipe.value().reader));
  ends.Set(1u, DescriptorHandle::New(info.Env(), pipe.value().writer));
  return ends;
}

// pipeFromFd(fd, writes, packet)
Napi::Value FromFd(const Napi::CallbackInfo& info) {
  Args args(info);
  const int fd = args.Int(0);
  const bool writes = args.Flag(1);
  const bool packet = args.Flag(2);
  if (!args.ok()) return info.Env().Undefined();
  os::Result<os::Ref<os::Descriptor>> pipe = os::DuplicatePipe(fd, KindOf(writes), packet);
  if (!pipe.ok()) return Fail(info.Env(), pipe.error());
  return DescriptorHandle::New(info.Env(), pipe.value());
}

Napi::Value NumberToJs(Napi::Env env, const os::Result<int>& number) {
  return number.ok() ? Napi::Number::New(env, number.value()) : Fail(env, number.error());
}

// pipeCapacity(pipe): bytes
Napi::Value Capacity(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* pipe = OpenDescriptor(args, 0, "fcntl");
  if (pipe == nullptr) return info.Env().Undefined();
  return NumberToJs(info.Env(), os::PipeCapacity(*pipe));
}

// pipeSetCapacity(pipe, bytes): what it is now
Napi::Value SetCapacity(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* pipe = OpenDescriptor(args, 0, "fcntl");
  const int bytes = static_cast<int>(args.Integer(1, 0, INT_MAX));
  if (!args.ok()) return info.Env().Undefined();
  return NumberToJs(info.Env(), os::SetPipeCapacity(*pipe, bytes));
}

// pipeBytes(pipe): how many are in it
Napi::Value BytesIn(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* pipe = OpenDescriptor(args, 0, "ioctl");
  if (pipe == nullptr) return info.Env().Undefined();
  return NumberToJs(info.Env(), os::BytesInPipe(*pipe));
}

// pipeTee(from, to, length): bytes, 0 at the end, -1 where it would block
Napi::Value Tee(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Descriptor* from = OpenDescriptor(args, 0, "tee");
  os::Descriptor* to = OpenDescriptor(args, 1, "tee");
  const uint64_t length = args.Size(2);
  if (!args.ok()) return info.Env().Undefined();
  return MovedToJs(info.Env(), os::Tee(from->own(), to->own(), length));
}

// Of a splice: one of our pipes, and what its bytes go to or come from.
struct SpliceEnds {
  os::Descriptor* pipe = nullptr;
  int from = -1;
  int to = -1;
};

// (pipe, fd)
SpliceEnds EndsOf(Args& args) {
  SpliceEnds ends;
  ends.pipe = OpenDescriptor(args, 0, "splice");
  const int fd = args.Int(1);
  if (!args.ok()) return ends;
  const bool writes = ends.pipe->kind() == os::DescriptorKind::kPipeWriter;
  ends.from = writes ? fd : ends.pipe->own();
  ends.to = writes ? ends.pipe->own() : fd;
  return ends;
}

// pipeSplice(pipe, fd, length): bytes, 0 at the end, -1 where it would block. From fd to a writer,
// to fd from a reader.
Napi::Value Splice(const Napi::CallbackInfo& info) {
  Args args(info);
  const SpliceEnds ends = EndsOf(args);
  const uint64_t length = args.Size(2);
  if (!args.ok()) return info.Env().Undefined();
  return MovedToJs(info.Env(), os::Splice(ends.from, ends.to, length));
}

struct HeldFd : os::RefCounted<HeldFd> {
  explicit HeldFd(os::UniqueFd held) : fd(std::move(held)) {}
  const os::UniqueFd fd;
};

Napi::Value NumberOf(Napi::Env env, os::Outcome outcome) {
  return Napi::Number::New(env, static_cast<double>(outcome.number));
}

// pipeSpliceStart(id, pipe, fd, length): a call in the background that gives the bytes
Napi::Value SpliceStart(const Napi::CallbackInfo& info) {
  Args args(info);
  const uint64_t id = args.Size(0);
  os::Ref<os::Descriptor>* pipe = DescriptorHandle::Of(args, 1);
  const int fd = args.Int(2);
  const uint64_t length = args.Size(3);
  if (!args.ok()) return info.Env().Undefined();
  if (!*pipe) return Fail(info.Env(), {EBADF, "splice"});
  os::Result<os::UniqueFd> other = os::DuplicateFd(fd);
  if (!other.ok()) return Fail(info.Env(), other.error());
  // A closure is copied: what it holds is shared.
  const auto held = os::Ref<HeldFd>::Adopt(new HeldFd(std::move(other.value())));
  return StartBlockingCall(
      info.Env(), id,
      [pipe = *pipe, held, length, own = (*pipe)->own()](const os::BlockingCall& call) {
        const bool writes = pipe->kind() == os::DescriptorKind::kPipeWriter;
        const int fd = held->fd.get();
        return os::SpliceAll(call, writes ? fd : own, writes ? own : fd, length);
      },
      NumberOf);
}

// pipeTeeStart(id, from, to, length): a call in the background that gives the bytes
Napi::Value TeeStart(const Napi::CallbackInfo& info) {
  Args args(info);
  const uint64_t id = args.Size(0);
  os::Ref<os::Descriptor>* from = DescriptorHandle::Of(args, 1);
  os::Ref<os::Descriptor>* to = DescriptorHandle::Of(args, 2);
  const uint64_t length = args.Size(3);
  if (!args.ok()) return info.Env().Undefined();
  if (!*from || !*to) return Fail(info.Env(), {EBADF, "tee"});
  // The call belongs to `from`, which ends it before it goes. `to` goes when it likes.
  os::Result<os::UniqueFd> target = os::DuplicateFd((*to)->own());
  if (!target.ok()) return Fail(info.Env(), target.error());
  const auto held = os::Ref<HeldFd>::Adopt(new HeldFd(std::move(target.value())));
  return StartBlockingCall(
      info.Env(), id,
      [from = *from, held, from_fd = (*from)->own(), length](const os::BlockingCall& call) {
        return os::TeeOnce(call, from_fd, held->fd.get(), length);
      },
      NumberOf);
}

}  // namespace

void InitPipe(Napi::Env env, Napi::Object exports) {
  exports.Set("pipeCreate", Napi::Function::New<Create>(env));
  exports.Set("pipeFromFd", Napi::Function::New<FromFd>(env));
  exports.Set("pipeCapacity", Napi::Function::New<Capacity>(env));
  exports.Set("pipeSetCapacity", Napi::Function::New<SetCapacity>(env));
  exports.Set("pipeBytes", Napi::Function::New<BytesIn>(env));
  exports.Set("pipeTee", Napi::Function::New<Tee>(env));
  exports.Set("pipeTeeStart", Napi::Function::New<TeeStart>(env));
  exports.Set("pipeSplice", Napi::Function::New<Splice>(env));
  exports.Set("pipeSpliceStart", Napi::Function::New<SpliceStart>(env));
}

}  // namespace interproc::node
