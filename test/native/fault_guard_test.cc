#include "os/fault_guard.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include <vector>

#include "os/mapped_file.h"
#include "os/mapping.h"
#include "os/memfd.h"
#include "seccomp.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

constexpr size_t kPages = 8;

volatile char* Bytes(const Ref<Mapping>& mapping) { return mapping->data(); }

// A mapped object that others can shrink.
struct Shrinkable {
  Shrinkable() : file(CreateMemfd("test", {}, kPages * PageSize(), Pages::kReserved).value()) {
    mapping = Mapping::OfFile(file, 0, kPages * PageSize()).value();
    for (size_t page = 0; page < kPages; ++page) Bytes(mapping)[page * PageSize()] = 'x';
  }
  void ShrinkTo(uint64_t size) const {
    CHILD_EXPECT(ftruncate(file->fd(), static_cast<off_t>(size)) == 0);
  }

  Ref<MemoryFile> file;
  Ref<Mapping> mapping;
};

// Memory that the guard doesn't know and whose pages are gone: whoever touches it gets SIGBUS.
volatile char* ForeignHole() {
  UniqueFd fd(static_cast<int>(memfd_create("foreign", MFD_CLOEXEC)));
  CHILD_EXPECT(ftruncate(fd.get(), static_cast<off_t>(PageSize())) == 0);
  void* address = mmap(nullptr, PageSize(), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  CHILD_EXPECT(address != MAP_FAILED);
  CHILD_EXPECT(ftruncate(fd.get(), 0) == 0);
  return static_cast<volatile char*>(address);
}

// Sanitizers have handlers of their own, which end a process in their own way.
void ForgetHandlersOfSanitizers() {
  signal(SIGBUS, SIG_DFL);
  signal(SIGSEGV, SIG_DFL);
}

bool HandlesNow(int signal, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction now;
  return sigaction(signal, nullptr, &now) == 0 && now.sa_sigaction == handler;
}

void Install(int signal, void (*handler)(int, siginfo_t*, void*), struct sigaction* before) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO;
  CHILD_EXPECT(sigaction(signal, &action, before) == 0);
}

// Handlers that somebody else might have. Exit codes tell which one ran.
volatile char* expected_address = nullptr;

void ExitWith42(int, siginfo_t* info, void*) { _exit(info->si_addr == expected_address ? 42 : 43); }

void OldStyle(int) { _exit(44); }

struct sigaction before_chaining;
int chained = 0;

// As well-behaved libraries do: hands on what is not its own to the handler it found.
void Chain(int signal, siginfo_t* info, void* context) {
  ++chained;
  before_chaining.sa_sigaction(signal, info, context);
}

sigjmp_buf recovery;

void JumpOut(int, siginfo_t*, void*) { siglongjmp(recovery, 1); }

}  // namespace

TEST_CASE("fault_guard: a mapping whose file another process truncates reads zeros and says so") {
  TempDirectory directory;
  const std::string path = directory.File("data");
  auto file = CreateMappedFile(path, {}, kPages * PageSize(), Pages::kReserved);
  REQUIRE(file.ok());
  auto mapping = Mapping::OfFile(file.value(), 0, kPages * PageSize()).value();
  for (size_t page = 0; page < kPages; ++page) Bytes(mapping)[page * PageSize()] = 'x';
  CHECK(mapping->fault() == Fault::kNone);

  CHECK(ExitCodeOf([&] { CHILD_EXPECT(truncate(path.c_str(), 2 * PageSize()) == 0); }) == 0);
  CHECK(mapping->fault() == Fault::kNone);  // nobody has touched it yet
  CHECK(Bytes(mapping)[3 * PageSize()] == 0);
  CHECK(mapping->fault() == Fault::kTruncated);
  CHECK(Bytes(mapping)[PageSize()] == 'x');
  CHECK(Bytes(mapping)[(kPages - 1) * PageSize()] == 0);
}

TEST_CASE("fault_guard: a store into what was cut off goes nowhere") {
  Shrinkable object;
  object.ShrinkTo(PageSize());
  Bytes(object.mapping)[2 * PageSize()] = 'y';
  CHECK(Bytes(object.mapping)[2 * PageSize()] == 'y');
  CHECK(object.mapping->fault() == Fault::kTruncated);
  CHECK(SizeOf(object.file->fd()) == PageSize());
  object.ShrinkTo(kPages * PageSize());
  char byte = '?';
  REQUIRE(pread(object.file->fd(), &byte, 1, static_cast<off_t>(2 * PageSize())) == 1);
  CHECK(byte == 0);
}

