#include "os/mapping.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "os/memfd.h"
#include "support.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

Ref<MemoryFile> NewMemfd(uint64_t size, Pages pages = Pages::kReserved) {
  auto made = CreateMemfd("test", {}, size, pages);
  REQUIRE(made.ok());
  return made.value();
}

Ref<MemoryFile> ReadOnly(const Ref<MemoryFile>& file) {
  auto twin = MemoryFile::Duplicate(file->fd(), true);
  REQUIRE(twin.ok());
  return twin.value();
}

Ref<Mapping> Map(const Ref<MemoryFile>& file, uint64_t offset, size_t length) {
  auto mapping = Mapping::OfFile(file, offset, length);
  REQUIRE(mapping.ok());
  return mapping.value();
}

char ByteOf(const Ref<MemoryFile>& file, off_t offset) {
  char byte = '?';
  REQUIRE(pread(file->fd(), &byte, 1, offset) == 1);
  return byte;
}

bool IsMapped(const void* address) {
  unsigned char resident;
  return mincore(const_cast<void*>(address), 1, &resident) == 0;
}

// The compiler must not know what is stored or loaded here: other processes share it.
volatile char* Bytes(const Ref<Mapping>& mapping) { return mapping->data(); }

}  // namespace

TEST_CASE("mapping: what one process stores another one sees") {
  auto file = NewMemfd(4096);
  auto mapping = Map(file, 0, 4096);
  CHECK(ExitCodeOf([&] {
          auto theirs = Mapping::OfFile(file, 0, 4096);
          CHILD_EXPECT(theirs.ok());
          Bytes(theirs.value())[100] = 'x';
        }) == 0);
  CHECK(Bytes(mapping)[100] == 'x');
}

TEST_CASE("mapping: the offset need not be a multiple of the page size") {
  auto file = NewMemfd(4 * PageSize());
  const off_t odd = static_cast<off_t>(PageSize()) + 123;
  auto mapping = Map(file, odd, PageSize());
  CHECK(mapping->length() == PageSize());
  Bytes(mapping)[0] = 'a';
  Bytes(mapping)[PageSize() - 1] = 'z';
  CHECK(ByteOf(file, odd) == 'a');
  CHECK(ByteOf(file, odd + static_cast<off_t>(PageSize()) - 1) == 'z');
  CHECK(mapping->Sync(0, PageSize()).ok());
  CHECK(mapping->Lock(PageSize() - 1, 1, false).ok());
  CHECK(mapping->Unlock(PageSize() - 1, 1).ok());
}

TEST_CASE("mapping: an offset above 4 GiB is that offset and no other") {
  constexpr uint64_t kFar = (uint64_t{1} << 32) + 5;
  auto file = NewMemfd(kFar + 4096, Pages::kSparse);
  auto mapping = Map(file, kFar, 10);
  Bytes(mapping)[0] = 'f';
  CHECK(ByteOf(file, static_cast<off_t>(kFar)) == 'f');
  CHECK(ByteOf(file, 5) == 0);
}

TEST_CASE("mapping: after Close exposed addresses read zeros and the object is as it was") {
  auto file = NewMemfd(2 * PageSize());
  auto mapping = Map(file, 0, 2 * PageSize());
  mapping->MarkExposed();
  Bytes(mapping)[10] = 'k';
  mapping->Close();
  CHECK(mapping->closed());
  CHECK(Bytes(mapping)[10] == 0);
  Bytes(mapping)[10] = 'n';
  Bytes(mapping)[PageSize()] = 'n';
  CHECK(ByteOf(file, 10) == 'k');
  CHECK(ByteOf(file, static_cast<off_t>(PageSize())) == 0);
}

TEST_CASE("mapping: Close covers the pages that an odd length reaches into") {
  auto file = NewMemfd(3 * PageSize());
  auto mapping = Map(file, PageSize() - 1, PageSize() + 2);  // touches three pages
  mapping->MarkExposed();
  for (size_t i = 0; i < mapping->length(); ++i) Bytes(mapping)[i] = 'k';
  mapping->Close();
  for (size_t i = 0; i < mapping->length(); ++i) REQUIRE(Bytes(mapping)[i] == 0);
  CHECK(ByteOf(file, static_cast<off_t>(2 * PageSize())) == 'k');
}

TEST_CASE("mapping: the addresses are given back when the last reference goes and not before") {
  auto file = NewMemfd(PageSize());
  auto handle = Map(file, 0, PageSize());
  Ref<Mapping> backing_store = handle;
  const char* address = handle->data();
  handle->MarkExposed();
  handle->Close();
  handle = Ref<Mapping>();
  CHECK(IsMapped(address));
  CHECK(*address == 0);
  backing_store = Ref<Mapping>();
  CHECK_FALSE(IsMapped(address));
}

TEST_CASE("mapping: the last reference may go on another thread") {
  auto file = NewMemfd(PageSize());
  auto mapping = Map(file, 0, PageSize());
  const char* address = mapping->data();
  pthread_t thread;
  REQUIRE(pthread_create(
              &thread, nullptr,
              [](void* data) -> void* {
                static_cast<Mapping*>(data)->Release();
                return nullptr;
              },
              mapping.Leak()) == 0);
  pthread_join(thread, nullptr);
  CHECK_FALSE(IsMapped(address));
}

