#include "os/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/signal_mask.h"

#ifndef sigev_notify_thread_id  // glibc has no name for it
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace interproc::os {
namespace {

void DoNothing(int) {}

pid_t ThisThread() { return static_cast<pid_t>(syscall(SYS_gettid)); }

bool Send(pid_t thread, int signal_number) {
  return syscall(SYS_tgkill, getpid(), thread, signal_number) == 0;
}

// False where somebody else handles it, or it can't be sent: qemu-user takes handlers of signals
// for which it has no number of the host's.
bool Claim(int signal_number) {
  struct sigaction there;
  if (sigaction(signal_number, nullptr, &there) != 0) return false;
  if ((there.sa_flags & SA_SIGINFO) != 0 || there.sa_handler != SIG_DFL) return false;
  struct sigaction ours = {};
  ours.sa_handler = DoNothing;
  sigfillset(&ours.sa_mask);
  ours.sa_flags = 0;  // no SA_RESTART: the call is to return
  if (sigaction(signal_number, &ours, nullptr) != 0) return false;
  if (Send(ThisThread(), signal_number) || errno == EAGAIN) return true;
  (void)sigaction(signal_number, &there, nullptr);
  return false;
}

// A real-time signal that nobody else handles: it is sent to threads of ours only.
int ClaimSignal() {
  for (int signal_number = SIGRTMAX - 1; signal_number > SIGRTMIN; --signal_number) {
    if (Claim(signal_number)) return signal_number;
  }
  return 0;
}

int Signal() {
  static const int signal_number = ClaimSignal();
  return signal_number;
}

// Real-time signals take room of what a user may have pending (RLIMIT_SIGPENDING), and there may be
// none. One of the old ones takes none; this one no program uses.
constexpr int kSpare = SIGSTKFLT;

bool HasSpare() {
  static const bool has = Claim(kSpare);
  return has;
}

constexpr long kResendNs = 1'000'000;
constexpr uint64_t kNsPerSecond = 1'000'000'000;

// The signals of this thread that are not blocked from now on; gives what was before.
sigset_t Unblock() {
  sigset_t ours;
  sigemptyset(&ours);
  if (Signal() != 0) sigaddset(&ours, Signal());
  sigaddset(&ours, kSpare);
  return ChangeSignalMask(SIG_UNBLOCK, ours);
}

void SendTo(pid_t thread) {
  if (!Send(thread, Signal()) && errno == EAGAIN && HasSpare()) (void)Send(thread, kSpare);
}

}  // namespace

void Interruptible::Enter() {
  (void)Unblock();
  std::lock_guard<std::mutex> lock(mutex_);
  thread_ = ThisThread();
}

void Interruptible::Leave() {
  std::lock_guard<std::mutex> lock(mutex_);
  thread_ = 0;
  left_ = true;
}

void Interruptible::Interrupt() {
  for (;;) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (left_ || Signal() == 0) return;
      // Under the lock, so that the number is still this thread's.
      if (thread_ != 0) SendTo(thread_);
    }
    const struct timespec pause = {0, kResendNs / 10};
    nanosleep(&pause, nullptr);
  }
}

// The raw calls: glibc has those of timers in librt before 2.34.
Alarm::Alarm(uint64_t timeout_ns) : before_(Unblock()) {
  struct sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = Signal();
  event.sigev_notify_thread_id = ThisThread();
  if (Signal() == 0 || syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer_) != 0) return;
  struct itimerspec times = {};
  times.it_value.tv_sec = static_cast<time_t>(timeout_ns / kNsPerSecond);
  times.it_value.tv_nsec = static_cast<long>(timeout_ns % kNsPerSecond);
  times.it_interval.tv_nsec = kResendNs;
  set_ = true;
  syscall(SYS_timer_settime, timer_, 0, &times, nullptr);
}

Alarm::~Alarm() {
  if (set_) syscall(SYS_timer_delete, timer_);
  ChangeSignalMask(SIG_SETMASK, before_);
}

}  // namespace interproc::os
