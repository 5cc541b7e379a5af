#include "os/thread.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>

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

}  // namespace interproc::test
