#include "os/death_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>

#include "os/environment.h"
#include "os/interrupt.h"
#include "os/thread.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

namespace interproc::os {
namespace {

bool ProbePidfd() {
  if (IsSwitchedOn("INTERPROC_NO_PIDFD")) return false;
  const UniqueFd own(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  return own.valid();
}

}  // namespace

bool HasPidfd() {
  static const bool has = ProbePidfd();
  return has;
}

// Threads that wait for a lock, one each.
class LockWaiters : public RefCounted<LockWaiters> {
 public:
  explicit LockWaiters(Ref<Completions> completions) : completions_(std::move(completions)) {}

  // Any thread. `fd`: any descriptor of the file.
  Result<void> Start(uint64_t id, int fd, uint32_t owner) {
    const int own = interproc__reopen(fd, O_RDONLY);
    if (own < 0) return ProtocolError(own, "open");
    Ref<Waiter> waiter = Ref<Waiter>::Adopt(new Waiter());
    waiter->id = id;
    waiter->fd.Reset(own);
    waiter->owner = owner;
    AddRef();
    waiter->waiters = Ref<LockWaiters>::Adopt(this);
    std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return {};
    Ref<Waiter> for_thread = waiter;
    const Result<void> started = StartThread(Run, for_thread.get());
    if (!started.ok()) return started;
    for_thread.Leak();
    all_.push_back(std::move(waiter));
    return {};
  }

  // The owner's thread.
  void Stop(uint64_t id) {
    Ref<Waiter> found;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (const Ref<Waiter>& each : all_) {
        if (each->id == id) found = each;
      }
    }
    if (found) found->Stop();
  }

  void StopAll() {
    std::unique_lock<std::mutex> lock(mutex_);
    closed_ = true;
    const std::vector<Ref<Waiter>> all = all_;
    lock.unlock();
    for (const Ref<Waiter>& each : all) each->Stop();
  }

 private:
  struct Waiter : RefCounted<Waiter> {
    void Stop() {
      stopped.store(true);
      interruptible.Interrupt();
    }

    uint64_t id = 0;
    UniqueFd fd;  // an open file description of its own
    uint32_t owner = 0;
    Ref<LockWaiters> waiters;  // the thread's only
    std::atomic<bool> stopped{false};
    Interruptible interruptible;
  };

  static void* Run(void* data) {
    const Ref<Waiter> waiter = Ref<Waiter>::Adopt(static_cast<Waiter*>(data));
    waiter->interruptible.Enter();
    const int64_t byte = interproc__byte_of(waiter->owner);
    int result = -EINTR;
    // For reading: that makes nobody else take the dead for living (interproc__living).
    while (result == -EINTR && !waiter->stopped.load()) {
      result = interproc__lock(waiter->fd.get(), F_OFD_SETLKW, F_RDLCK, byte);
    }
    waiter->fd.Reset();
    const Ref<LockWaiters> waiters = std::move(waiter->waiters);
    waiters->Remove(waiter);
    if (!waiter->stopped.load()) waiters->completions_->Put({waiter->id});
    waiter->interruptible.Leave();
    return nullptr;
  }

  void Remove(const Ref<Waiter>& waiter) {
    std::lock_guard<std::mutex> lock(mutex_);
    all_.erase(std::remove_if(all_.begin(), all_.end(),
                              [&](const Ref<Waiter>& each) { return each.get() == waiter.get(); }),
               all_.end());
  }

  const Ref<Completions> completions_;
  std::mutex mutex_;
  std::vector<Ref<Waiter>> all_;  // these two: under the mutex
  bool closed_ = false;
};

// One thread that polls all pidfds of an env. It starts with the first and ends with the last.
//
// A pidfd tells nothing of a process that goes on without its owner: one that has called execve,
// which closes the owner's description. So at each wake-up, and twice a second, all owners are
// looked at by their locks. The other way to hear of it is a thread for each owner that sleeps in
// F_OFD_SETLKW; two wake-ups a second of one thread, while something is watched at all, are less.
class PidfdPoller : public RefCounted<PidfdPoller> {
 public:
  PidfdPoller(Ref<Completions> completions, Ref<LockWaiters> locks)
      : completions_(std::move(completions)), locks_(std::move(locks)) {}

