#include "os/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace interproc::os {
namespace {

void DoNothing(int) {}

// False where somebody else handles it.
bool Claim(int signal_number) {
  struct sigaction there;
  if (sigaction(signal_number, nullptr, &there) != 0) return false;
  if ((there.sa_flags & SA_SIGINFO) != 0 || there.sa_handler != SIG_DFL) return false;
  struct sigaction ours = {};
  ours.sa_handler = DoNothing;
  sigfillset(&ours.sa_mask);
  ours.sa_flags = 0;  // no SA_RESTART: the call is to return
  return sigaction(signal_number, &ours, nullptr) == 0;
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
  sigset_t before;
  sigemptyset(&ours);
  if (Signal() != 0) sigaddset(&ours, Signal());
  sigaddset(&ours, kSpare);
  sigprocmask(SIG_UNBLOCK, &ours, &before);  // of this thread alone, on Linux
  return before;
}

void SendTo(pid_t thread) {
  if (syscall(SYS_tgkill, getpid(), thread, Signal()) == 0 || errno != EAGAIN) return;
  if (HasSpare()) syscall(SYS_tgkill, getpid(), thread, kSpare);
}

pid_t ThisThread() { return static_cast<pid_t>(syscall(SYS_gettid)); }

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
  event._sigev_un._tid = ThisThread();
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
  sigprocmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace interproc::os
