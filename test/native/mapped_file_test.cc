#include "os/mapped_file.h"

#include <sys/stat.h>

#include "os/mapping.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

TEST_CASE("mapped_file: create makes a file of that size and says EEXIST the second time") {
  TempDirectory directory;
  const std::string path = directory.File("new");
  auto made = CreateMappedFile(path, {}, 12345, Pages::kReserved);
  REQUIRE(made.ok());
  CHECK(StatusOf(path, "stat").value().size == 12345);
  auto again = CreateMappedFile(path, {}, 1, Pages::kReserved);
  REQUIRE_FALSE(again.ok());
  CHECK(again.error().number == EEXIST);
  CHECK(std::string(again.error().syscall) == "open");
}

TEST_CASE("mapped_file: a path without a directory is below the current one") {
  TempDirectory directory;
  CHECK(ExitCodeOf([&] {
          CHILD_EXPECT(chdir(directory.path().c_str()) == 0);
          CHILD_EXPECT(CreateMappedFile("bare", {}, 10, Pages::kReserved).ok());
          CHILD_EXPECT(access(directory.File("bare").c_str(), F_OK) == 0);
        }) == 0);
}

TEST_CASE("mapped_file: errors of the path come with the number of the system call") {
  TempDirectory directory;
  WriteFile(directory.File("file"), "x");
  CHECK(CreateMappedFile(directory.File("no/where"), {}, 1, Pages::kReserved).error().number ==
        ENOENT);
  CHECK(CreateMappedFile(directory.File("file/below"), {}, 1, Pages::kReserved).error().number ==
        ENOTDIR);
  CHECK(CreateMappedFile(directory.path(), {}, 1, Pages::kReserved).error().number == EEXIST);
  CHECK(OpenMappedFile(directory.File("none"), false).error().number == ENOENT);
  CHECK(OpenMappedFile(directory.path(), false).error().number == EISDIR);
  CHECK(OpenMappedFile(directory.path(), true).error().number == ENODEV);
  CHECK(UnlinkMappedFile(directory.File("none")).error().number == ENOENT);
}

TEST_CASE("mapped_file: a symbolic link is followed by open and never replaced by create") {
  TempDirectory directory;
  WriteFile(directory.File("target"), "content");
  REQUIRE(symlink("target", directory.File("link").c_str()) == 0);
  REQUIRE(symlink("nowhere", directory.File("dangling").c_str()) == 0);
  auto opened = OpenMappedFile(directory.File("link"), true);
  REQUIRE(opened.ok());
  CHECK(SizeOf(opened.value()->fd()) == 7);
  CHECK(CreateMappedFile(directory.File("dangling"), {}, 1, Pages::kReserved).error().number ==
        EEXIST);
  CHECK(access(directory.File("nowhere").c_str(), F_OK) != 0);
}

TEST_CASE("mapped_file: what is stored through a mapping is in the file") {
  TempDirectory directory;
  const std::string path = directory.File("data");
  auto file = CreateMappedFile(path, {}, 8192, Pages::kReserved);
  REQUIRE(file.ok());
  auto mapping = Mapping::OfFile(file.value(), 0, 8192);
  REQUIRE(mapping.ok());
  std::memcpy(mapping.value()->data() + 4090, "over the page's end", 19);
  REQUIRE(mapping.value()->Sync(4090, 19).ok());
  char text[20] = {};
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(pread(fd.get(), text, 19, 4090) == 19);
  CHECK(std::string(text) == "over the page's end");
}

TEST_CASE("mapped_file: unlink takes the name and leaves the open file") {
  TempDirectory directory;
  const std::string path = directory.File("gone");
  auto file = CreateMappedFile(path, {}, 4096, Pages::kReserved);
  REQUIRE(file.ok());
  CHECK(file.value()->LinkedAt(path));
  REQUIRE(UnlinkMappedFile(path).ok());
  CHECK_FALSE(file.value()->LinkedAt(path));
  CHECK(Mapping::OfFile(file.value(), 0, 4096).ok());
}

}  // namespace interproc::test
