#include "os/sysv_mq.h"

#include <sys/msg.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "os/interrupt.h"

#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY 13
#endif
#ifndef MSG_EXCEPT
#define MSG_EXCEPT 020000
#endif
#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

namespace interproc::os {
namespace {

SysvMqStatus StatusFrom(int id, const struct msqid_ds& raw) {
  SysvMqStatus status;
  static_cast<SysvPermissions&>(status) = PermissionsOf(id, raw.msg_perm);
  status.messages = raw.msg_qnum;
  status.bytes = raw.__msg_cbytes;
  status.max_bytes = raw.msg_qbytes;
  status.last_send_pid = raw.msg_lspid;
  status.last_receive_pid = raw.msg_lrpid;
  status.sent_at_s = static_cast<double>(raw.msg_stime);
  status.received_at_s = static_cast<double>(raw.msg_rtime);
  status.changed_at_s = static_cast<double>(raw.msg_ctime);
  return status;
}

int FlagsOf(const SysvWanted& wanted) {
  return (wanted.except ? MSG_EXCEPT : 0) | (wanted.truncate ? MSG_NOERROR : 0) |
         (wanted.copy ? MSG_COPY : 0);
}

// Nothing there, or no room.
Result<Moved> ToMovedOrNone(ssize_t moved, const char* syscall) {
  if (moved < 0 && errno == ENOMSG) return Moved();
  return ToMoved(moved, syscall);
}

// `move(flags)` with IPC_NOWAIT. `move` is a system call.
template <typename Move>
Result<Moved> MoveNow(const char* syscall, Move move) {
  return ToMovedOrNone(RetryOnEintr([&] { return move(IPC_NOWAIT); }), syscall);
}

// Likewise, or for at most so long.
template <typename Move>
Result<Moved> MoveInTime(uint64_t timeout_ns, const char* syscall, Move move) {
  if (timeout_ns == 0) return MoveNow(syscall, move);
  {
    const Alarm alarm(timeout_ns);
    if (alarm.set()) {
      const ssize_t moved = move(0);
      if (moved < 0 && errno == EINTR) return Moved();
      return ToMoved(moved, syscall);
    }
  }
  // Without a timer: a look now and then.
  constexpr uint64_t kNapNs = 1'000'000;
  const struct timespec nap = {0, static_cast<long>(std::min(timeout_ns, kNapNs))};
  (void)nanosleep(&nap, nullptr);
  return MoveNow(syscall, move);
}

// `move()` until it is done or the call is taken back.
template <typename Move>
Outcome MoveWaiting(const BlockingCall& call, const char* syscall, Move move) {
  Outcome outcome;
  while (!call.cancelled()) {
    const ssize_t moved = move();
    if (moved >= 0) {
      outcome.number = moved;
      return outcome;
    }
    if (errno != EINTR) {
      outcome.error = LastError(syscall);
      return outcome;
    }
  }
  outcome.error = Error{ECANCELED, syscall};
  return outcome;
}

}  // namespace

Result<int> GetSysvMq(int32_t key, bool create, mode_t mode) {
  const int id = msgget(key, create ? IPC_CREAT | IPC_EXCL | static_cast<int>(mode & 0777) : 0);
  if (id < 0) return LastError("msgget");
  return id;
}

Result<SysvMqStatus> StatSysvMq(int id) {
  struct msqid_ds raw;
  if (msgctl(id, IPC_STAT, &raw) != 0) return LastError("msgctl");
  return StatusFrom(id, raw);
}

Result<void> ChangeSysvMq(int id, const SysvChange& change, std::optional<uint64_t> max_bytes) {
  struct msqid_ds raw;
  if (msgctl(id, IPC_STAT, &raw) != 0) return LastError("msgctl");
  ApplyChange(change, &raw.msg_perm);
  if (max_bytes.has_value()) raw.msg_qbytes = *max_bytes;
  if (msgctl(id, IPC_SET, &raw) != 0) return LastError("msgctl");
  return {};
}

Result<void> RemoveSysvMq(int id) {
  if (msgctl(id, IPC_RMID, nullptr) != 0) return LastError("msgctl");
  return {};
}

Result<std::vector<SysvMqStatus>> ListSysvMq() {
  struct msginfo info;
  const int last = msgctl(0, MSG_INFO, reinterpret_cast<struct msqid_ds*>(&info));
  if (last < 0) return LastError("msgctl");
  std::vector<SysvMqStatus> list;
  for (int index = 0; index <= last; ++index) {
    struct msqid_ds raw;
    int id = msgctl(index, MSG_STAT_ANY, &raw);
    // Where seccomp knows no MSG_STAT_ANY: only what we may read.
    if (id < 0 && errno != EINVAL && errno != EIDRM) id = msgctl(index, MSG_STAT, &raw);
    if (id >= 0) list.push_back(StatusFrom(id, raw));
  }
  return list;
}

SysvMessage::SysvMessage(int64_t type, const void* bytes, size_t length) : SysvMessage(length) {
  std::memcpy(raw(), &type, sizeof(type));
  // Of no bytes there may be no address, which memcpy must not have.
  if (length > 0) std::memcpy(raw() + kSysvTypeBytes, bytes, length);
}

int64_t SysvMessage::type() const {
  int64_t type;
  std::memcpy(&type, raw(), sizeof(type));
  return type;
}

void SysvMessage::Grow(size_t capacity) {
  raw_.reset(new char[kSysvTypeBytes + capacity]);
  capacity_ = capacity;
}

Result<Moved> SendSysv(int id, const char* raw, size_t length, uint64_t timeout_ns) {
  Result<Moved> sent = MoveInTime(
      timeout_ns, "msgsnd", [&](int flags) -> ssize_t { return msgsnd(id, raw, length, flags); });
  if (sent.ok() && sent.value().has_value()) return Moved(length);
  return sent;
}

Result<Moved> ReceiveSysv(int id, const SysvWanted& wanted, char* raw, size_t capacity,
                          uint64_t timeout_ns) {
  return MoveInTime(timeout_ns, "msgrcv", [&](int flags) {
    return msgrcv(id, raw, capacity, static_cast<long>(wanted.type), FlagsOf(wanted) | flags);
  });
}

Outcome SendSysvWaiting(const BlockingCall& call, int id, const SysvMessage& message,
                        size_t length) {
  return MoveWaiting(call, "msgsnd",
                     [&]() -> ssize_t { return msgsnd(id, message.raw(), length, 0); });
}

Outcome ReceiveSysvWaiting(const BlockingCall& call, int id, const SysvWanted& wanted, size_t most,
                           SysvMessage* message) {
  for (;;) {
    const bool is_most = message->capacity() >= most;
    SysvWanted now = wanted;
    now.truncate = wanted.truncate && is_most;
    Outcome outcome = MoveWaiting(call, "msgrcv", [&] {
      return msgrcv(id, message->raw(), message->capacity(), static_cast<long>(now.type),
                    FlagsOf(now));
    });
    if (is_most || outcome.error.number != E2BIG) return outcome;
    message->Grow(std::min(2 * message->capacity() + 1, most));
  }
}

}  // namespace interproc::os
