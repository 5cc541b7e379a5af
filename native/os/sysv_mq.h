// System V message queues (man 7 sysvipc): messages with a type, by which they can be picked.
#ifndef INTERPROC_OS_SYSV_MQ_H_
#define INTERPROC_OS_SYSV_MQ_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "os/blocking_call.h"
#include "os/moved.h"
#include "os/ref_counted.h"
#include "os/sysv_ipc.h"

namespace interproc::os {

struct SysvMqStatus : SysvPermissions {
  uint64_t messages = 0, bytes = 0;  // now
  uint64_t max_bytes = 0;
  int32_t last_send_pid = 0, last_receive_pid = 0;
  double sent_at_s = 0, received_at_s = 0, changed_at_s = 0;  // since the epoch; 0 = never
};

// man 2 msgget. `create` means IPC_CREAT | IPC_EXCL.
Result<int> GetSysvMq(int32_t key, bool create, mode_t mode);
// man 2 msgctl
Result<SysvMqStatus> StatSysvMq(int id);
Result<void> ChangeSysvMq(int id, const SysvChange& change, std::optional<uint64_t> max_bytes);
Result<void> RemoveSysvMq(int id);
Result<std::vector<SysvMqStatus>> ListSysvMq();

// As the kernel takes and gives one: its type, and behind that its bytes.
constexpr size_t kSysvTypeBytes = sizeof(int64_t);

// Which messages one asks for. man 2 msgrcv
struct SysvWanted {
  int64_t type = 0;       // 0: the first one; or, with `copy`, which place
  bool except = false;    // MSG_EXCEPT: any but those of the type
  bool truncate = false;  // MSG_NOERROR: what is too long is cut, else it is E2BIG and stays
  bool copy = false;      // MSG_COPY: a copy of the one at that place
};

// A message in memory of its own, which grows as needed.
class SysvMessage : public RefCounted<SysvMessage> {
 public:
  explicit SysvMessage(size_t capacity) { Grow(capacity); }
  SysvMessage(int64_t type, const void* bytes, size_t length);

  char* raw() const { return raw_.get(); }
  size_t capacity() const { return capacity_; }
  const char* bytes() const { return raw() + kSysvTypeBytes; }
  int64_t type() const;
  // What was in it is lost.
  void Grow(size_t capacity);

 private:
  std::unique_ptr<char[]> raw_;
  size_t capacity_ = 0;  // bytes behind the type
};

// These never wait, or at most `timeout_ns`: nothing is moved then. `raw` is type and bytes,
// `length` and `capacity` are of the bytes.
Result<Moved> SendSysv(int id, const char* raw, size_t length, uint64_t timeout_ns);
Result<Moved> ReceiveSysv(int id, const SysvWanted& wanted, char* raw, size_t capacity,
                          uint64_t timeout_ns);

// These wait, on the thread of a call that can be taken back.
Outcome SendSysvWaiting(const BlockingCall& call, int id, const SysvMessage& message,
                        size_t length);
// The length. The message gets as much memory as it takes, up to `most` bytes.
Outcome ReceiveSysvWaiting(const BlockingCall& call, int id, const SysvWanted& wanted, size_t most,
                           SysvMessage* message);

}  // namespace interproc::os

#endif  // INTERPROC_OS_SYSV_MQ_H_