TEST_CASE("fault_guard: a mapping that begins inside the file knows where it was cut") {
  auto file = CreateMemfd("test", {}, kPages * PageSize(), Pages::kReserved).value();
  auto mapping = Mapping::OfFile(file, 4 * PageSize() + 10, 3 * PageSize()).value();
  for (size_t i = 0; i < mapping->length(); ++i) Bytes(mapping)[i] = 'x';
  REQUIRE(ftruncate(file->fd(), static_cast<off_t>(5 * PageSize())) == 0);
  CHECK(Bytes(mapping)[PageSize()] == 0);
  CHECK(mapping->fault() == Fault::kTruncated);
  CHECK(Bytes(mapping)[0] == 'x');
}

TEST_CASE("fault_guard: a copy by the C library over the end survives") {
  Shrinkable object;
  object.ShrinkTo(3 * PageSize());
  std::vector<char> copy(kPages * PageSize(), '?');
  std::memcpy(copy.data(), object.mapping->data(), copy.size());
  CHECK(copy[2 * PageSize()] == 'x');
  CHECK(copy[3 * PageSize()] == 0);
  CHECK(copy[copy.size() - 1] == 0);
}

TEST_CASE("fault_guard: a read-only mapping survives truncation too") {
  Shrinkable object;
  auto twin = MemoryFile::Duplicate(object.file->fd(), true).value();
  auto reader = Mapping::OfFile(twin, 0, kPages * PageSize()).value();
  object.ShrinkTo(0);
  CHECK(Bytes(reader)[0] == 0);
  CHECK(reader->fault() == Fault::kTruncated);
}

