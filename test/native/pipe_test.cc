// Pipes and FIFOs: pipe.h, fifo.h, and drafts, by which FIFOs appear: draft.h.
#include "os/pipe.h"

#include "os/draft.h"
#include "os/fifo.h"
#include "os/file_status.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

constexpr uint64_t kLong = 60'000'000'000;

Ref<BlockingCall> StartCall(BlockingCall::Work work) {
  Result<Ref<BlockingCall>> call = BlockingCall::Start(*Threads().get(), std::move(work), [] {});
  MUST(call.ok());
  return call.value();
}

Ref<BlockingCall> StartOpening(const std::string& path, FifoAccess access) {
  return StartCall(
      [path, access](const BlockingCall& call) { return OpenFifo(call, path, access); });
}

Outcome OutcomeOf(const Ref<BlockingCall>& call) {
  while (!call->over()) call->Wait(kLong);
  return call->TakeOutcome();
}

// Files beside each other, one of them a FIFO.
struct Fifo {
  Fifo() { MUST(CreateFifo(path, {}).ok()); }
  TempDirectory folder;
  const std::string path = folder.File("fifo");
};

int CountFiles(const std::string& folder) {
  DIR* entries = opendir(folder.c_str());
  MUST(entries != nullptr);
  int count = 0;
  while (readdir(entries) != nullptr) ++count;
  closedir(entries);
  return count - 2;  // "." and ".."
}

}  // namespace

TEST_CASE("pipe: only a pipe that is open for that is taken over") {
  const Pipe pipe;
  CHECK(DuplicatePipe(pipe.reader(), DescriptorKind::kPipeReader, false).ok());
  CHECK(DuplicatePipe(pipe.writer(), DescriptorKind::kPipeWriter, false).ok());
  const auto error_of = [](int fd, DescriptorKind kind) {
    return DuplicatePipe(fd, kind, false).error().number;
  };
  CHECK(error_of(pipe.reader(), DescriptorKind::kPipeWriter) == EBADF);
  CHECK(error_of(pipe.writer(), DescriptorKind::kPipeReader) == EBADF);
  CHECK(error_of(-1, DescriptorKind::kPipeReader) == EBADF);
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  CHECK(error_of(null.get(), DescriptorKind::kPipeReader) == EINVAL);
  const Fifo fifo;
  const UniqueFd bare(open(fifo.path.c_str(), O_PATH | O_CLOEXEC));
  CHECK(error_of(bare.get(), DescriptorKind::kPipeReader) == EBADF);
}

TEST_CASE("pipe: its capacity is rounded up, and not below what is in it") {
  Result<os::Pipe> made = CreatePipe(false);
  REQUIRE(made.ok());
  const Descriptor& writer = *made.value().writer.get();
  const int page = static_cast<int>(PageSize());
  CHECK(SetPipeCapacity(writer, page + 1).value() == 2 * page);
  CHECK(PipeCapacity(*made.value().reader.get()).value() == 2 * page);
  const std::string data(2 * page, 'x');
  REQUIRE(write(writer.fd(), data.data(), data.size()) == 2 * page);
  CHECK(BytesInPipe(writer).value() == 2 * page);
  CHECK(SetPipeCapacity(writer, page).error().number == EBUSY);
}

TEST_CASE("splice: moves all until the end, and tells how far it came when it is cancelled") {
  const Pipe from;
  const Pipe to;
  const auto moving = [&](uint64_t length) {
    return StartCall([&from, &to, length](const BlockingCall& call) {
      return SpliceAll(call, from.reader(), to.writer(), length);
    });
  };
  const Ref<BlockingCall> whole = moving(2);
  from.Put('a');
  CHECK(to.Get<char>() == 'a');
  CHECK(!whole->over());
  from.Put('b');
  const Outcome done = OutcomeOf(whole);
  CHECK(done.error.number == 0);
  CHECK(done.number == 2);

  const Ref<BlockingCall> cut = moving(100);
  from.Put('c');
  CHECK(to.Get<char>() == 'b');
  CHECK(to.Get<char>() == 'c');
  cut->Cancel();
  CHECK(cut->TakeOutcome().number == 1);
}

TEST_CASE("splice: fewer bytes than asked for are the end of the source, which is no error") {
  Pipe from;
  const Pipe to;
  from.Put('a');
  from.CloseWriter();
  const Outcome outcome = OutcomeOf(StartCall(
      [&](const BlockingCall& call) { return SpliceAll(call, from.reader(), to.writer(), 100); }));
  CHECK(outcome.error.number == 0);
  CHECK(outcome.number == 1);
}

