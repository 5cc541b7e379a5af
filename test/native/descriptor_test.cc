// Ends of pipes as this process has them open, and the set that tells of them: descriptor.h,
// poll_set.h.
#include "os/descriptor.h"

#include <sys/socket.h>

#include <vector>

#include "os/pipe.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

os::Pipe NewPipe(bool packet = false) {
  Result<os::Pipe> made = CreatePipe(packet);
  MUST(made.ok());
  return made.value();
}

bool IsNonBlocking(int fd) { return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

Result<Moved> Write(Descriptor& writer, const std::string& text) {
  const struct iovec part = {const_cast<char*>(text.data()), text.size()};
  return writer.Write(&part, 1);
}

// What is there; "-" where reading would block.
std::string ReadText(Descriptor& reader) {
  char data[8192];
  const Result<Moved> read = reader.Read(data, sizeof(data));
  MUST(read.ok());
  return read.value().has_value() ? std::string(data, *read.value()) : "-";
}

void Fill(Descriptor& writer) {
  for (;;) {
    const Result<Moved> written = Write(writer, std::string(4096, 'x'));
    MUST(written.ok());
    if (!written.value().has_value()) return;
  }
}

// What the set tells now, as one bit a pair; the ids have to be `id`.
uint32_t Told(const PollSet& set, uint32_t id) {
  uint32_t pairs[8];
  uint32_t events = 0;
  const size_t count = set.Take(pairs, 4);
  for (size_t each = 0; each < count; ++each) {
    CHECK(pairs[2 * each] == id);
    events |= pairs[2 * each + 1];
  }
  return events;
}

Ref<PollSet> NewSet() {
  Result<Ref<PollSet>> set = PollSet::New();
  MUST(set.ok());
  return set.value();
}

}  // namespace

TEST_CASE("descriptor: our calls on a pipe don't block, and what is handed on does") {
  os::Pipe pipe = NewPipe();
  CHECK(ReadText(*pipe.reader.get()) == "-");
  Fill(*pipe.writer.get());
  CHECK(!IsNonBlocking(pipe.reader->fd()));
  CHECK(!IsNonBlocking(pipe.writer->fd()));
  CHECK(IsNonBlocking(pipe.reader->own()));
  CHECK(pipe.reader->own() != pipe.reader->fd());
}

TEST_CASE("descriptor: the ends of a pipe are close-on-exec, both descriptions of them") {
  os::Pipe pipe = NewPipe();
  for (const int fd :
       {pipe.reader->fd(), pipe.reader->own(), pipe.writer->fd(), pipe.writer->own()}) {
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  }
}

TEST_CASE("descriptor: the second description of a writer of packets writes packets") {
  os::Pipe pipe = NewPipe(true);
  REQUIRE(Write(*pipe.writer.get(), "one").ok());
  REQUIRE(Write(*pipe.writer.get(), "two").ok());
  CHECK(ReadText(*pipe.reader.get()) == "one");
  CHECK(ReadText(*pipe.reader.get()) == "two");
}

TEST_CASE("descriptor: both descriptions go with it, so that the other end sees that") {
  os::Pipe pipe = NewPipe();
  REQUIRE(Write(*pipe.writer.get(), "last").ok());
  pipe.writer = {};
  CHECK(ReadText(*pipe.reader.get()) == "last");
  CHECK(ReadText(*pipe.reader.get()).empty());
  os::Pipe other = NewPipe();
  CHECK(ReadText(*other.reader.get()) == "-");
  other.reader = {};
  const Result<Moved> written = Write(*other.writer.get(), "lost");
  REQUIRE(!written.ok());
  CHECK(written.error().number == EPIPE);
}

TEST_CASE("descriptor: who detaches it owns the one that is handed on, and the other is closed") {
  const int before = CountInProc("fd");
  os::Pipe pipe = NewPipe();
  CHECK(ReadText(*pipe.reader.get()) == "-");
  const UniqueFd taken(pipe.reader->Detach());
  pipe.reader = {};
  REQUIRE(Write(*pipe.writer.get(), "still").ok());
  char data[5];
  CHECK(read(taken.get(), data, sizeof(data)) == 5);
  pipe.writer = {};
  CHECK(CountInProc("fd") == before + 1);
}

TEST_CASE(
    "descriptor: where it can't be opened again its flag is set, as often as others clear it") {
  if (getuid() != 0) return;
  CHECK(ExitCodeOf([] {
          os::Pipe pipe = NewPipe();
          DropRights();
          CHILD_EXPECT(pipe.reader->own() == pipe.reader->fd());
          for (int round = 0; round < 3; ++round) {
            const int flags = fcntl(pipe.reader->fd(), F_GETFL);
            CHILD_EXPECT(fcntl(pipe.reader->fd(), F_SETFL, flags & ~O_NONBLOCK) == 0);
            CHILD_EXPECT(ReadText(*pipe.reader.get()) == "-");
          }
        }) == 0);
}

