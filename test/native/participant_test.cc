// Participants of an env and their roles: participant.h. What the protocol itself does is tested
// with the functions of interproc.h, in channel_*_test.cc.
#include "os/participant.h"

#include "os/mapped_file.h"
#include "os/memfd.h"
#include "support.h"

namespace interproc::test {

using namespace interproc::os;  // NOLINT(google-build-using-namespace)

namespace {

Participant::Registry NewEnv() { return Participant::Registry::Adopt(new ParticipantRegistry()); }

SegmentOptions Sized(uint32_t capacity, bool persist = false) {
  SegmentOptions options;
  options.capacity = capacity;
  options.persist = persist;
  return options;
}

// A name, and what there is to do with it in some env.
struct Name {
  ShmName name;

  std::string path() const { return name.path(); }
  bool exists() const { return name.exists(); }
  Result<Ref<Participant>> Create(const Participant::Registry& env, uint32_t capacity = 64,
                                  bool persist = false) const {
    return Participant::Create(env, path(), Sized(capacity, persist), "shm_open");
  }
  Result<Ref<Participant>> Join(const Participant::Registry& env, bool read_only = false) const {
    const Result<Ref<MemoryFile>> file = OpenPosixShm(name.get(), read_only);
    MUST(file.ok());
    return Participant::Join(env, file.value(), path());
  }
};

uint32_t RoleOf(const Ref<Participant>& participant, interproc_side side) {
  return interproc__load(&participant->header()->role[side].owner);
}

}  // namespace

TEST_CASE("participant: however often an env opens a segment, it takes part once") {
  const Name name;
  const auto env = NewEnv();
  const auto other_env = NewEnv();
  auto created = name.Create(env).value();
  auto joined = name.Join(env).value();
  CHECK(joined.get() == created.get());
  CHECK(created->Owners().value().size() == 1);
  auto other = name.Join(other_env).value();
  CHECK(other.get() != created.get());
  CHECK(other->owner().id != created->owner().id);
  CHECK(created->Owners().value().size() == 2);
  CHECK(created->Alive(other->owner().id).value());
  const uint32_t id = created->owner().id;
  created = {};
  CHECK(other->Alive(id).value());  // there is a second reference
  joined = {};
  CHECK(!other->Alive(id).value());
  CHECK(other->Owners().value().size() == 1);
}

TEST_CASE("participant: the last reference of the last env removes the name") {
  const Name name;
  const auto env = NewEnv();
  const auto other_env = NewEnv();
  auto first = name.Create(env).value();
  auto second = name.Join(env).value();
  auto other = name.Join(other_env).value();
  first = {};
  second = {};
  CHECK(name.exists());
  other = {};
  CHECK(!name.exists());
  name.Create(env, 64, true).value();
  CHECK(name.exists());
}

TEST_CASE("participant: an env that has left may come again, as another") {
  const Name name;
  const auto env = NewEnv();
  const auto other_env = NewEnv();
  auto keeper = name.Create(other_env).value();
  const uint32_t first = name.Join(env).value()->owner().id;
  const auto again = name.Join(env).value();
  CHECK(again->owner().id != first);
  CHECK(env->Find(*again->file().get()).get() == again.get());
}

TEST_CASE("participant: reading only and writing are two participants, of which one shows") {
  const Name name;
  const auto env = NewEnv();
  const auto writer = name.Create(env).value();
  const auto reader = name.Join(env, true).value();
  CHECK(reader.get() != writer.get());
  CHECK((reader->owner().id & INTERPROC_READER_BIT) != 0);
  CHECK(name.Join(env, true).value().get() == reader.get());
  CHECK(name.Join(env).value().get() == writer.get());
  CHECK(writer->Owners().value().size() == 2);
  CHECK(interproc_find_participant(reader->header(), reader->owner().id) == nullptr);
  CHECK(interproc_find_participant(reader->header(), writer->owner().id) != nullptr);
}

TEST_CASE("participant: an anonymous segment is sealed, and joined by its descriptor") {
  const auto env = NewEnv();
  const auto other_env = NewEnv();
  const auto created = Participant::CreateAnonymous(env, Sized(4096)).value();
  CHECK(created->capacity() == 4096);
  CHECK(created->path().empty());
  CHECK((created->file()->Seals().value() & (F_SEAL_SHRINK | F_SEAL_GROW)) ==
        (F_SEAL_SHRINK | F_SEAL_GROW));
  const auto file = MemoryFile::Duplicate(created->file()->fd(), false).value();
  CHECK(Participant::Join(env, file, "").value().get() == created.get());
  const auto other = Participant::Join(other_env, file, "").value();
  CHECK(other->capacity() == 4096);
  CHECK(created->Owners().value().size() == 2);
}

TEST_CASE("participant: a name is in use while one lives, and is taken over from the dead") {
  const Name name;
  const auto env = NewEnv();
  CHECK(EndingSignalOf([&] {
          (void)name.Create(NewEnv(), 64).value().Leak();
          kill(getpid(), SIGKILL);
        }) == SIGKILL);
  REQUIRE(name.exists());
  const auto created = name.Create(env, 128).value();
  CHECK(created->capacity() == 128);
  CHECK(name.Create(NewEnv()).error().number == EEXIST);
  CHECK(name.Create(env).error().number == EEXIST);
  CHECK(created->Owners().value().size() == 1);  // nobody is left of the attempts
}

TEST_CASE("participant: what is no segment is left alone, and joined by nobody") {
  const Name name;
  const auto env = NewEnv();
  WriteFile(name.path(), std::string(10'000, 'x'));
  CHECK(name.Create(env).error().number == EEXIST);
  CHECK(name.Join(env).error().number == -INTERPROC_MISMATCH);
  CHECK(SizeOf(UniqueFd(open(name.path().c_str(), O_RDONLY | O_CLOEXEC)).get()) == 10'000);
  WriteFile(name.path(), "");
  CHECK(name.Join(env).error().number == -INTERPROC_NOT_READY);
  WriteFile(name.path(), std::string(8192, '\0'));
  CHECK(name.Join(env).error().number == -INTERPROC_NOT_READY);
}

TEST_CASE("participant: one whose name is gone is joined no more, by no env") {
  const Name name;
  const auto env = NewEnv();
  const auto created = name.Create(env).value();
  const auto file = OpenPosixShm(name.name.get(), false).value();
  REQUIRE(UnlinkPosixShm(name.name.get()).ok());
  CHECK(Participant::Join(NewEnv(), file, name.path()).error().number == -INTERPROC_UNLINKED);
  CHECK(Participant::Join(env, file, name.path()).error().number == -INTERPROC_UNLINKED);
}

TEST_CASE("participant: a failed create or join leaves no descriptor and no lock") {
  const Name name;
  const auto env = NewEnv();
  const auto created = name.Create(env).value();
  const int fds = CountInProc("fd");
  CHECK(!name.Create(NewEnv()).ok());
  SegmentOptions huge = Sized(1u << 30);
  CHECK(ExitCodeOf([&] {
          TakeOwnMounts();
          MountTmpfs("/dev/shm", 1 << 20);
          const Result<Ref<Participant>> full =
              Participant::Create(NewEnv(), "/dev/shm/full", huge, "shm_open");
          CHILD_EXPECT(!full.ok());
          CHILD_EXPECT(full.error().number == ENOSPC);
          CHILD_EXPECT(access("/dev/shm/full", F_OK) != 0);
        }) % kSkipped ==
        0);
  created->header()->id.state = INTERPROC_RETIRED;
  CHECK(!name.Join(NewEnv()).ok());
  created->header()->id.state = INTERPROC_READY;
  CHECK(CountInProc("fd") == fds);
  CHECK(created->Owners().value().size() == 1);
}

TEST_CASE("participant: a segment that was truncated reads as zeros, and can be left") {
  const Name name;
  const auto env = NewEnv();
  auto created = name.Create(env, 4096).value();
  const auto role = Role::Take(created, INTERPROC_SENDER).value();
  REQUIRE(truncate(name.path().c_str(), 0) == 0);
  CHECK(created->header()->id.magic == 0);
  CHECK(created->capacity() == 4096);
  CHECK(!Role::Take(created, INTERPROC_RECEIVER).ok());
  created = {};
}

TEST_CASE("participant: while somebody stands in the gate, nobody joins, and who leaves does so") {
  const Name name;
  auto created = name.Create(NewEnv()).value();
  const UniqueFd gate(open(name.path().c_str(), O_RDWR | O_CLOEXEC));
  REQUIRE(interproc__enter_gate(gate.get(), 1) == 0);
  const auto busy = name.Join(NewEnv());
  CHECK(busy.error().number == EBUSY);
  CHECK(std::string(busy.error().syscall) == "fcntl_locking");
  CHECK(name.Create(NewEnv()).error().number == EEXIST);
  const int fds = CountInProc("fd");
  created = {};
  CHECK(CountInProc("fd") < fds);
  const auto dead = name.Create(NewEnv());
  CHECK(dead.error().number == EBUSY);
  CHECK(std::string(dead.error().syscall) == "fcntl_locking");
  CHECK(name.exists());
  interproc__leave_gate(gate.get());
  name.Join(NewEnv()).value();
  CHECK(!name.exists());
}

TEST_CASE("participant: a name is removed with the gate and without, and only if it is the one") {
  const Name name;
  const auto first = name.Create(NewEnv()).value();
  const UniqueFd gate(open(name.path().c_str(), O_RDWR | O_CLOEXEC));
  REQUIRE(interproc__enter_gate(gate.get(), 1) == 0);
  CHECK(Participant::Unlink(name.path(), first->file().get(), "unlink").ok());
  const auto second = name.Create(NewEnv()).value();
  const auto elsewhere = Participant::Unlink(name.path(), first->file().get(), "unlink");
  CHECK(elsewhere.error().number == ENOENT);
  CHECK(name.exists());
  CHECK(Participant::Unlink(name.path(), second->file().get(), "unlink").ok());
  const auto gone = Participant::Unlink(name.path(), nullptr, "shm_unlink");
  CHECK(gone.error().number == ENOENT);
  CHECK(std::string(gone.error().syscall) == "shm_unlink");
}

TEST_CASE("role: one at a time has it, and letting go of it says how") {
  const Name name;
  const auto participant = name.Create(NewEnv()).value();
  const auto other = name.Join(NewEnv()).value();
  for (const interproc_side side : {INTERPROC_SENDER, INTERPROC_RECEIVER}) {
    auto role = Role::Take(participant, side).value();
    CHECK(RoleOf(participant, side) == participant->owner().id);
    CHECK(Role::Take(participant, side).error().number == -INTERPROC_BUSY);
    CHECK(Role::Take(other, side).error().number == -INTERPROC_BUSY);
    role->Close();
    CHECK(RoleOf(participant, side) == INTERPROC_ROLE_CLOSED);
    role->Close();
    role = {};
    CHECK(RoleOf(participant, side) == INTERPROC_ROLE_CLOSED);  // closed is closed
    role = Role::Take(other, side).value();
    CHECK(RoleOf(participant, side) == other->owner().id);
    role = {};
    CHECK(RoleOf(participant, side) == INTERPROC_ROLE_DIED);
  }
}

TEST_CASE("role: closing one that a successor has by now leaves it to him") {
  const Name name;
  const auto participant = name.Create(NewEnv()).value();
  const auto other = name.Join(NewEnv()).value();
  auto role = Role::Take(participant, INTERPROC_SENDER).value();
  participant->header()->role[INTERPROC_SENDER].owner = other->owner().id;
  role->Close();
  role = {};
  CHECK(RoleOf(participant, INTERPROC_SENDER) == other->owner().id);
}

TEST_CASE("role: it keeps its participant in the segment") {
  const Name name;
  const auto other = name.Create(NewEnv()).value();
  auto participant = name.Join(NewEnv()).value();
  const uint32_t id = participant->owner().id;
  auto role = Role::Take(participant, INTERPROC_RECEIVER).value();
  participant = {};
  CHECK(other->Alive(id).value());
  role->Close();
  CHECK(!other->Alive(id).value());
}

TEST_CASE("role: of a process that was killed it is free") {
  const Name name;
  const auto participant = name.Create(NewEnv()).value();
  CHECK(EndingSignalOf([&] {
          const auto own = name.Join(NewEnv()).value();
          const auto role = Role::Take(own, INTERPROC_SENDER).value();
          kill(getpid(), SIGKILL);
        }) == SIGKILL);
  CHECK(RoleOf(participant, INTERPROC_SENDER) != 0);
  CHECK(Role::Take(participant, INTERPROC_SENDER).ok());
}

}  // namespace interproc::test