TEST_CASE("tee: waits for data and for room, and takes nothing") {
  const Pipe from;
  const Pipe to;
  const Ref<BlockingCall> call = StartCall([&](const BlockingCall& running) {
    return TeeOnce(running, from.reader(), to.writer(), 100);
  });
  CHECK(!call->over());
  from.Put('a');
  CHECK(OutcomeOf(call).number == 1);
  CHECK(to.Get<char>() == 'a');
  CHECK(from.Get<char>() == 'a');
  const Ref<BlockingCall> cut = StartCall([&](const BlockingCall& running) {
    return TeeOnce(running, from.reader(), to.writer(), 100);
  });
  cut->Cancel();
  CHECK(cut->TakeOutcome().error.number == ECANCELED);
}

TEST_CASE("fifo: appears with its mode whatever the umask, and no draft stays") {
  for (const mode_t mask : {0000, 0077, 0777}) {
    CHECK(ExitCodeOf([mask] {
            DropRights();
            const TempDirectory folder;
            const std::string path = folder.File("fifo");
            umask(mask);
            CHILD_EXPECT(CreateFifo(path, {0624, {}, {}}).ok());
            const Result<FileStatus> status = StatusOf(path, "stat");
            CHILD_EXPECT(S_ISFIFO(status.value().type) && status.value().mode == 0624);
            CHILD_EXPECT(CreateFifo(path, {}).error().number == EEXIST);
            CHILD_EXPECT(CountFiles(folder.path()) == 1);
            CHILD_EXPECT(UnlinkFifo(path).ok());
            const std::string long_name = folder.File(std::string(300, 'n'));
            CHILD_EXPECT(CreateFifo(long_name, {}).error().number == ENAMETOOLONG);
            CHILD_EXPECT(CountFiles(folder.path()) == 0);
            umask(0);
          }) == 0);
  }
}

TEST_CASE("fifo: what is none is neither opened nor removed") {
  const TempDirectory folder;
  const std::string file = folder.File("file");
  WriteFile(file, "content");
  for (const std::string& path : {file, folder.path(), std::string("/dev/null")}) {
    CHECK(TryOpenFifo(path, FifoAccess::kWriting).error().number == EINVAL);
    CHECK(OutcomeOf(StartOpening(path, FifoAccess::kReading)).error.number == EINVAL);
    CHECK(UnlinkFifo(path).error().number == EINVAL);
  }
  CHECK(StatusOf(file, "stat").value().size == 7);
}

TEST_CASE("fifo: two that open it find each other, and a try finds who is there") {
  const Fifo fifo;
  CHECK(!TryOpenFifo(fifo.path, FifoAccess::kReading).value().valid());
  CHECK(!TryOpenFifo(fifo.path, FifoAccess::kWriting).value().valid());
  const Ref<BlockingCall> reading = StartOpening(fifo.path, FifoAccess::kReading);
  const Ref<BlockingCall> writing = StartOpening(fifo.path, FifoAccess::kWriting);
  const Outcome reader = OutcomeOf(reading);
  const Outcome writer = OutcomeOf(writing);
  REQUIRE(reader.fd.valid());
  REQUIRE(writer.fd.valid());
  const UniqueFd another = std::move(TryOpenFifo(fifo.path, FifoAccess::kReading).value());
  REQUIRE(another.valid());
  for (const int fd : {reader.fd.get(), writer.fd.get(), another.get()}) {
    CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  }
}

TEST_CASE("fifo: an opening that is cancelled leaves nothing") {
  const Fifo fifo;
  const int threads = CountThreads();
  const int descriptors = CountInProc("fd");
  for (int round = 0; round < 50; ++round) {
    const Ref<BlockingCall> opening =
        StartOpening(fifo.path, round % 2 == 0 ? FifoAccess::kReading : FifoAccess::kWriting);
    opening->Cancel();
    REQUIRE(opening->TakeOutcome().error.number == ECANCELED);
  }
  Until([&] { return CountInProc("task") == threads; });
  CHECK(CountInProc("fd") == descriptors);
}

TEST_CASE("draft: gets its name where that is free, and replaces nothing") {
  const TempDirectory folder;
  const std::string path = folder.File("name");
  const std::string draft = DraftOf(path).value();
  CHECK(DirectoryOf(draft) == folder.path());
  CHECK(draft != DraftOf(path).value());
  WriteFile(draft, "new");
  WriteFile(path, "old one");
  CHECK(!RenameExclusively(draft, path));
  CHECK(errno == EEXIST);
  CHECK(StatusOf(path, "stat").value().size == 7);
  unlink(path.c_str());
  CHECK(RenameExclusively(draft, path));
  CHECK(StatusOf(path, "stat").value().size == 3);
  CHECK(CountFiles(folder.path()) == 1);
  CHECK(DirectoryOf("name") == ".");
  CHECK(DirectoryOf("/name") == "/");
}

}  // namespace interproc::test