TEST_CASE("descriptor: a socket keeps its flags, and doesn't block our calls") {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  Descriptor one(UniqueFd(ends[0]), DescriptorKind::kSocket);
  Descriptor other(UniqueFd(ends[1]), DescriptorKind::kSocket);
  CHECK(ReadText(one) == "-");
  REQUIRE(Write(other, "text").ok());
  CHECK(ReadText(one) == "text");
  CHECK(!IsNonBlocking(one.fd()));
  CHECK(one.own() == one.fd());
}

TEST_CASE("poll set: tells once of what comes, and again of what comes after that") {
  const Ref<PollSet> set = NewSet();
  os::Pipe pipe = NewPipe();
  REQUIRE(pipe.reader->Watch(set, 7, kReadable, false).ok());
  CHECK(Told(*set.get(), 7) == 0);
  REQUIRE(Write(*pipe.writer.get(), "a").ok());
  CHECK(Told(*set.get(), 7) == kReadable);
  CHECK(Told(*set.get(), 7) == 0);
  REQUIRE(Write(*pipe.writer.get(), "b").ok());
  CHECK(Told(*set.get(), 7) == kReadable);
}

TEST_CASE("poll set: tells of what is there when interest in it begins, or is asked for again") {
  const Ref<PollSet> set = NewSet();
  os::Pipe pipe = NewPipe();
  REQUIRE(pipe.writer->Watch(set, 1, kWritable, false).ok());
  CHECK(Told(*set.get(), 1) == kWritable);
  REQUIRE(pipe.writer->Watch(set, 1, kWritable, false).ok());
  CHECK(Told(*set.get(), 1) == 0);
  REQUIRE(pipe.writer->Watch(set, 1, kWritable, true).ok());
  CHECK(Told(*set.get(), 1) == kWritable);
}

TEST_CASE("poll set: tells a writer of room that came, and of nothing while there is none") {
  const Ref<PollSet> set = NewSet();
  os::Pipe pipe = NewPipe();
  Fill(*pipe.writer.get());
  REQUIRE(pipe.writer->Watch(set, 2, kWritable, false).ok());
  CHECK(Told(*set.get(), 2) == 0);
  ReadText(*pipe.reader.get());
  CHECK(Told(*set.get(), 2) == kWritable);
}

TEST_CASE("poll set: tells readers and writers that the other side is gone") {
  const Ref<PollSet> set = NewSet();
  os::Pipe pipe = NewPipe();
  REQUIRE(pipe.reader->Watch(set, 3, kReadable, false).ok());
  pipe.writer = {};
  CHECK((Told(*set.get(), 3) & kReadable) != 0);
  os::Pipe full = NewPipe();
  Fill(*full.writer.get());
  REQUIRE(full.writer->Watch(set, 3, kWritable, false).ok());
  full.reader = {};
  CHECK((Told(*set.get(), 3) & kWritable) != 0);
}

TEST_CASE("poll set: tells of nothing that is watched no more, or gone while others have it open") {
  const Ref<PollSet> set = NewSet();
  os::Pipe pipe = NewPipe();
  REQUIRE(pipe.reader->Watch(set, 4, kReadable, false).ok());
  const Result<UniqueFd> shared = DuplicateFd(pipe.reader->own());
  REQUIRE(shared.ok());
  REQUIRE(pipe.reader->Watch(set, 4, 0, false).ok());
  REQUIRE(Write(*pipe.writer.get(), "a").ok());
  CHECK(Told(*set.get(), 4) == 0);
  REQUIRE(pipe.reader->Watch(set, 4, kReadable, false).ok());
  pipe.reader = {};
  CHECK(Told(*set.get(), 4) == 0);
  REQUIRE(Write(*pipe.writer.get(), "b").ok());
  CHECK(Told(*set.get(), 4) == 0);
}

TEST_CASE("poll set: takes as many as are asked for, and the others the next time") {
  const Ref<PollSet> set = NewSet();
  std::vector<os::Pipe> pipes;
  for (uint32_t id = 0; id < 100; ++id) {
    pipes.push_back(NewPipe());
    REQUIRE(pipes.back().writer->Watch(set, id, kWritable, false).ok());
  }
  std::vector<bool> seen(100);
  uint32_t pairs[200];
  size_t total = 0;
  for (size_t count = 1; count > 0;) {
    count = set->Take(pairs, 7);
    REQUIRE(count <= 7);
    for (size_t each = 0; each < count; ++each) seen[pairs[2 * each]] = true;
    total += count;
  }
  CHECK(total == 100);
  CHECK(std::count(seen.begin(), seen.end(), true) == 100);
}

TEST_CASE("poll set: waiting for one descriptor ends by its event or by the time") {
  os::Pipe pipe = NewPipe();
  CHECK(!WaitUntilReady(pipe.reader->own(), kReadable, 1).value());
  CHECK(WaitUntilReady(pipe.writer->own(), kWritable, 1).value());
  Thread writes([&] { MUST(Write(*pipe.writer.get(), "a").ok()); });
  CHECK(WaitUntilReady(pipe.reader->own(), kReadable, 60'000'000'000).value());
}

}  // namespace interproc::test
