#include "node/posix_mq.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "node/descriptor.h"
#include "node/memory_file.h"
#include "os/mq_notice.h"
#include "os/patience.h"
#include "os/posix_mq.h"

namespace interproc::node {
namespace {

// What mqReceive gives is length + priority * this: lib/internal/native.ts names it, too. A message
// has at most 2^24 bytes and a priority below 2^15.
constexpr double kPriorityUnit = 1 << 25;

os::MqUse UseFrom(Args& args, size_t index) {
  return static_cast<os::MqUse>(args.Integer(index, 0, 2));
}

Napi::Value QueueToJs(Napi::Env env, os::Result<os::UniqueFd> fd, const std::string& name) {
  if (!fd.ok()) return Fail(env, fd.error(), name);
  return DescriptorToJs(env, std::move(fd.value()), os::DescriptorKind::kOther, name);
}

// mqCreate(name, use, maxMessages, messageSize, mode, uid, gid)
Napi::Value Create(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string name = args.Text(0);
  const os::MqUse use = UseFrom(args, 1);
  os::MqSizes sizes;
  sizes.messages = static_cast<int64_t>(args.Size(2));
  sizes.message_size = static_cast<int64_t>(args.Size(3));
  const os::Access access = args.Access(4);
  if (!args.ok()) return info.Env().Undefined();
  return QueueToJs(info.Env(), os::CreatePosixMq(name, use, sizes, access), name);
}

// mqOpen(name, use)
Napi::Value Open(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string name = args.Text(0);
  const os::MqUse use = UseFrom(args, 1);
  if (!args.ok()) return info.Env().Undefined();
  return QueueToJs(info.Env(), os::OpenPosixMq(name, use), name);
}

// mqFromFd(fd)
Napi::Value FromFd(const Napi::CallbackInfo& info) {
  Args args(info);
  const int fd = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  return QueueToJs(info.Env(), os::DuplicatePosixMq(fd), "");
}

// mqUnlink(name)
Napi::Value Unlink(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string name = args.Text(0);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<void> gone = os::UnlinkPosixMq(name);
  return gone.ok() ? info.Env().Undefined() : Fail(info.Env(), gone.error(), name);
}

// mqLinkedAt(queue, name)
Napi::Value LinkedAt(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* queue = OpenDescriptor(args, 0, "mq_open");
  const std::string name = args.Text(1);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Boolean::New(info.Env(), os::PosixMqLinkedAt(queue->fd(), name));
}

// mqStat(queue)
Napi::Value Stat(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* queue = OpenDescriptor(args, 0, "fstat");
  if (queue == nullptr) return info.Env().Undefined();
  const os::Result<os::FileStatus> status = os::StatusOf(queue->fd());
  if (!status.ok()) return Fail(info.Env(), status.error(), queue->name());
  return StatusToJs(info.Env(), status.value());
}

// mqAttributes(queue): [maxMessages, messageSize, messages, nonBlocking]
Napi::Value Attributes(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* queue = OpenDescriptor(args, 0, "mq_getattr");
  if (queue == nullptr) return info.Env().Undefined();
  const os::Result<os::MqAttributes> attributes = os::AttributesOfMq(queue->fd());
  if (!attributes.ok()) return Fail(info.Env(), attributes.error(), queue->name());
  const os::MqAttributes& value = attributes.value();
  Napi::Array list = Napi::Array::New(info.Env(), 4);
  list.Set(0u, static_cast<double>(value.limits.messages));
  list.Set(1u, static_cast<double>(value.limits.message_size));
  list.Set(2u, static_cast<double>(value.messages));
  list.Set(3u, value.non_blocking);
  return list;
}

// mqSetNonBlocking(queue, nonBlocking)
Napi::Value SetNonBlocking(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* queue = OpenDescriptor(args, 0, "mq_setattr");
  const bool non_blocking = args.Flag(1);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<void> set = os::SetMqNonBlocking(queue->fd(), non_blocking);
  return set.ok() ? info.Env().Undefined() : Fail(info.Env(), set.error(), queue->name());
}

// mqSend(queue, data, priority, looks): -1 where it is full, also at so many further looks
Napi::Value Send(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* queue = OpenDescriptor(args, 0, "mq_send");
  const ByteSpan data = args.Bytes(1);
  const uint32_t priority = args.Small(2, UINT32_MAX);
  const uint32_t looks = args.Looks(3);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<os::Moved> sent = os::TryPatiently(
      looks, [&] { return os::SendToMq(queue->fd(), data.data, data.length, priority); },
      os::WouldBlock);
  return sent.ok() ? MovedToJs(info.Env(), sent) : Fail(info.Env(), sent.error(), queue->name());
}

// mqReceive(queue, into, looks): length + priority * kPriorityUnit; -1 where it is empty
Napi::Value Receive(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* queue = OpenDescriptor(args, 0, "mq_receive");
  const ByteSpan into = args.Bytes(1);
  const uint32_t looks = args.Looks(2);
  if (!args.ok()) return info.Env().Undefined();
  uint32_t priority = 0;
  const os::Result<os::Moved> length = os::TryPatiently(
      looks, [&] { return os::ReceiveFromMq(queue->fd(), into.data, into.length, &priority); },
      os::WouldBlock);
  if (!length.ok()) return Fail(info.Env(), length.error(), queue->name());
  if (priority == 0 || !length.value().has_value()) return MovedToJs(info.Env(), length);
  return Napi::Number::New(info.Env(),
                           static_cast<double>(*length.value()) + priority * kPriorityUnit);
}

// mqNoticeOpen(): where notices of a queue come in
Napi::Value NoticeOpen(const Napi::CallbackInfo& info) {
  return QueueToJs(info.Env(), os::OpenNoticeSocket(), "");
}

// mqNoticeAsk(queue, socket)
Napi::Value NoticeAsk(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* queue = OpenDescriptor(args, 0, "mq_notify");
  const os::Descriptor* socket = OpenDescriptor(args, 1, "mq_notify");
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<void> asked = os::AskForNotice(queue->fd(), socket->fd());
  return asked.ok() ? info.Env().Undefined() : Fail(info.Env(), asked.error(), queue->name());
}

// mqNoticeTake(socket): 0 none, 1 a message has arrived, 2 the registration was removed
Napi::Value NoticeTake(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* socket = OpenDescriptor(args, 0, "mq_notify");
  if (socket == nullptr) return info.Env().Undefined();
  const os::Result<os::Notice> taken = os::TakeNotice(socket->fd());
  if (!taken.ok()) return Fail(info.Env(), taken.error());
  return Napi::Number::New(info.Env(), static_cast<int>(taken.value()));
}

// mqNoticeWithdraw(queue, socket)
Napi::Value NoticeWithdraw(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* queue = OpenDescriptor(args, 0, "mq_notify");
  const os::Descriptor* socket = OpenDescriptor(args, 1, "mq_notify");
  if (!args.ok()) return info.Env().Undefined();
  os::WithdrawNotice(queue->fd(), socket->fd());
  return info.Env().Undefined();
}

}  // namespace

void InitPosixMq(Napi::Env env, Napi::Object exports) {
  exports.Set("mqCreate", Napi::Function::New<Create>(env));
  exports.Set("mqOpen", Napi::Function::New<Open>(env));
  exports.Set("mqFromFd", Napi::Function::New<FromFd>(env));
  exports.Set("mqUnlink", Napi::Function::New<Unlink>(env));
  exports.Set("mqLinkedAt", Napi::Function::New<LinkedAt>(env));
  exports.Set("mqStat", Napi::Function::New<Stat>(env));
  exports.Set("mqAttributes", Napi::Function::New<Attributes>(env));
  exports.Set("mqSetNonBlocking", Napi::Function::New<SetNonBlocking>(env));
  exports.Set("mqSend", Napi::Function::New<Send>(env));
  exports.Set("mqReceive", Napi::Function::New<Receive>(env));
  exports.Set("mqNoticeOpen", Napi::Function::New<NoticeOpen>(env));
  exports.Set("mqNoticeAsk", Napi::Function::New<NoticeAsk>(env));
  exports.Set("mqNoticeTake", Napi::Function::New<NoticeTake>(env));
  exports.Set("mqNoticeWithdraw", Napi::Function::New<NoticeWithdraw>(env));
}

}  // namespace interproc::node
