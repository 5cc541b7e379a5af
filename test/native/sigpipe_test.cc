// EPIPE as an error, and never the signal: sigpipe.h.
#include "os/sigpipe.h"

#include "os/pipe.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

ssize_t WriteByte(int fd) {
  char byte = 'x';
  const struct iovec part = {&byte, 1};
  return WriteWithoutSignal(fd, &part, 1);
}

bool IsPending() {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGPIPE) == 1;
}

bool IsBlocked() {
  sigset_t blocked;
  sigprocmask(SIG_SETMASK, nullptr, &blocked);
  return sigismember(&blocked, SIGPIPE) == 1;
}

// A pipe without a reader, in a process that SIGPIPE would end.
int WriterAlone() {
  signal(SIGPIPE, SIG_DFL);
  static Pipe pipe;
  pipe.CloseReader();
  return pipe.writer();
}

}  // namespace

TEST_CASE("sigpipe: it would end the process, so the tests below mean something") {
  CHECK(EndingSignalOf([] { (void)!write(WriterAlone(), "x", 1); }) == SIGPIPE);
}

TEST_CASE("sigpipe: a write to a pipe without readers is EPIPE, and no signal") {
  CHECK(ExitCodeOf([] {
          const int writer = WriterAlone();
          for (int round = 0; round < 3; ++round) {
            CHILD_EXPECT(WriteByte(writer) == -1 && errno == EPIPE);
            CHILD_EXPECT(!IsPending() && !IsBlocked());
          }
        }) == 0);
}

TEST_CASE("sigpipe: splice and tee into such a pipe are EPIPE, and no signal") {
  CHECK(ExitCodeOf([] {
          const int writer = WriterAlone();
          Pipe full;
          full.Put('x');
          for (const auto& moved :
               {Splice(full.reader(), writer, 1), Tee(full.reader(), writer, 1)}) {
            CHILD_EXPECT(!moved.ok() && moved.error().number == EPIPE);
            CHILD_EXPECT(!IsPending() && !IsBlocked());
          }
        }) == 0);
}

TEST_CASE("sigpipe: while it is held back it ends nobody, and one that came is dropped") {
  CHECK(ExitCodeOf([] {
          const int writer = WriterAlone();
          {
            const SigpipeHeldBack held_back;
            CHILD_EXPECT(write(writer, "x", 1) == -1);
            CHILD_EXPECT(IsPending());
            errno = EXDEV;
          }
          CHILD_EXPECT(errno == EXDEV);
          CHILD_EXPECT(!IsPending() && !IsBlocked());
        }) == 0);
}

TEST_CASE("sigpipe: one that waited before stays, as somebody blocked it to take it later") {
  CHECK(ExitCodeOf([] {
          const int writer = WriterAlone();
          sigset_t alone;
          sigemptyset(&alone);
          sigaddset(&alone, SIGPIPE);
          sigprocmask(SIG_BLOCK, &alone, nullptr);
          CHILD_EXPECT(write(writer, "x", 1) == -1);
          {
            const SigpipeHeldBack held_back;
            CHILD_EXPECT(write(writer, "x", 1) == -1);
          }
          CHILD_EXPECT(IsPending() && IsBlocked());
        }) == 0);
}

TEST_CASE("sigpipe: one that somebody sends ends the process as ever") {
  CHECK(EndingSignalOf([] {
          const int writer = WriterAlone();
          CHILD_EXPECT(WriteByte(writer) == -1);
          raise(SIGPIPE);
        }) == SIGPIPE);
}

TEST_CASE("sigpipe: what can be written is written") {
  const Pipe pipe;
  CHECK(WriteByte(pipe.writer()) == 1);
  CHECK(pipe.Get<char>() == 'x');
}

}  // namespace interproc::test