  Result<void> Add(uint64_t id, UniqueFd pidfd, const Ref<MemoryFile>& file, uint32_t owner) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!control_.valid()) control_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!control_.valid()) return LastError("eventfd");
    all_.push_back(Ref<Watched>::Adopt(new Watched(id, std::move(pidfd), file, owner)));
    if (running_) {
      Kick();
      return {};
    }
    AddRef();
    Ref<PidfdPoller> for_thread = Ref<PidfdPoller>::Adopt(this);
    const Result<void> started = StartThread(Run, this);
    if (!started.ok()) {
      all_.pop_back();
      return started;
    }
    for_thread.Leak();
    running_ = true;
    return {};
  }

  void Remove(uint64_t id) {
    std::lock_guard<std::mutex> lock(mutex_);
    const size_t before = all_.size();
    all_.erase(std::remove_if(all_.begin(), all_.end(),
                              [id](const Ref<Watched>& each) { return each->id == id; }),
               all_.end());
    if (all_.size() != before) Kick();
  }

  void Clear() {
    std::lock_guard<std::mutex> lock(mutex_);
    all_.clear();
    Kick();
  }

 private:
  static constexpr int kLookMs = 500;

  // The thread holds what it polls: one that is removed meanwhile may not become another file.
  struct Watched : RefCounted<Watched> {
    Watched(uint64_t id, UniqueFd pidfd, Ref<MemoryFile> file, uint32_t owner)
        : id(id), pidfd(std::move(pidfd)), file(std::move(file)), owner(owner) {}

    const uint64_t id;
    const UniqueFd pidfd;
    const Ref<MemoryFile> file;
    const uint32_t owner;
  };

  // REQUIRES mutex_
  void Kick() {
    const uint64_t one = 1;
    if (control_.valid()) (void)!write(control_.get(), &one, sizeof(one));
  }

  static void* Run(void* data) {
    const Ref<PidfdPoller> poller = Ref<PidfdPoller>::Adopt(static_cast<PidfdPoller*>(data));
    poller->Loop();
    return nullptr;
  }

  void Loop() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!all_.empty()) {
      const std::vector<Ref<Watched>> seen = all_;
      std::vector<struct pollfd> fds = {{control_.get(), POLLIN, 0}};
      for (const Ref<Watched>& each : seen) fds.push_back({each->pidfd.get(), POLLIN, 0});
      lock.unlock();
      // Refused (EINVAL above RLIMIT_NOFILE, ENOMEM), it is a look twice a second and no more.
      if (poll(fds.data(), fds.size(), kLookMs) < 0) interproc__nap(kLookMs * 1'000'000L);
      lock.lock();
      uint64_t ignored;
      (void)!read(control_.get(), &ignored, sizeof(ignored));
      for (size_t index = 0; index < seen.size(); ++index) {
        Look(seen[index], fds[index + 1].revents != 0);
      }
    }
    running_ = false;
  }

  // REQUIRES mutex_. Whether the process is gone or not: its lock tells whether the owner is.
  void Look(const Ref<Watched>& watched, bool process_ended) {
    const auto found = std::find_if(all_.begin(), all_.end(), [&](const Ref<Watched>& each) {
      return each.get() == watched.get();
    });
    if (found == all_.end()) return;
    const int alive = interproc_owner_alive(nullptr, watched->file->fd(), watched->owner);
    if (alive != 0 && !process_ended) return;
    all_.erase(found);
    if (alive == 1 && locks_->Start(watched->id, watched->file->fd(), watched->owner).ok()) return;
    completions_->Put({watched->id});
  }

  const Ref<Completions> completions_;
  const Ref<LockWaiters> locks_;
  std::mutex mutex_;
  std::vector<Ref<Watched>> all_;  // all below: under the mutex
  UniqueFd control_;
  bool running_ = false;
};

DeathWatch::DeathWatch(std::function<void()> notify)
    : completions_(Ref<Completions>::Adopt(new Completions(std::move(notify)))),
      locks_(Ref<LockWaiters>::Adopt(new LockWaiters(completions_))),
      poller_(Ref<PidfdPoller>::Adopt(new PidfdPoller(completions_, locks_))) {}

DeathWatch::~DeathWatch() {
  completions_->Close();
  poller_->Clear();
  locks_->StopAll();
}

Result<void> DeathWatch::Watch(uint64_t id, const Participant& participant, uint32_t owner) {
  const interproc_participant* entry = interproc_find_participant(participant.header(), owner);
  if (entry != nullptr && HasPidfd() &&
      interproc__pids_are_ours(interproc__peek64(&entry->pid_namespace)) != 0) {
    UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, interproc__peek(&entry->pid), 0)));
    // Asked after the pidfd was there: so it is of the process that holds the lock.
    const Result<bool> alive = participant.Alive(owner);
    if (!alive.ok()) return alive.error();
    if (!alive.value()) {
      completions_->Put({id});
      return {};
    }
    if (pidfd.valid()) return poller_->Add(id, std::move(pidfd), participant.file(), owner);
  }
  return locks_->Start(id, participant.file()->fd(), owner);
}

void DeathWatch::Unwatch(uint64_t id) {
  poller_->Remove(id);
  locks_->Stop(id);
  completions_->Forget(id);
}

}  // namespace interproc::os
