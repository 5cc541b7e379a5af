// How a channel with a name comes to be, is found, and goes.
#include <vector>

#include "channel_support.h"

namespace interproc::test {
namespace {

// In a child: becomes the only one who has the channel, and dies.
void DieWith(const std::string& name) {
  CHECK(EndingSignalOf([&] {
          const ChannelPtr own = Open(name);
          kill(getpid(), SIGKILL);
        }) == SIGKILL);
}
// Leaves a channel behind whose participants are all dead.
void LeaveDead(const std::string& name, uint32_t capacity, int persist = 0) {
  CHECK(EndingSignalOf([&] {
          const ChannelPtr own = Create(name, capacity, persist);
          kill(getpid(), SIGKILL);
        }) == SIGKILL);
}

int TryCreate(const std::string& name, uint32_t capacity) {
  const ChannelPtr channel = NewChannel();
  const interproc_options options = {capacity, 0, 0};
  return interproc_create(channel.get(), name.c_str(), &options);
}

}  // namespace

TEST_CASE("channel: a created one is found by its name, with what it was created with") {
  const ChannelName name;
  const ChannelPtr created = Create(name.get(), 1000);
  struct stat status;
  REQUIRE(stat(name.path().c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(status.st_size == 4096 + 1024);
  const ChannelPtr opened = Open(name.get());
  CHECK(opened->capacity == 1024);
  CHECK(opened->header->id.flags == INTERPROC_NAMED);
  CHECK(opened->header->id.state == INTERPROC_READY);
  CHECK(TryCreate(name.get(), 64) == -EEXIST);
}

TEST_CASE("channel: capacities are rounded up, from the least to the greatest that there is") {
  for (const auto& [given, rounded] : std::initializer_list<std::pair<uint32_t, uint32_t>>{
           {0, 64}, {1, 64}, {64, 64}, {65, 128}, {4096, 4096}, {4097, 8192}}) {
    CHECK(Anonymous(given)->capacity == rounded);
  }
  interproc_channel channel;
  const interproc_options options = {INTERPROC_CAPACITY_MAX + 1, 0, 0};
  CHECK(interproc_anonymous(&channel, &options) == -EINVAL);
}

TEST_CASE("channel: a mode is given exactly, whatever the umask says") {
  const mode_t before = umask(077);
  const ChannelName name;
  {
    const ChannelPtr channel = NewChannel();
    const interproc_options options = {64, 0666, 0};
    REQUIRE(interproc_create(channel.get(), name.get().c_str(), &options) == 0);
    struct stat status;
    REQUIRE(stat(name.path().c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0666);
  }
  umask(before);
}

TEST_CASE("channel: opening waits for one that is not there yet, or ends with ETIMEDOUT") {
  const ChannelName name;
  CHECK(TryOpen(name.get()) == -ENOENT);
  {
    const ChannelPtr channel = NewChannel();
    CHECK(interproc_open(channel.get(), name.get().c_str(), 10) == -ETIMEDOUT);
  }
  Pipe ready;
  Child child([&] {
    const ChannelPtr channel = NewChannel();
    ready.Put('r');
    CHILD_EXPECT(interproc_open(channel.get(), name.get().c_str(), -1) == 0);
    Receiver receiver(channel);
    CHILD_EXPECT(receiver.Read() == 0);
  });
  ready.Get<char>();
  const ChannelPtr channel = Create(name.get(), 64);
  Sender sender(channel);
  CHECK(sender.Send(8) == 0);
  interproc_flush(&sender);
  CHECK(child.ExitCode() == 0);
}

TEST_CASE("channel: names that can be none are an error") {
  interproc_channel channel;
  const interproc_options options = {64, 0, 0};
  for (const std::string& name : {std::string(), std::string(5000, 'n'), std::string(250, 'n'),
                                  std::string("/no/such/dir")}) {
    CAPTURE(name);
    CHECK(interproc_create(&channel, name.c_str(), &options) < 0);
    CHECK(interproc_open(&channel, name.c_str(), 0) < 0);
  }
}

TEST_CASE("channel: a symbolic link is followed in a path, and not where it has a name") {
  const ChannelName name;
  const ChannelName link;
  const ChannelPtr creator = Create(name.get(), 64);
  REQUIRE(symlink(name.path().c_str(), link.path().c_str()) == 0);
  CHECK(TryOpen(link.get()) == -ELOOP);
  const TempDirectory directory;
  REQUIRE(symlink(name.path().c_str(), directory.File("link").c_str()) == 0);
  const ChannelPtr opened = Open(directory.File("link"));
  CHECK(interproc_unlink(link.get().c_str()) == 0);
}

TEST_CASE("channel: the last to leave removes the name, and nobody before") {
  const ChannelName name;
  ChannelPtr creator = Create(name.get(), 64);
  ChannelPtr other = Open(name.get());
  creator.reset();
  CHECK(name.exists());
  DieWith(name.get());
  CHECK(name.exists());
  other.reset();
  CHECK(!name.exists());
}

TEST_CASE("channel: one that is to persist stays, with all that is in it") {
  const ChannelName name;
  {
    const ChannelPtr channel = Create(name.get(), 256, 1);
    Sender sender(channel);
    REQUIRE(sender.TrySend(30) == 0);
  }
  REQUIRE(name.exists());
  const ChannelPtr channel = Open(name.get());
  Receiver receiver(channel);
  CHECK(receiver.Read() == 0);
  CHECK(receiver.Read() == INTERPROC_ENDED);
}

TEST_CASE("channel: who comes to one that was retired or unlinked is told so") {
  const ChannelName name;
  ChannelPtr channel = Create(name.get(), 64);
  SUBCASE("unlinked by somebody") { REQUIRE(unlink(name.path().c_str()) == 0); }
  SUBCASE("retired, and its name not yet removed") {
    channel->header->id.state = INTERPROC_RETIRED;
    CHECK(TryOpen(name.get()) == INTERPROC_UNLINKED);
  }
  interproc_channel other;
  CHECK(interproc_from_fd(&other, channel->fd) == INTERPROC_UNLINKED);
  interproc_sender sender;
  CHECK(interproc_attach_sender(&sender, channel.get()) == INTERPROC_UNLINKED);
}

TEST_CASE("channel: leaving removes no other channel of the same name") {
  const ChannelName name;
  ChannelPtr first = Create(name.get(), 64);
  REQUIRE(unlink(name.path().c_str()) == 0);
  const ChannelPtr second = Create(name.get(), 128);
  first.reset();
  CHECK(name.exists());
  CHECK(Open(name.get())->capacity == 128);
}

TEST_CASE("channel: retire_if_dead removes one whose participants are dead, and no other") {
  const ChannelName name;
  LeaveDead(name.get(), 64);
  const os::UniqueFd fd(open(name.path().c_str(), O_RDWR | O_CLOEXEC));
  void* base =
      mmap(nullptr, INTERPROC_HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  REQUIRE(base != MAP_FAILED);
  auto* header = static_cast<interproc_header*>(base);
  {
    const ChannelPtr living = Open(name.get());
    CHECK(interproc_retire_if_dead(header, fd.get(), name.path().c_str(), 1) == 0);
    CHECK(name.exists());
    Abandon(living.get());
    living->header->role[INTERPROC_SENDER].owner = 5;  // who is dead has no say
    CHECK(interproc_retire_if_dead(header, fd.get(), name.path().c_str(), 1) == 1);
  }
  CHECK(!name.exists());
  CHECK(header->id.state == INTERPROC_RETIRED);
  munmap(base, INTERPROC_HEADER_SIZE);
}

TEST_CASE(
    "channel: a dead one that is another user's to remove stays as it was, and create says so") {
  if (getuid() != 0) std::exit(kSkipped);
  const ChannelName name;
  LeaveDead(name.get(), 64);
  REQUIRE(chmod(name.path().c_str(), 0666) == 0);
  CHECK(ExitCodeOf([&] {
          DropRights();
          CHILD_EXPECT(TryCreate(name.get(), 128) == -EPERM);  // /dev/shm is sticky
        }) == 0);
  CHECK(Open(name.get())->capacity == 64);
}

TEST_CASE("channel: while somebody stands in the gate nobody joins and nobody retires") {
  const ChannelName name;
  LeaveDead(name.get(), 64);
  const os::UniqueFd fd(open(name.path().c_str(), O_RDWR | O_CLOEXEC));
  REQUIRE(interproc__enter_gate(fd.get(), 1) == 0);
  Child joins([&] { CHILD_EXPECT(TryOpen(name.get()) == -EBUSY); });
  Child creates([&] { CHILD_EXPECT(TryCreate(name.get(), 128) == -EBUSY); });
  CHECK(joins.ExitCode() == 0);
  CHECK(creates.ExitCode() == 0);
  CHECK(name.exists());
  interproc__leave_gate(fd.get());
  CHECK(TryCreate(name.get(), 128) == 0);
}

TEST_CASE("channel: unlinking removes the name, and tells where there is none") {
  const ChannelName name;
  const ChannelPtr channel = Create(name.get(), 64);
  CHECK(interproc_unlink(name.get().c_str()) == 0);
  CHECK(!name.exists());
  CHECK(interproc_unlink(name.get().c_str()) == -ENOENT);
  CHECK(interproc_unlink("") == -ENAMETOOLONG);
  for (const char* content : {"", "something else"}) {
    WriteFile(name.path(), content);
    CHECK(interproc_unlink(name.get().c_str()) == 0);
    CHECK(!name.exists());
  }
  REQUIRE(symlink("/dev/null", name.path().c_str()) == 0);
  CHECK(interproc_unlink(name.get().c_str()) == 0);
  CHECK(access("/dev/null", F_OK) == 0);
  const ChannelPtr next = Create(name.get(), 64);
  CHECK(interproc__remove_name(name.path().c_str(), channel->fd, 1) == -ENOENT);
  CHECK(name.exists());
  CHECK(interproc__remove_name(name.path().c_str(), next->fd, 1) == 0);
  CHECK(!name.exists());
}

// Each of the two looks where the name leads to before it removes it: the other one and a creator
// must not come between.
TEST_CASE("channel: who leaves while the name is unlinked does not remove that of a successor") {
  const ChannelName name;
  Pipe told, leave, unlink_now, made;
  Child leaving([&] {
    const ChannelPtr own = Create(name.get(), 64);
    told.Put('o');
    leave.Get<char>();
    bool waited = false;
    on_step = [&](const std::string& step) {
      if (step == "gate.busy" && !std::exchange(waited, true)) told.Put('w');
      if (step != "retire.found") return;
      told.Put('f');
      made.Get<char>();
    };
  });
  CHECK(told.Get<char>() == 'o');
  Child unlinking([&] {
    on_step = [&](const std::string& step) {
      if (step != "unlink.gated") return;
      told.Put('g');
      unlink_now.Get<char>();
    };
    CHILD_EXPECT(interproc_unlink(name.get().c_str()) == 0);
    on_step = nullptr;
    const ChannelPtr successor = Create(name.get(), 128);
    made.Put('m');
    told.Put('m');
    SleepUntilKilled();
  });
  CHECK(told.Get<char>() == 'g');
  leave.Put('l');
  // It stands at the gate; without one it would have found the name to be its own by now.
  CHECK(told.Get<char>() == 'w');
  unlink_now.Put('u');
  CHECK(told.Get<char>() == 'm');
  CHECK(leaving.ExitCode() == 0);
  CHECK(name.exists());
  CHECK(Open(name.get())->capacity == 128);
}

TEST_CASE("channel: who unlinks a name that is another's by now takes the gate of that one") {
  const ChannelName name;
  ChannelPtr first = Create(name.get(), 64);
  ChannelPtr second;
  int gated = 0;
  on_step = [&](const std::string& step) {
    if (step != "unlink.gated" || ++gated != 1) return;
    // The first one is not what the name leads to any more.
    REQUIRE(unlink(name.path().c_str()) == 0);
    second = Create(name.get(), 128);
  };
  CHECK(interproc_unlink(name.get().c_str()) == 0);
  on_step = nullptr;
  CHECK(gated == 2);
  CHECK(!name.exists());
}

TEST_CASE("channel: creating takes the place of a dead one, and of nothing else") {
  const ChannelName name;
  for (const int persist : {0, 1}) {
    CAPTURE(persist);
    LeaveDead(name.get(), 64, persist);
    REQUIRE(name.exists());
    const ChannelPtr channel = Create(name.get(), 256);
    CHECK(channel->capacity == 256);
    CHECK(PublishedIn(channel).messages == 0);
    CHECK(Open(name.get())->capacity == 256);
  }
  for (const char* content : {"", "something else"}) {
    WriteFile(name.path(), content);
    CHECK(TryCreate(name.get(), 64) == -EEXIST);
    CHECK(SizeOf(os::UniqueFd(open(name.path().c_str(), O_RDONLY | O_CLOEXEC)).get()) ==
          std::strlen(content));
  }
  REQUIRE(unlink(name.path().c_str()) == 0);
  REQUIRE(symlink("/dev/zero", name.path().c_str()) == 0);
  CHECK(TryCreate(name.get(), 64) == -EEXIST);
}

TEST_CASE("channel: a dead one that is opened goes on from where it was") {
  const ChannelName name;
  CHECK(EndingSignalOf([&] {
          const ChannelPtr own = Create(name.get(), 256);
          Sender sender(own);
          CHILD_EXPECT(sender.Send(8) == 0);
          interproc_flush(&sender);
          kill(getpid(), SIGKILL);
        }) == SIGKILL);
  const ChannelPtr channel = Open(name.get());
  Sender sender(channel);
  CHECK(sender.messages == 1);
  CHECK(TryCreate(name.get(), 64) == -EEXIST);
}

TEST_CASE("channel: who dies while creating or leaving leaves what the next one can replace") {
  const ChannelName name;
  int step = 0;
  for (int signal = SIGKILL; signal == SIGKILL;) {
    ++step;
    CAPTURE(step);
    signal = EndingSignalOf([&] {
      doom.at = step;
      const ChannelPtr own = Create(name.get(), 64);
      Sender sender(own);
      CHILD_EXPECT(sender.TrySend(8) == 0);
    });
    REQUIRE((signal == SIGKILL || signal == 0));
    if (signal == 0) CHECK(!name.exists());
    const int there = TryOpen(name.get());
    REQUIRE((there == 0 || there == -ENOENT || there == INTERPROC_UNLINKED));
    const ChannelPtr next = Create(name.get(), 128);
    REQUIRE(Open(name.get())->capacity == 128);
    REQUIRE(PublishedIn(next).messages == 0);
  }
  CHECK(step > 12);
}

TEST_CASE("channel: who dies while replacing a dead one leaves what the next one can replace") {
  const ChannelName name;
  int step = 0;
  for (int signal = SIGKILL; signal == SIGKILL;) {
    LeaveDead(name.get(), 64);
    ++step;
    CAPTURE(step);
    signal = EndingSignalOf([&] {
      doom.at = step;
      const ChannelPtr own = Create(name.get(), 128);
    });
    REQUIRE((signal == SIGKILL || signal == 0));
    const ChannelPtr next = Create(name.get(), 256);
    REQUIRE(Open(name.get())->capacity == 256);
  }
  CHECK(step > 12);
}

TEST_CASE("channel: of many that create a name at once one does, and none sees it half-made") {
  const ChannelName name;
  for (int round = 0; round < 30; ++round) {
    CAPTURE(round);
    if (round % 2 == 1) LeaveDead(name.get(), 64);  // to be replaced by one of them
    Pipe start, results, end;
    std::vector<Child> children;
    for (int each = 0; each < 8; ++each) {
      children.emplace_back([&] {
        start.CloseWriter();
        end.CloseWriter();
        const ChannelPtr own = NewChannel();
        const interproc_options options = {128, 0, 0};
        char ignored;
        (void)start.Get(&ignored);
        if (each < 5) {
          results.Put(interproc_create(own.get(), name.get().c_str(), &options));
        } else {
          int result;
          do {
            result = interproc_open(own.get(), name.get().c_str(), 0);
          } while (result == -ENOENT || result == INTERPROC_UNLINKED);
          // It may be the dead one: that was complete, too.
          if (result == 0 && PublishedIn(own).messages != 0) result = INTERPROC_CORRUPT;
          results.Put(result == 0 ? 1 : result);
        }
        (void)end.Get(&ignored);
        // Whoever has it has the one that the name leads to, and nobody has removed it.
        struct stat mine, there;
        if (own->header != nullptr) {
          CHILD_EXPECT(fstat(own->fd, &mine) == 0);
          CHILD_EXPECT(stat(name.path().c_str(), &there) == 0);
          CHILD_EXPECT(mine.st_ino == there.st_ino);
          CHILD_EXPECT(own->header->id.state == INTERPROC_READY);
        }
        _exit(0);
      });
    }
    start.CloseWriter();
    int created = 0;
    for (size_t each = 0; each < children.size(); ++each) {
      const int result = results.Get<int>();
      REQUIRE((result == 0 || result == 1 || result == -EEXIST));
      created += result == 0;
    }
    // One who opens the dead one before it is replaced makes it a living one.
    CHECK((created == 1 || (created == 0 && round % 2 == 1)));
    REQUIRE(name.exists());
    end.CloseWriter();
    for (Child& child : children) CHECK(child.ExitCode() == 0);
    unlink(name.path().c_str());
  }
}

TEST_CASE("channel: opening and leaving at once never finds a name without a channel") {
  const ChannelName name;
  std::vector<Child> children;
  for (int each = 0; each < 4; ++each) {
    children.emplace_back([&] {
      for (int round = 0; round < 300; ++round) {
        const ChannelPtr own = NewChannel();
        const interproc_options options = {64, 0, 0};
        int result = interproc_create(own.get(), name.get().c_str(), &options);
        CHILD_EXPECT(result == 0 || result == -EEXIST);
        if (result == -EEXIST) result = interproc_open(own.get(), name.get().c_str(), 0);
        CHILD_EXPECT(result == 0 || result == -ENOENT || result == INTERPROC_UNLINKED);
        if (result != 0) continue;
        // It is the one that the name leads to, until it is left.
        struct stat mine, there;
        CHILD_EXPECT(fstat(own->fd, &mine) == 0);
        CHILD_EXPECT(stat(name.path().c_str(), &there) == 0);
        CHILD_EXPECT(mine.st_ino == there.st_ino);
      }
    });
  }
  for (Child& child : children) CHECK(child.ExitCode() == 0);
  CHECK(!name.exists());
}

}  // namespace interproc::test
