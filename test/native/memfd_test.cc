#include "os/memfd.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "support.h"

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

// F_SEAL_EXEC comes by itself where the kernel knows it.
int SealsOf(const Ref<MemoryFile>& file) { return file->Seals().value() & ~F_SEAL_EXEC; }

}  // namespace

TEST_CASE("memfd: new memory has its size and mode and no name") {
  auto made = CreateMemfd("label", {0640, std::nullopt, std::nullopt}, 10000, Pages::kReserved);
  REQUIRE(made.ok());
  const FileStatus status = StatusOf(made.value()->fd()).value();
  CHECK(status.size == 10000);
  CHECK(status.mode == 0640);
  CHECK(status.links == 0);
  CHECK(status.allocated >= 10000);
  CHECK_FALSE(made.value()->read_only());
}

TEST_CASE("memfd: the label shows in proc") {
  auto made = CreateMemfd("interproc-label", {}, 1, Pages::kReserved);
  REQUIRE(made.ok());
  char target[256] = {};
  const std::string link = "/proc/self/fd/" + std::to_string(made.value()->fd());
  REQUIRE(readlink(link.c_str(), target, sizeof(target) - 1) > 0);
  CHECK(std::string(target).find("memfd:interproc-label") != std::string::npos);
}

TEST_CASE("memfd: a label that is too long is EINVAL") {
  auto made = CreateMemfd(std::string(250, 'x'), {}, 1, Pages::kReserved);
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().number == EINVAL);
  CHECK(std::string(made.error().syscall) == "memfd_create");
}

TEST_CASE("memfd: seals bind whoever holds the descriptor") {
  auto made = CreateMemfd("", {}, 4096, Pages::kReserved);
  REQUIRE(made.ok());
  CHECK(SealsOf(made.value()) == 0);
  REQUIRE(made.value()->AddSeals(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL).ok());
  CHECK(SealsOf(made.value()) == (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
  CHECK(made.value()->Resize(0, Pages::kReserved).error().number == EPERM);
  CHECK(made.value()->Resize(8192, Pages::kReserved).error().number == EPERM);
  CHECK(made.value()->AddSeals(F_SEAL_WRITE).error().number == EPERM);
  CHECK(ExitCodeOf(
            [&] { CHILD_EXPECT(ftruncate(made.value()->fd(), 0) == -1 && errno == EPERM); }) == 0);
  CHECK(StatusOf(made.value()->fd()).value().size == 4096);
}

TEST_CASE("memfd: memory sealed against writing is read-only for whoever duplicates it") {
  for (const int seal : {F_SEAL_WRITE, F_SEAL_FUTURE_WRITE}) {
    auto made = CreateMemfd("", {}, 4096, Pages::kReserved);
    REQUIRE(made.ok());
    CHECK_FALSE(MemoryFile::Duplicate(made.value()->fd(), false).value()->read_only());
    REQUIRE(made.value()->AddSeals(seal).ok());
    CHECK(MemoryFile::Duplicate(made.value()->fd(), false).value()->read_only());
  }
}

TEST_CASE("memfd: the descriptor does not survive an exec") {
  auto made = CreateMemfd("", {}, 1, Pages::kReserved);
  REQUIRE(made.ok());
  CHECK((fcntl(made.value()->fd(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("memfd: memory that can't be had is refused before any page is taken") {
  // Half an exabyte: more than any machine has.
  auto made = CreateMemfd("", {}, uint64_t{1} << 59, Pages::kReserved);
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().number == ENOMEM);
  CHECK(CreateMemfd("", {}, uint64_t{1} << 40, Pages::kSparse).ok());
}

}  // namespace interproc::test
