#include "os/thread.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "os/patience.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

struct Report {
  sigset_t mask;
  pid_t thread = 0;
  std::atomic<bool> done{false};
};

void* FillReport(void* data) {
  auto* report = static_cast<Report*>(data);
  pthread_sigmask(SIG_BLOCK, nullptr, &report->mask);
  report->thread = static_cast<pid_t>(syscall(SYS_gettid));
  report->done.store(true, std::memory_order_release);  // pairs with the load in RunReport
  return nullptr;
}

void RunReport(Report* report) {
  REQUIRE(StartThread(FillReport, report).ok());
  while (!report->done.load(std::memory_order_acquire)) usleep(1000);
}

void* KeepBusy(void* data) {
  auto* stop = static_cast<std::atomic<bool>*>(data);
  while (!stop->load(std::memory_order_relaxed)) {
  }
  return nullptr;
}

}  // namespace

TEST_CASE("thread: runs on a thread of its own") {
  Report report;
  RunReport(&report);
  CHECK(report.thread != static_cast<pid_t>(syscall(SYS_gettid)));
}

TEST_CASE("thread: takes no signals but the faults that it makes itself") {
  Report report;
  RunReport(&report);
  for (const int blocked : {SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGPROF, SIGCHLD}) {
    CHECK(sigismember(&report.mask, blocked) == 1);
  }
  CHECK(sigismember(&report.mask, SIGBUS) == 0);
  CHECK(sigismember(&report.mask, SIGSEGV) == 0);
}

TEST_CASE("thread: the starter's own signal mask is as it was") {
  sigset_t odd;
  sigemptyset(&odd);
  sigaddset(&odd, SIGUSR2);
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, &odd, &before);
  Report report;
  RunReport(&report);
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, &before, &after);
  CHECK(sigismember(&after, SIGUSR2) == 1);
  CHECK(sigismember(&after, SIGUSR1) == 0);
}

TEST_CASE("thread: a process that may have no more of them gets EAGAIN") {
  CHECK(ExitCodeOf([] {
          DropRights();
          const struct rlimit none = {0, 0};
          CHILD_EXPECT(setrlimit(RLIMIT_NPROC, &none) == 0);
          Report report;
          const Result<void> started = StartThread(FillReport, &report);
          CHILD_EXPECT(!started.ok());
          CHILD_EXPECT(started.error().number == EAGAIN);
          CHILD_EXPECT(std::string(started.error().syscall) == "pthread_create");
        }) == 0);
}

TEST_CASE("patience: who waits stops looking where others keep the processor for long") {
  cpu_set_t before;
  REQUIRE(sched_getaffinity(0, sizeof(before), &before) == 0);
  int processor = 0;
  while (CPU_ISSET(processor, &before) == 0) ++processor;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(processor, &one);
  REQUIRE(sched_setaffinity(0, sizeof(one), &one) == 0);
  std::atomic<bool> stop{false};
  pthread_t busy[2];  // on the same processor
  for (pthread_t& each : busy) REQUIRE(pthread_create(&each, nullptr, KeepBusy, &stop) == 0);
  constexpr uint32_t kLooks = 2000;
  uint32_t attempts = 0;
  const auto look = [&] { return ++attempts; };
  TryPatiently(kLooks, look, [](uint32_t) { return true; });
  stop.store(true, std::memory_order_relaxed);
  for (const pthread_t each : busy) pthread_join(each, nullptr);
  sched_setaffinity(0, sizeof(before), &before);
  CHECK(attempts >= 2);
  CHECK(attempts < kLooks);
}

}  // namespace interproc::test
