#include "os/mq_notice.h"

#include <linux/netlink.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mutex>

#ifndef SIGEV_THREAD
#define SIGEV_THREAD 2
#endif

namespace interproc::os {
namespace {

// Of the kernel's ipc/mqueue.c: NOTIFY_COOKIE_LEN and NOTIFY_WOKENUP.
constexpr size_t kCookieBytes = 32;
constexpr char kWokenUp = 1;

// The registration is the process's: whether it is still that of one socket must not change between
// looking and ending it, but by its own notice.
std::mutex& Registrations() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

Result<UniqueFd> OpenNoticeSocket() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!fd.valid()) return LastError("socket");
  return fd;
}

Result<void> AskForNotice(int mq, int socket) {
  // The kernel keeps it for us and gives it back; its last byte says what happened.
  char cookie[kCookieBytes] = {};
  struct sigevent event = {};
  event.sigev_notify = SIGEV_THREAD;
  event.sigev_signo = socket;
  event.sigev_value.sival_ptr = cookie;
  std::lock_guard<std::mutex> lock(Registrations());
  if (syscall(SYS_mq_notify, mq, &event) != 0) return LastError("mq_notify");
  return {};
}

Result<Notice> TakeNotice(int socket) {
  char cookie[kCookieBytes];
  const ssize_t received =
      RetryOnEintr([&] { return recv(socket, cookie, sizeof(cookie), MSG_DONTWAIT); });
  if (received < 0 && errno != EAGAIN) return LastError("recv");
  if (received < static_cast<ssize_t>(kCookieBytes)) return Notice::kNone;
  return cookie[kCookieBytes - 1] == kWokenUp ? Notice::kArrived : Notice::kRemoved;
}

void WithdrawNotice(int mq, int socket) {
  std::lock_guard<std::mutex> lock(Registrations());
  const Result<Notice> over = TakeNotice(socket);
  if (over.ok() && over.value() == Notice::kNone) (void)syscall(SYS_mq_notify, mq, nullptr);
}

}  // namespace interproc::os
