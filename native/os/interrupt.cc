#include "os/interrupt.h"

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace interproc::os {
namespace {

void DoNothing(int) {}

// A real-time signal that nobody else handles: it is sent to threads of ours only.
int ClaimSignal() {
  for (int signal_number = SIGRTMAX - 1; signal_number > SIGRTMIN; --signal_number) {
    struct sigaction there;
    if (sigaction(signal_number, nullptr, &there) != 0) continue;
    if ((there.sa_flags & SA_SIGINFO) != 0 || there.sa_handler != SIG_DFL) continue;
    struct sigaction ours = {};
    ours.sa_handler = DoNothing;
    sigfillset(&ours.sa_mask);
    ours.sa_flags = 0;  // no SA_RESTART: the call is to return
    if (sigaction(signal_number, &ours, nullptr) == 0) return signal_number;
  }
  return 0;
}

int Signal() {
  static const int signal_number = ClaimSignal();
  return signal_number;
}

constexpr long kResendNs = 1'000'000;

}  // namespace

void Interruptible::Enter() {
  sigset_t ours;
  sigemptyset(&ours);
  if (Signal() != 0) sigaddset(&ours, Signal());
  sigprocmask(SIG_UNBLOCK, &ours, nullptr);  // of this thread alone, on Linux
  std::lock_guard<std::mutex> lock(mutex_);
  thread_ = static_cast<pid_t>(syscall(SYS_gettid));
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
      if (thread_ != 0) syscall(SYS_tgkill, getpid(), thread_, Signal());
    }
    const struct timespec pause = {0, kResendNs / 10};
    nanosleep(&pause, nullptr);
  }
}

}  // namespace interproc::os
