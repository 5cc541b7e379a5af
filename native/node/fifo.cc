#include "node/fifo.h"

#include "node/blocking_call.h"
#include "node/descriptor.h"
#include "os/fifo.h"

namespace interproc::node {
namespace {

// fifoCreate(path, mode, uid, gid)
Napi::Value Create(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string path = args.Text(0);
  const os::Access access = args.Access(1);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<void> created = os::CreateFifo(path, access);
  return created.ok() ? info.Env().Undefined() : Fail(info.Env(), created.error(), path);
}

// fifoUnlink(path)
Napi::Value Unlink(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string path = args.Text(0);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<void> gone = os::UnlinkFifo(path);
  return gone.ok() ? info.Env().Undefined() : Fail(info.Env(), gone.error(), path);
}

struct Opening {
  os::DescriptorKind kind;
  os::FifoAccess access;
};

// (…, writes, both)
Opening OpeningOf(Args& args, size_t index) {
  const bool writes = args.Flag(index);
  const bool both = args.Flag(index + 1);
  return {writes ? os::DescriptorKind::kPipeWriter : os::DescriptorKind::kPipeReader,
          both     ? os::FifoAccess::kBoth
          : writes ? os::FifoAccess::kWriting
                   : os::FifoAccess::kReading};
}

// fifoTryOpen(path, writes, both): null where nobody has the other end open
Napi::Value TryOpen(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string path = args.Text(0);
  const Opening opening = OpeningOf(args, 1);
  if (!args.ok()) return info.Env().Undefined();
  os::Result<os::UniqueFd> fd = os::TryOpenFifo(path, opening.access);
  if (!fd.ok()) return Fail(info.Env(), fd.error(), path);
  if (!fd.value().valid()) return info.Env().Null();
  return DescriptorToJs(info.Env(), std::move(fd.value()), opening.kind);
}

// fifoOpenStart(id, path, writes, both): a call in the background that gives the descriptor
Napi::Value OpenStart(const Napi::CallbackInfo& info) {
  Args args(info);
  const uint64_t id = args.Size(0);
  const std::string path = args.Text(1);
  const Opening opening = OpeningOf(args, 2);
  if (!args.ok()) return info.Env().Undefined();
  return StartBlockingCall(
      info.Env(), id,
      [path, access = opening.access](const os::BlockingCall& call) {
        return os::OpenFifo(call, path, access);
      },
      [kind = opening.kind](Napi::Env env, os::Outcome outcome) {
        return DescriptorToJs(env, std::move(outcome.fd), kind);
      });
}

}  // namespace

void InitFifo(Napi::Env env, Napi::Object exports) {
  exports.Set("fifoCreate", Napi::Function::New<Create>(env));
  exports.Set("fifoUnlink", Napi::Function::New<Unlink>(env));
  exports.Set("fifoTryOpen", Napi::Function::New<TryOpen>(env));
  exports.Set("fifoOpenStart", Napi::Function::New<OpenStart>(env));
}

}  // namespace interproc::node