namespace {

// Not looked at by ThreadSanitizer: it takes the pages that the handler maps under another thread's
// loads for a store, but the kernel swaps them in one.
__attribute__((no_sanitize("thread"))) void* FirstOtherThanZero(void* data) {
  auto* bytes = static_cast<volatile char*>(data);
  for (size_t i = 0; i < kPages * PageSize(); ++i) {
    if (bytes[i] != 0) return data;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("fault_guard: many threads may fall into one hole at once") {
  constexpr int kThreads = 8;
  Shrinkable object;
  object.ShrinkTo(0);
  pthread_t threads[kThreads];
  for (pthread_t& thread : threads) {
    REQUIRE(pthread_create(&thread, nullptr, FirstOtherThanZero, object.mapping->data()) == 0);
  }
  for (pthread_t thread : threads) {
    void* found = nullptr;
    pthread_join(thread, &found);
    CHECK(found == nullptr);
  }
  CHECK(object.mapping->fault() == Fault::kTruncated);
}

TEST_CASE(
    "fault_guard: a file system that fills up under a sparse object is told from truncation") {
  CHECK(ExitCodeWithOwnMounts([] {
          constexpr size_t kRoom = 16;
          MountTmpfs("/dev/shm", kRoom * PageSize());
          ShmName name;
          auto file = CreatePosixShm(name.get(), {}, 4 * kRoom * PageSize(), Pages::kSparse);
          CHILD_EXPECT(file.ok());
          auto mapping = Mapping::OfFile(file.value(), 0, 4 * kRoom * PageSize()).value();
          for (size_t page = 0; page < 4 * kRoom; ++page) Bytes(mapping)[page * PageSize()] = 'x';
          CHILD_EXPECT(mapping->fault() == Fault::kUnbacked);
          // What found no room is still there to be read, and what found some is the object's.
          CHILD_EXPECT(Bytes(mapping)[(4 * kRoom - 1) * PageSize()] == 'x');
          CHILD_EXPECT(pwrite(file.value()->fd(), "y", 1, 0) == 1);
          CHILD_EXPECT(Bytes(mapping)[0] == 'y');
        }) == 0);
}

TEST_CASE("fault_guard: an entry is used again once its range is gone and forgets its fault") {
  void* address = mmap(nullptr, PageSize(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const GuardedRange range{address, PageSize(), PageSize(), -1, 0};
  GuardEntry* first = RegisterRange(range);
  UnregisterRange(first);
  GuardEntry* second = RegisterRange(range);
  CHECK(first == second);
  UnregisterRange(second);
  munmap(address, PageSize());

  Shrinkable truncated;
  truncated.ShrinkTo(0);
  CHECK(Bytes(truncated.mapping)[0] == 0);
  CHECK(truncated.mapping->fault() == Fault::kTruncated);
  truncated.mapping = Ref<Mapping>();
  CHECK(Shrinkable().mapping->fault() == Fault::kNone);
}

TEST_CASE("fault_guard: the interrupted code finds its errno as it was") {
  Shrinkable object;
  object.ShrinkTo(0);
  errno = 12345;
  (void)Bytes(object.mapping)[0];
  CHECK(errno == 12345);
}

TEST_CASE("fault_guard: a SIGBUS elsewhere ends the process when nobody else had a handler") {
  CHECK(EndingSignalOf([] {
          ForgetHandlersOfSanitizers();
          Shrinkable first;
          Shrinkable second;
          first.ShrinkTo(0);
          CHILD_EXPECT(Bytes(first.mapping)[0] == 0);
          CHILD_EXPECT(second.mapping->fault() == Fault::kNone);
          *ForeignHole() = 'x';
        }) == SIGBUS);
}

TEST_CASE("fault_guard: a SIGBUS elsewhere goes to the handler that was there before") {
  CHECK(ExitCodeOf([] {
          Install(SIGBUS, ExitWith42, nullptr);
          Shrinkable first;
          Shrinkable second;
          expected_address = ForeignHole();
          *expected_address = 'x';
        }) == 42);
  CHECK(ExitCodeOf([] {
          signal(SIGBUS, OldStyle);
          Shrinkable object;
          *ForeignHole() = 'x';
        }) == 44);
}

TEST_CASE("fault_guard: a SIGBUS elsewhere does not go on for ever where madvise only says yes") {
  CHECK(ExitCodeOf([] {
          // As qemu-user does: nothing, and that is a success.
          RefuseCall(SYS_madvise, 2, MADV_POPULATE_READ, 0);
          RefuseCall(SYS_madvise, 2, MADV_POPULATE_WRITE, 0);
          Install(SIGBUS, ExitWith42, nullptr);
          Shrinkable object;
          expected_address = ForeignHole();
          *expected_address = 'x';
        }) == 42);
}

TEST_CASE("fault_guard: a SIGBUS in a range that is no longer guarded is foreign") {
  CHECK(ExitCodeOf([] {
          Install(SIGBUS, ExitWith42, nullptr);
          volatile char* hole = ForeignHole();
          expected_address = hole;
          const GuardedRange range{const_cast<char*>(hole), PageSize(), PageSize(), -1, 0};
          UnregisterRange(RegisterRange(range));
          *hole = 'x';
        }) == 42);
}

TEST_CASE("fault_guard: a SIGBUS that a process sends does what it did before") {
  CHECK(EndingSignalOf([] {
          ForgetHandlersOfSanitizers();
          Shrinkable object;
          raise(SIGBUS);
        }) == SIGBUS);
  CHECK(ExitCodeOf([] {
          signal(SIGBUS, SIG_IGN);
          Shrinkable object;
          raise(SIGBUS);
        }) == 0);
}

TEST_CASE("fault_guard: ignoring SIGBUS does not make a real one go on for ever") {
  CHECK(EndingSignalOf([] {
          signal(SIGBUS, SIG_IGN);
          Shrinkable object;
          *ForeignHole() = 'x';
        }) == SIGBUS);
}

TEST_CASE("fault_guard: KeepHandlersInstalled puts back what somebody replaced") {
  CHECK(ExitCodeOf([] {
          Shrinkable object;
          Install(SIGBUS, ExitWith42, nullptr);
          CHILD_EXPECT(HandlesNow(SIGBUS, ExitWith42));
          KeepHandlersInstalled();
          CHILD_EXPECT(!HandlesNow(SIGBUS, ExitWith42));
          object.ShrinkTo(0);
          CHILD_EXPECT(Bytes(object.mapping)[0] == 0);
          CHILD_EXPECT(object.mapping->fault() == Fault::kTruncated);
          // What is not ours goes to the replacement.
          expected_address = ForeignHole();
          *expected_address = 'x';
        }) == 42);
}

TEST_CASE("fault_guard: a new mapping puts the handler back too") {
  CHECK(ExitCodeOf([] {
          Shrinkable first;
          Install(SIGBUS, ExitWith42, nullptr);
          Shrinkable second;
          first.ShrinkTo(0);
          CHILD_EXPECT(Bytes(first.mapping)[0] == 0);
        }) == 0);
}

TEST_CASE(
    "fault_guard: with a handler that chains to ours a foreign fault ends and does not loop") {
  CHECK(EndingSignalOf([] {
          ForgetHandlersOfSanitizers();
          Shrinkable object;
          Install(SIGBUS, Chain, &before_chaining);
          KeepHandlersInstalled();
          object.ShrinkTo(0);
          CHILD_EXPECT(Bytes(object.mapping)[0] == 0);
          CHILD_EXPECT(chained == 0);
          *ForeignHole() = 'x';
        }) == SIGBUS);
}

TEST_CASE("fault_guard: with a handler that chains to ours the first handler gets its faults") {
  CHECK(ExitCodeOf([] {
          Install(SIGBUS, ExitWith42, nullptr);
          Shrinkable object;
          Install(SIGBUS, Chain, &before_chaining);
          KeepHandlersInstalled();
          KeepHandlersInstalled();
          expected_address = ForeignHole();
          *expected_address = 'x';
        }) == 42);
}

TEST_CASE("fault_guard: a handler that chains to ours and is in front leaves our faults to us") {
  CHECK(ExitCodeOf([] {
          Shrinkable object;
          Install(SIGBUS, Chain, &before_chaining);
          object.ShrinkTo(0);
          CHILD_EXPECT(Bytes(object.mapping)[0] == 0);
          CHILD_EXPECT(chained == 1);
          CHILD_EXPECT(object.mapping->fault() == Fault::kTruncated);
        }) == 0);
}

TEST_CASE("fault_guard: a previous handler may leave by siglongjmp as often as it likes") {
  CHECK(ExitCodeOf([] {
          Install(SIGBUS, JumpOut, nullptr);
          Shrinkable object;
          volatile char* hole = ForeignHole();
          volatile int jumps = 0;
          while (jumps < 5) {
            if (sigsetjmp(recovery, 1) == 0) {
              *hole = 'x';
            } else {
              jumps = jumps + 1;
            }
          }
        }) == 0);
}

TEST_CASE("fault_guard: SIGSEGV is left alone until a System V segment is attached read-only") {
  CHECK(ExitCodeOf([] {
          Install(SIGSEGV, ExitWith42, nullptr);
          Shrinkable object;
          CHILD_EXPECT(HandlesNow(SIGSEGV, ExitWith42));
          const int id = shmget(IPC_PRIVATE, PageSize(), 0600);
          auto writable = Mapping::OfSysv(id, false);
          CHILD_EXPECT(HandlesNow(SIGSEGV, ExitWith42));
          auto read_only = Mapping::OfSysv(id, true);
          shmctl(id, IPC_RMID, nullptr);
          CHILD_EXPECT(read_only.ok());
          CHILD_EXPECT(!HandlesNow(SIGSEGV, ExitWith42));
        }) == 0);
}

TEST_CASE("fault_guard: a SIGSEGV elsewhere goes where it went before") {
  const auto attach = [] {
    const int id = shmget(IPC_PRIVATE, PageSize(), 0600);
    auto mapping = Mapping::OfSysv(id, true);
    shmctl(id, IPC_RMID, nullptr);
    CHILD_EXPECT(mapping.ok());
    return mapping.value();
  };
  const auto forbidden = [] {
    return static_cast<volatile char*>(
        mmap(nullptr, PageSize(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  };
  CHECK(EndingSignalOf([&] {
          ForgetHandlersOfSanitizers();
          auto mapping = attach();
          *forbidden() = 'x';
        }) == SIGSEGV);
  CHECK(ExitCodeOf([&] {
          Install(SIGSEGV, ExitWith42, nullptr);
          auto mapping = attach();
          expected_address = forbidden();
          *expected_address = 'x';
        }) == 42);
}

}  // namespace interproc::test