TEST_CASE("mapping: Close twice is Close once") {
  auto mapping = Map(NewMemfd(PageSize()), 0, PageSize());
  mapping->MarkExposed();
  mapping->Close();
  Bytes(mapping)[0] = 'x';
  mapping->Close();
  CHECK(Bytes(mapping)[0] == 'x');
  CHECK(mapping->fault() == Fault::kNone);
}

TEST_CASE("mapping: it keeps the file open until Close") {
  auto file = NewMemfd(PageSize());
  const int fd = file->fd();
  auto mapping = Map(file, 0, PageSize());
  file = Ref<MemoryFile>();
  CHECK(fcntl(fd, F_GETFD) != -1);
  mapping->Close();
  CHECK(fcntl(fd, F_GETFD) == -1);
}

TEST_CASE("mapping: a read-only one follows the object and keeps its own stores to itself") {
  auto file = NewMemfd(2 * PageSize());
  auto writer = Map(file, 0, 2 * PageSize());
  auto reader = Map(ReadOnly(file), 0, 2 * PageSize());
  Bytes(writer)[0] = 'a';
  CHECK(Bytes(reader)[0] == 'a');

  Bytes(reader)[1] = 'x';
  CHECK(Bytes(writer)[1] == 0);
  CHECK(ByteOf(file, 1) == 0);

  // That store froze its page, and no other.
  Bytes(writer)[0] = 'b';
  Bytes(writer)[PageSize()] = 'b';
  CHECK(Bytes(reader)[0] == 'a');
  CHECK(Bytes(reader)[PageSize()] == 'b');

  REQUIRE(reader->Refresh().ok());
  CHECK(Bytes(reader)[0] == 'b');
  CHECK(Bytes(reader)[1] == 0);
}

TEST_CASE("mapping: locking or populating a read-only one does not freeze its pages") {
  auto file = NewMemfd(PageSize());
  auto writer = Map(file, 0, PageSize());
  auto reader = Map(ReadOnly(file), 0, PageSize());
  REQUIRE(reader->Lock(0, PageSize(), false).ok());
  Bytes(writer)[0] = 'a';
  CHECK(Bytes(reader)[0] == 'a');
  // Linux 5.14
  if (reader->Advise(0, PageSize(), MADV_POPULATE_READ).ok()) {
    Bytes(writer)[0] = 'b';
    CHECK(Bytes(reader)[0] == 'b');
  }
  CHECK(reader->Unlock(0, PageSize()).ok());
}

TEST_CASE("mapping: Refresh leaves a writable one alone") {
  auto file = NewMemfd(PageSize());
  auto mapping = Map(file, 0, PageSize());
  Bytes(mapping)[0] = 'a';
  REQUIRE(mapping->Refresh().ok());
  CHECK(Bytes(mapping)[0] == 'a');
}

TEST_CASE("mapping: locking above RLIMIT_MEMLOCK is ENOMEM of mlock") {
  auto file = NewMemfd(16 * PageSize());
  CHECK(ExitCodeOf([&] {
          DropRights();
          const struct rlimit limit = {4 * PageSize(), 4 * PageSize()};
          CHILD_EXPECT(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
          auto mapping = Mapping::OfFile(file, 0, 16 * PageSize());
          CHILD_EXPECT(mapping.ok());
          CHILD_EXPECT(mapping.value()->Lock(0, 2 * PageSize(), false).ok());
          const Result<void> above = mapping.value()->Lock(0, 16 * PageSize(), false);
          CHILD_EXPECT(!above.ok() && above.error().number == ENOMEM);
          CHILD_EXPECT(std::string(above.error().syscall) == "mlock");
          CHILD_EXPECT(mapping.value()->Unlock(0, 16 * PageSize()).ok());
        }) == 0);
}

TEST_CASE("mapping: an advice that the kernel does not know is EINVAL of madvise") {
  auto mapping = Map(NewMemfd(PageSize()), 0, PageSize());
  const Result<void> advised = mapping->Advise(0, PageSize(), 12345);
  REQUIRE_FALSE(advised.ok());
  CHECK(advised.error().number == EINVAL);
  CHECK(std::string(advised.error().syscall) == "madvise");
}

TEST_CASE("mapping: advice counts for the pages it names only") {
  auto file = NewMemfd(4 * PageSize());
  auto mapping = Map(file, 0, 4 * PageSize());
  for (size_t page = 0; page < 4; ++page) Bytes(mapping)[page * PageSize()] = 'x';
  REQUIRE(mapping->Advise(PageSize(), PageSize(), MADV_REMOVE).ok());
  CHECK(Bytes(mapping)[0] == 'x');
  CHECK(Bytes(mapping)[PageSize()] == 0);
  CHECK(Bytes(mapping)[2 * PageSize()] == 'x');
}

TEST_CASE("mapping: more than the address space holds is ENOMEM of mmap") {
  auto mapping = Mapping::OfFile(NewMemfd(PageSize()), 0, size_t{1} << 50);
  REQUIRE_FALSE(mapping.ok());
  CHECK(mapping.error().number == ENOMEM);
  CHECK(std::string(mapping.error().syscall) == "mmap");
}

}  // namespace interproc::test
