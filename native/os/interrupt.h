// Interrupts: how a thread of ours that sleeps in a system call without a timeout (fcntl with
// F_OFD_SETLKW, msgrcv) is called back. One signal may come just before the call sleeps and be
// lost, so it is sent again until the thread is out.
#ifndef INTERPROC_OS_INTERRUPT_H_
#define INTERPROC_OS_INTERRUPT_H_

#include <signal.h>
#include <sys/types.h>

#include <cstdint>
#include <mutex>

namespace interproc::os {

// One thread that can be interrupted. The thread calls Enter() first and Leave() last; another one
// calls Interrupt(), after having told it by some flag of its own to end.
class Interruptible {
 public:
  // System calls of this thread return EINTR from now on when it is interrupted.
  void Enter();
  void Leave();
  // Returns when the thread has left, or was never there.
  void Interrupt();

 private:
  std::mutex mutex_;
  pid_t thread_ = 0;  // under the mutex; 0 outside Enter() and Leave()
  bool left_ = false;
};

// While it lives, a system call of the calling thread that would sleep for ever fails with EINTR
// after `timeout_ns`, and again each millisecond: once may be just before the call.
class Alarm {
 public:
  explicit Alarm(uint64_t timeout_ns);
  ~Alarm();
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  // False: there is no timer to be had, and a call would sleep for ever.
  bool set() const { return set_; }

 private:
  bool set_ = false;
  int timer_ = 0;  // as the kernel numbers them
  sigset_t before_;
};

}  // namespace interproc::os

#endif  // INTERPROC_OS_INTERRUPT_H_
