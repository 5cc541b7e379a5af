#include "node/unix_socket.h"

#include <algorithm>
#include <climits>
#include <utility>
#include <vector>

#include "node/blocking_call.h"
#include "node/descriptor.h"
#include "node/env_data.h"
#include "os/patience.h"
#include "os/socket_file.h"
#include "os/unix_socket.h"

namespace interproc::node {
namespace {

// What socketReceive tells beside the length, as int32 in the array that socketInit was given:
// lib/internal/native.ts names them, too.
enum Fact { kFlags, kPid, kUid, kGid, kAddressLength, kNeeded, kFacts };
enum Flag { kEnded = 1, kFdsLost = 2, kTruncated = 4, kHasCredentials = 8 };

constexpr double kNothingNow = -1;
constexpr double kNeedsRoom = -2;

Napi::Value SocketToJs(Napi::Env env, os::Result<os::UniqueFd> fd) {
  if (!fd.ok()) return Fail(env, fd.error());
  return DescriptorToJs(env, std::move(fd.value()), os::DescriptorKind::kSocket);
}

std::string AddressOf(Args& args, size_t index) {
  const ByteSpan bytes = args.Bytes(index);
  if (args.ok() && bytes.length > os::kSocketAddressMax) args.Reject("a shorter address");
  if (!args.ok()) return {};
  return std::string(reinterpret_cast<const char*>(bytes.data), bytes.length);
}

// How errors name it: '@name' for an abstract one, as ss(8) and socat(1) do.
std::string Printable(const std::string& address) {
  std::string text = address;
  std::replace(text.begin(), text.end(), '\0', '@');
  return text;
}

// socketInit(facts, address): once an env: an Int32Array and a Uint8Array that socketReceive fills
Napi::Value Init(const Napi::CallbackInfo& info) {
  Args args(info);
  const bool is_list = info[0].IsTypedArray() &&
                       info[0].As<Napi::TypedArray>().TypedArrayType() == napi_int32_array &&
                       info[0].As<Napi::TypedArray>().ElementLength() >= kFacts;
  const ByteSpan address = args.Bytes(1);
  if (!args.ok()) return info.Env().Undefined();
  if (!is_list || address.length < os::kSocketAddressMax) {
    return FailArgument(info.Env(), "an Int32Array, and a Uint8Array of 108 bytes");
  }
  auto* data = info.Env().GetInstanceData<EnvData>();
  Napi::Array arrays = Napi::Array::New(info.Env(), 2);
  arrays.Set(0u, info[0]);
  arrays.Set(1u, info[1]);
  data->received_arrays = Napi::Persistent(arrays.As<Napi::Object>());
  data->received_facts = info[0].As<Napi::Int32Array>().Data();
  data->received_address = address.data;
  return info.Env().Undefined();
}

// socketCreate(type)
Napi::Value Create(const Napi::CallbackInfo& info) {
  Args args(info);
  const int type = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  return SocketToJs(info.Env(), os::CreateSocket(type));
}

// socketPair(type): both ends
Napi::Value Pair(const Napi::CallbackInfo& info) {
  Args args(info);
  const int type = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  os::Result<os::SocketPair> pair = os::CreateSocketPair(type);
  if (!pair.ok()) return Fail(info.Env(), pair.error());
  Napi::Array ends = Napi::Array::New(info.Env(), 2);
  ends.Set(0u, SocketToJs(info.Env(), std::move(pair.value().first)));
  ends.Set(1u, SocketToJs(info.Env(), std::move(pair.value().second)));
  return ends;
}

// socketFromFd(fd, type)
Napi::Value FromFd(const Napi::CallbackInfo& info) {
  Args args(info);
  const int fd = args.Int(0);
  const int type = args.Int(1);
  if (!args.ok()) return info.Env().Undefined();
  return SocketToJs(info.Env(), os::DuplicateSocket(fd, type));
}

// socketBind(socket, address): an abstract name, or, where the address is empty, one of the
// kernel's choice
Napi::Value Bind(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* socket = OpenDescriptor(args, 0, "bind");
  const std::string address = AddressOf(args, 1);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<void> bound = os::BindSocket(socket->fd(), address);
  return bound.ok() ? info.Env().Undefined() : Fail(info.Env(), bound.error(), Printable(address));
}

// socketBindFile(socket, path, replaceStale, mode, uid, gid): [device, inode] of the file
Napi::Value BindFile(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* socket = OpenDescriptor(args, 0, "bind");
  const std::string path = AddressOf(args, 1);
  const bool replace_stale = args.Flag(2);
  const os::Access access = args.Access(3);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<os::FileStatus> file =
      os::BindSocketFile(socket->fd(), path, access, replace_stale);
  if (!file.ok()) return Fail(info.Env(), file.error(), path);
  Napi::Array identity = Napi::Array::New(info.Env(), 2);
  identity.Set(0u, Napi::BigInt::New(info.Env(), file.value().device));
  identity.Set(1u, Napi::BigInt::New(info.Env(), file.value().inode));
  return identity;
}

// socketUnlink(path, identity): what socketBindFile gave: only if it is still that file; undefined:
// whatever socket it is. The path may be longer than an address.
Napi::Value Unlink(const Napi::CallbackInfo& info) {
  Args args(info);
  const ByteSpan bytes = args.Bytes(0);
  if (!args.ok()) return info.Env().Undefined();
  const std::string path(reinterpret_cast<const char*>(bytes.data), bytes.length);
  if (!info[1].IsArray()) {
    const os::Result<void> gone = os::UnlinkSocketFile(path);
    return gone.ok() ? info.Env().Undefined() : Fail(info.Env(), gone.error(), path);
  }
  const std::vector<Napi::Value> identity = args.Elements(1, 2);
  if (args.ok() && (identity.size() < 2 || !identity[0].IsBigInt() || !identity[1].IsBigInt())) {
    args.Reject("an identity");
  }
  if (!args.ok()) return info.Env().Undefined();
  os::FileStatus file;
  bool lossless = true;
  file.device = identity[0].As<Napi::BigInt>().Uint64Value(&lossless);
  file.inode = identity[1].As<Napi::BigInt>().Uint64Value(&lossless);
  const os::Result<bool> gone = os::UnlinkSocketFile(path, file);
  return gone.ok() ? info.Env().Undefined() : Fail(info.Env(), gone.error(), path);
}

// socketListen(socket, backlog)
Napi::Value Listen(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* socket = OpenDescriptor(args, 0, "listen");
  const int backlog = static_cast<int>(args.Integer(1, 0, INT_MAX));
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<void> listening = os::ListenOn(socket->fd(), backlog);
  return listening.ok() ? info.Env().Undefined() : Fail(info.Env(), listening.error());
}

// socketTryConnect(socket, address): false where the server's backlog is full
Napi::Value TryConnect(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* socket = OpenDescriptor(args, 0, "connect");
  const std::string address = AddressOf(args, 1);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<bool> connected = os::TryConnect(socket->fd(), address);
  if (!connected.ok()) return Fail(info.Env(), connected.error(), Printable(address));
  return Napi::Boolean::New(info.Env(), connected.value());
}

// socketConnectStart(id, socket, address): a call in the background
Napi::Value ConnectStart(const Napi::CallbackInfo& info) {
  Args args(info);
  const uint64_t id = args.Size(0);
  os::Ref<os::Descriptor>* socket = DescriptorHandle::Of(args, 1);
  const std::string address = AddressOf(args, 2);
  if (!args.ok()) return info.Env().Undefined();
  if (!*socket) return Fail(info.Env(), {EBADF, "connect"});
  return StartBlockingCall(
      info.Env(), id,
      [socket = *socket, address](const os::BlockingCall& call) {
        return os::ConnectBlocking(call, socket->fd(), address);
      },
      [](Napi::Env env, os::Outcome) { return Napi::Boolean::New(env, true); });
}

// socketTryAccept(socket): null where nobody is waiting
Napi::Value TryAccept(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* socket = OpenDescriptor(args, 0, "accept");
  if (socket == nullptr) return info.Env().Undefined();
  os::Result<os::UniqueFd> accepted = os::TryAccept(socket->fd());
  if (accepted.ok() && !accepted.value().valid()) return info.Env().Null();
  return SocketToJs(info.Env(), std::move(accepted));
}

// socketEnd(socket): no more is written
Napi::Value End(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* socket = OpenDescriptor(args, 0, "shutdown");
  if (socket == nullptr) return info.Env().Undefined();
  const os::Result<void> ended = os::EndWriting(socket->fd());
  return ended.ok() ? info.Env().Undefined() : Fail(info.Env(), ended.error());
}

// socketName(socket, ofPeer): a Buffer, empty for one without a name
Napi::Value Name(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* socket = OpenDescriptor(args, 0, "getsockname");
  const bool peer = args.Flag(1);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<std::string> name = os::NameOf(socket->fd(), peer);
  if (!name.ok()) return Fail(info.Env(), name.error());
  return Napi::Buffer<char>::Copy(info.Env(), name.value().data(), name.value().size());
}

// socketPeerCredentials(socket): [pid, uid, gid]; undefined where there is nobody
Napi::Value PeerCredentials(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* socket = OpenDescriptor(args, 0, "getsockopt");
  if (socket == nullptr) return info.Env().Undefined();
  const os::Result<std::optional<os::Credentials>> peer = os::PeerCredentials(socket->fd());
  if (!peer.ok()) return Fail(info.Env(), peer.error());
  if (!peer.value().has_value()) return info.Env().Undefined();
  Napi::Array credentials = Napi::Array::New(info.Env(), 3);
  credentials.Set(0u, Napi::Number::New(info.Env(), peer.value()->pid));
  credentials.Set(1u, Napi::Number::New(info.Env(), peer.value()->uid));
  credentials.Set(2u, Napi::Number::New(info.Env(), peer.value()->gid));
  return credentials;
}

// socketOption(socket, option)
Napi::Value Option(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* socket = OpenDescriptor(args, 0, "getsockopt");
  const int option = args.Int(1);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<int> value = os::SocketOption(socket->fd(), option);
  return value.ok() ? Napi::Number::New(info.Env(), value.value())
                    : Fail(info.Env(), value.error());
}

// socketSetOption(socket, option, value)
Napi::Value SetOption(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* socket = OpenDescriptor(args, 0, "setsockopt");
  const int option = args.Int(1);
  const int value = args.Int(2);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<void> set = os::SetSocketOption(socket->fd(), option, value);
  return set.ok() ? info.Env().Undefined() : Fail(info.Env(), set.error());
}

// socketIsFull(socket): whether its own buffer is what a message would wait for
Napi::Value IsFull(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* socket = OpenDescriptor(args, 0, "ioctl");
  if (socket == nullptr) return info.Env().Undefined();
  const os::Result<bool> full = os::SendBufferIsFull(socket->fd());
  return full.ok() ? Napi::Boolean::New(info.Env(), full.value()) : Fail(info.Env(), full.error());
}

// The descriptors at `index`, if any. REQUIRES that nothing of the call has been taken yet that
// JS can take away: a getter in the list runs some.
std::vector<int> FdsOf(Args& args, size_t index) {
  std::vector<int> fds;
  if (!args.ok() || args.at(index).IsUndefined()) return fds;
  const std::vector<Napi::Value> list = args.Elements(index, os::kDescriptorsMax + 1);
  if (list.size() > os::kDescriptorsMax) args.Reject("fewer descriptors");
  for (const Napi::Value& each : list) {
    if (args.ok() && !each.IsNumber()) args.Reject("an array of descriptors");
    if (!args.ok()) break;
    fds.push_back(each.As<Napi::Number>().Int32Value());
  }
  return fds;
}

// socketSend(socket, data, offset, looks, fds | undefined, address | undefined): bytes, -1 where it
// would block, also at so many further looks
Napi::Value Send(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::vector<int> fds = FdsOf(args, 4);
  const os::Descriptor* socket = OpenDescriptor(args, 0, "send");
  const bool has_address = !info[5].IsUndefined();
  const std::string address = has_address ? AddressOf(args, 5) : std::string();
  const ByteSpan data = args.Bytes(1);
  const size_t offset = std::min<size_t>(args.Size(2), data.length);
  const uint32_t looks = args.Looks(3);
  if (!args.ok()) return info.Env().Undefined();
  const struct iovec part = {data.data + offset, data.length - offset};
  os::SentMessage message = {};
  message.parts = &part;
  message.count = 1;
  message.address = has_address ? &address : nullptr;
  message.fds = fds.data();
  message.fd_count = fds.size();
  const os::Result<os::Moved> sent = os::TryPatiently(
      looks, [&] { return os::SendMessage(socket->fd(), message); }, os::WouldBlock);
  if (!sent.ok() && has_address) return Fail(info.Env(), sent.error(), Printable(address));
  return MovedToJs(info.Env(), sent);
}

void TellFacts(EnvData* data, const os::ReceivedMessage& message) {
  int32_t* facts = data->received_facts;
  facts[kFlags] = (message.ended ? kEnded : 0) | (message.fds_lost ? kFdsLost : 0) |
                  (message.truncated ? kTruncated : 0) |
                  (message.credentials.has_value() ? kHasCredentials : 0);
  if (message.credentials.has_value()) {
    facts[kPid] = message.credentials->pid;
    facts[kUid] = static_cast<int32_t>(message.credentials->uid);
    facts[kGid] = static_cast<int32_t>(message.credentials->gid);
  }
  facts[kAddressLength] = static_cast<int32_t>(message.address.size());
  facts[kNeeded] = static_cast<int32_t>(std::min<size_t>(message.needed, INT_MAX));
  std::copy(message.address.begin(), message.address.end(), data->received_address);
}

// socketReceive(socket, type, into, length, more, fdsMax, looks): the length of the message, which
// lies in `length` bytes of `into` and, where that is too short, in `more`; -1: nothing is there;
// -2: it needs more room, and is still there. With descriptors a list: the length, and their
// handles.
Napi::Value Receive(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Descriptor* socket = OpenDescriptor(args, 0, "recv");
  const int type = args.Int(1);
  const ByteSpan into = args.Bytes(2);
  const size_t length = std::min<size_t>(args.Size(3), into.length);
  const bool has_more = !info[4].IsUndefined();
  const ByteSpan more = has_more ? args.Bytes(4) : ByteSpan();
  const auto fds_max = static_cast<size_t>(args.Integer(5, 0, os::kDescriptorsMax));
  const uint32_t looks = args.Looks(6);
  if (!args.ok()) return info.Env().Undefined();
  Napi::Env env = info.Env();
  auto* data = env.GetInstanceData<EnvData>();
  if (data->received_facts == nullptr) return Fail(env, {EINVAL, "socketInit"});
  const struct iovec parts[] = {{into.data, length}, {more.data, more.length}};
  os::ReceivedMessage message;
  const os::Result<bool> received = os::TryPatiently(
      looks,
      [&] {
        return os::ReceiveMessage(socket->fd(), type, parts, has_more ? 2 : 1, fds_max, &message);
      },
      [](const os::Result<bool>& result) { return result.ok() && !result.value(); });
  if (!received.ok()) return Fail(env, received.error());
  if (!received.value()) return Napi::Number::New(env, kNothingNow);
  TellFacts(data, message);
  if (message.needed > 0) return Napi::Number::New(env, kNeedsRoom);
  const Napi::Number size = Napi::Number::New(env, static_cast<double>(message.length));
  if (message.fds.empty()) return size;
  Napi::Array with_fds = Napi::Array::New(env, message.fds.size() + 1);
  with_fds.Set(0u, size);
  uint32_t index = 1;
  for (os::UniqueFd& fd : message.fds) {
    with_fds.Set(index++, DescriptorToJs(env, std::move(fd), os::DescriptorKind::kOther));
  }
  return with_fds;
}

}  // namespace

void InitUnixSocket(Napi::Env env, Napi::Object exports) {
  exports.Set("socketInit", Napi::Function::New<Init>(env));
  Napi::Object constants = Napi::Object::New(env);
  constants.Set("stream", static_cast<int>(SOCK_STREAM));
  constants.Set("datagram", static_cast<int>(SOCK_DGRAM));
  constants.Set("seqpacket", static_cast<int>(SOCK_SEQPACKET));
  constants.Set("sendBuffer", SO_SNDBUF);
  constants.Set("receiveBuffer", SO_RCVBUF);
  constants.Set("passCredentials", SO_PASSCRED);
  constants.Set("listens", SO_ACCEPTCONN);
  exports.Set("socketConstants", constants);
  exports.Set("socketCreate", Napi::Function::New<Create>(env));
  exports.Set("socketPair", Napi::Function::New<Pair>(env));
  exports.Set("socketFromFd", Napi::Function::New<FromFd>(env));
  exports.Set("socketBind", Napi::Function::New<Bind>(env));
  exports.Set("socketBindFile", Napi::Function::New<BindFile>(env));
  exports.Set("socketUnlink", Napi::Function::New<Unlink>(env));
  exports.Set("socketListen", Napi::Function::New<Listen>(env));
  exports.Set("socketTryConnect", Napi::Function::New<TryConnect>(env));
  exports.Set("socketConnectStart", Napi::Function::New<ConnectStart>(env));
  exports.Set("socketTryAccept", Napi::Function::New<TryAccept>(env));
  exports.Set("socketEnd", Napi::Function::New<End>(env));
  exports.Set("socketName", Napi::Function::New<Name>(env));
  exports.Set("socketPeerCredentials", Napi::Function::New<PeerCredentials>(env));
  exports.Set("socketOption", Napi::Function::New<Option>(env));
  exports.Set("socketSetOption", Napi::Function::New<SetOption>(env));
  exports.Set("socketIsFull", Napi::Function::New<IsFull>(env));
  exports.Set("socketSend", Napi::Function::New<Send>(env));
  exports.Set("socketReceive", Napi::Function::New<Receive>(env));
}

}  // namespace interproc::node
