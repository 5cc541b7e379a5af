#include "node/sysv_mq.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "node/blocking_call.h"
#include "node/descriptor.h"
#include "node/sysv_ipc.h"
#include "os/patience.h"
#include "os/sysv_mq.h"

namespace interproc::node {
namespace {

constexpr int64_t kSafe = (int64_t{1} << 53) - 1;  // what a number tells exactly
constexpr size_t kUsualBytes = 8192;               // what stock kernels allow (kernel.msgmax)

Napi::Object FactsOf(Napi::Env env, const os::SysvMqStatus& status) {
  Facts facts(env, status);
  facts.Set("messages", static_cast<double>(status.messages));
  facts.Set("bytes", static_cast<double>(status.bytes));
  facts.Set("maxBytes", static_cast<double>(status.max_bytes));
  facts.Set("lastSendPid", status.last_send_pid);
  facts.Set("lastReceivePid", status.last_receive_pid);
  facts.SetTime("sentAtMs", status.sent_at_s);
  facts.SetTime("receivedAtMs", status.received_at_s);
  facts.SetTime("changedAtMs", status.changed_at_s);
  return facts.object();
}

// sysvMqGet(key, create, mode): the id
Napi::Value Get(const Napi::CallbackInfo& info) {
  Args args(info);
  const int key = args.Int(0);
  const bool create = args.Flag(1);
  const auto mode = static_cast<mode_t>(args.Integer(2, 0, 0777));
  if (!args.ok()) return info.Env().Undefined();
  return IdToJs(info.Env(), os::GetSysvMq(key, create, mode), key);
}

// sysvMqStat(id)
Napi::Value Stat(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  return FactsToJs(info.Env(), os::StatSysvMq(id), id, FactsOf);
}

// sysvMqSet(id, mode | undefined, uid | undefined, gid | undefined, maxBytes | undefined)
Napi::Value Set(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  const os::SysvChange change = ChangeFrom(args, 1);
  std::optional<uint64_t> max_bytes;
  if (args.ok() && !args.at(4).IsUndefined()) max_bytes = args.Size(4);
  if (!args.ok()) return info.Env().Undefined();
  return DoneToJs(info.Env(), os::ChangeSysvMq(id, change, max_bytes), id);
}

// sysvMqRemove(id)
Napi::Value Remove(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  return DoneToJs(info.Env(), os::RemoveSysvMq(id), id);
}

// sysvMqList()
Napi::Value List(const Napi::CallbackInfo& info) {
  return ListToJs(info.Env(), os::ListSysvMq(), FactsOf);
}

// A type, from a number or, where that can't tell it exactly, a bigint.
int64_t TypeFrom(Args& args, size_t index) {
  if (!args.ok() || !args.at(index).IsBigInt()) return args.Integer(index, -kSafe, kSafe);
  bool lossless = false;
  const int64_t type = args.at(index).As<Napi::BigInt>().Int64Value(&lossless);
  if (!lossless) args.Reject("an integer of 64 bits");
  return type;
}

// (type, flags)
os::SysvWanted WantedFrom(Args& args, size_t index) {
  enum Flag { kExcept = 1, kTruncate = 2, kCopy = 4 };
  os::SysvWanted wanted;
  wanted.type = TypeFrom(args, index);
  const int64_t flags = args.Integer(index + 1, 0, kExcept | kTruncate | kCopy);
  wanted.except = (flags & kExcept) != 0;
  wanted.truncate = (flags & kTruncate) != 0;
  wanted.copy = (flags & kCopy) != 0;
  return wanted;
}

Napi::Value MovedOrFail(Napi::Env env, const os::Result<os::Moved>& moved, int id) {
  return moved.ok() ? MovedToJs(env, moved) : Fail(env, moved.error(), IdName(id));
}

// sysvMqSend(id, type, data, looks, nanoseconds): -1 where there is no room, also at so many
// further looks, and within so long
Napi::Value Send(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  const int64_t type = TypeFrom(args, 1);
  const ByteSpan data = args.Bytes(2);
  const uint32_t looks = args.Looks(3);
  const uint64_t timeout_ns = args.TimeoutNs(4);
  if (!args.ok()) return info.Env().Undefined();
  // The kernel wants the type before the bytes.
  alignas(int64_t) char usual[os::kSysvTypeBytes + kUsualBytes];
  std::unique_ptr<char[]> longer;
  if (data.length > kUsualBytes) longer.reset(new char[os::kSysvTypeBytes + data.length]);
  char* const raw = longer ? longer.get() : usual;
  std::memcpy(raw, &type, sizeof(type));
  if (data.length > 0) std::memcpy(raw + os::kSysvTypeBytes, data.data, data.length);
  os::Result<os::Moved> sent = os::TryPatiently(
      looks, [&] { return os::SendSysv(id, raw, data.length, 0); }, os::WouldBlock);
  if (os::WouldBlock(sent) && timeout_ns > 0) {
    sent = os::SendSysv(id, raw, data.length, timeout_ns);
  }
  return MovedOrFail(info.Env(), sent, id);
}

// sysvMqReceive(id, type, flags, raw, size, into | undefined, looks, nanoseconds): how many bytes,
// or -1. `raw` gets the type, of 8 bytes, and behind that the message, at most `size` bytes; `into`
// the message, where it fits.
Napi::Value Receive(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  const os::SysvWanted wanted = WantedFrom(args, 1);
  const ByteSpan memory = args.Bytes(3);
  const uint64_t size = args.Size(4);
  const uint32_t looks = args.Looks(6);
  const uint64_t timeout_ns = args.TimeoutNs(7);
  ByteSpan into;
  if (args.ok() && !args.at(5).IsUndefined()) into = args.Bytes(5);
  if (args.ok() && memory.length < os::kSysvTypeBytes) {
    args.Reject("a Uint8Array of 8 bytes or more");
  }
  if (!args.ok()) return info.Env().Undefined();
  const size_t capacity = std::min<size_t>(size, memory.length - os::kSysvTypeBytes);
  char* const raw = reinterpret_cast<char*>(memory.data);
  os::Result<os::Moved> received = os::TryPatiently(
      looks, [&] { return os::ReceiveSysv(id, wanted, raw, capacity, 0); }, os::WouldBlock);
  if (os::WouldBlock(received) && timeout_ns > 0) {
    received = os::ReceiveSysv(id, wanted, raw, capacity, timeout_ns);
  }
  if (received.ok() && received.value().has_value() && into.data != nullptr) {
    const size_t length = *received.value();
    if (length > 0 && length <= into.length) {
      std::memcpy(into.data, raw + os::kSysvTypeBytes, length);
    }
  }
  return MovedOrFail(info.Env(), received, id);
}

// sysvMqSendStart(call, id, type, data): a call in the background that gives the length
Napi::Value SendStart(const Napi::CallbackInfo& info) {
  Args args(info);
  const uint64_t call_id = args.Size(0);
  const int id = args.Int(1);
  const int64_t type = TypeFrom(args, 2);
  const ByteSpan data = args.Bytes(3);
  if (!args.ok()) return info.Env().Undefined();
  // A closure is copied: what it holds is shared.
  const auto message =
      os::Ref<os::SysvMessage>::Adopt(new os::SysvMessage(type, data.data, data.length));
  return StartBlockingCall(
      info.Env(), call_id,
      [id, message, length = data.length](const os::BlockingCall& call) {
        return os::SendSysvWaiting(call, id, *message.get(), length);
      },
      [](Napi::Env env, const os::Outcome& outcome) -> Napi::Value {
        return Napi::Number::New(env, static_cast<double>(outcome.number));
      });
}

// sysvMqReceiveStart(call, id, type, flags, size): a call in the background that gives the type, of
// 8 bytes, and the message behind it, at most `size` bytes
Napi::Value ReceiveStart(const Napi::CallbackInfo& info) {
  Args args(info);
  const uint64_t call_id = args.Size(0);
  const int id = args.Int(1);
  const os::SysvWanted wanted = WantedFrom(args, 2);
  const uint64_t size = args.Size(4);
  if (!args.ok()) return info.Env().Undefined();
  const auto message =
      os::Ref<os::SysvMessage>::Adopt(new os::SysvMessage(std::min<size_t>(size, kUsualBytes)));
  return StartBlockingCall(
      info.Env(), call_id,
      [id, wanted, size, message](const os::BlockingCall& call) {
        return os::ReceiveSysvWaiting(call, id, wanted, size, message.get());
      },
      [message](Napi::Env env, const os::Outcome& outcome) -> Napi::Value {
        return Napi::Buffer<char>::Copy(env, message->raw(),
                                        os::kSysvTypeBytes + static_cast<size_t>(outcome.number));
      },
      [id, message](const os::Outcome& outcome) {
        (void)os::SendSysv(id, message->raw(), static_cast<size_t>(outcome.number), 0);
      });
}

}  // namespace

void InitSysvMq(Napi::Env env, Napi::Object exports) {
  exports.Set("sysvMqGet", Napi::Function::New<Get>(env));
  exports.Set("sysvMqStat", Napi::Function::New<Stat>(env));
  exports.Set("sysvMqSet", Napi::Function::New<Set>(env));
  exports.Set("sysvMqRemove", Napi::Function::New<Remove>(env));
  exports.Set("sysvMqList", Napi::Function::New<List>(env));
  exports.Set("sysvMqSend", Napi::Function::New<Send>(env));
  exports.Set("sysvMqReceive", Napi::Function::New<Receive>(env));
  exports.Set("sysvMqSendStart", Napi::Function::New<SendStart>(env));
  exports.Set("sysvMqReceiveStart", Napi::Function::New<ReceiveStart>(env));
}

}  // namespace interproc::node
