// What the sides of a channel tell each other: who is there, who has gone and how, and wake-ups.
#include <linux/futex.h>
#include <sys/syscall.h>

#include <vector>

#include "channel_support.h"

namespace interproc::test {
namespace {

int ReadOf(Receiver* receiver, int64_t timeout_ms) {
  const void* data;
  uint32_t size;
  return interproc_receive(receiver, &data, &size, timeout_ms);
}
void Fill(Sender* sender) {
  while (sender->TrySend(8) == 0) continue;
}
bool IsAsleep(const ChannelPtr& channel, interproc_side side) {
  return interproc__load(&channel->header->sleep[side].word) == INTERPROC_ASLEEP;
}

// As waiting without slices does: only a wake-up ends it.
void SleepOn(interproc_sleeper* sleeper) {
  const uint32_t bell = interproc__load(&sleeper->bell);
  interproc__store(&sleeper->word, INTERPROC_ASLEEP);
  while (interproc__load(&sleeper->word) == INTERPROC_ASLEEP) {
    syscall(SYS_futex, &sleeper->bell, FUTEX_WAIT, bell, nullptr, nullptr, 0);
  }
}

// In a child: sleeps on the word of a side until it is woken.
Child Sleeper(const ChannelPtr& channel, interproc_side side) {
  Child child([&] { SleepOn(&channel->header->sleep[side]); });
  // The word says asleep a moment before the thread is; a wake-up between the two is none the less.
  Until([&] { return IsAsleep(channel, side); });
  return child;
}

}  // namespace

TEST_CASE("channel: a role has one owner at a time, also among the channels of one process") {
  const ChannelPtr channel = Anonymous(256);
  const ChannelPtr other = FromFd(channel->fd);
  Sender sender(channel);
  Receiver receiver(other);
  interproc_sender second_sender;
  interproc_receiver second_receiver;
  for (const ChannelPtr* each : {&channel, &other}) {
    CHECK(interproc_attach_sender(&second_sender, each->get()) == INTERPROC_BUSY);
    CHECK(interproc_attach_receiver(&second_receiver, each->get()) == INTERPROC_BUSY);
  }
  CHECK(ExitCodeOf([&] {
          const ChannelPtr own = FromFd(channel->fd);
          CHILD_EXPECT(interproc_attach_sender(&second_sender, own.get()) == INTERPROC_BUSY);
          CHILD_EXPECT(interproc_attach_receiver(&second_receiver, own.get()) == INTERPROC_BUSY);
        }) == 0);
  interproc_close_sender(&sender);
  Sender third(other);
  CHECK(interproc_attach_sender(&second_sender, channel.get()) == INTERPROC_BUSY);
}

TEST_CASE("channel: of many that want to be the sender at once, one is") {
  const ChannelPtr channel = Anonymous(256);
  for (int round = 0; round < 20; ++round) {
    Pipe start, results, end;
    std::vector<Child> children;
    for (int each = 0; each < 6; ++each) {
      children.emplace_back([&] {
        start.CloseWriter();
        end.CloseWriter();
        const ChannelPtr own = FromFd(channel->fd);
        char ignored;
        (void)start.Get(&ignored);
        interproc_sender sender;
        results.Put(interproc_attach_sender(&sender, own.get()));
        (void)end.Get(&ignored);  // and dies with it
      });
    }
    start.CloseWriter();
    int winners = 0;
    for (size_t each = 0; each < children.size(); ++each) {
      const int result = results.Get<int>();
      REQUIRE((result == 0 || result == INTERPROC_BUSY));
      winners += result == 0;
    }
    CHECK(winners == 1);
    end.CloseWriter();
    for (Child& child : children) CHECK(child.ExitCode() == 0);
  }
}

TEST_CASE("channel: a receiver reads what was published before the close, and then ENDED") {
  const ChannelPtr channel = Anonymous(256);
  Receiver receiver(channel);
  {
    Sender sender(channel);
    for (int sent = 0; sent < 3; ++sent) REQUIRE(sender.TrySend(9) == 0);
  }  // closing publishes
  for (int read = 0; read < 3; ++read) CHECK(receiver.Read() == 0);
  CHECK(ReadOf(&receiver, -1) == INTERPROC_ENDED);
  CHECK(ReadOf(&receiver, 0) == INTERPROC_ENDED);
  Sender successor(channel);  // a new stream, on the same channel
  CHECK(ReadOf(&receiver, 0) == -ETIMEDOUT);
  REQUIRE(successor.TrySend(9) == 0);
  interproc_flush(&successor);
  CHECK(receiver.Read() == 0);
}

TEST_CASE("channel: a receiver reads what a dead sender has published, and then PEER_DIED") {
  const ChannelPtr channel = Anonymous(256);
  Receiver receiver(channel);
  CHECK(EndingSignalOf([&] {
          const ChannelPtr own = FromFd(channel->fd);
          Sender sender(own);
          for (int sent = 0; sent < 3; ++sent) CHILD_EXPECT(sender.TrySend(9) == 0);
          interproc_flush(&sender);
          kill(getpid(), SIGKILL);
        }) == SIGKILL);
  for (int read = 0; read < 3; ++read) CHECK(receiver.Read() == 0);
  CHECK(ReadOf(&receiver, -1) == INTERPROC_PEER_DIED);
  CHECK(ReadOf(&receiver, 0) == INTERPROC_PEER_DIED);
}

TEST_CASE("channel: a sender that exits without closing has died") {
  const ChannelPtr channel = Anonymous(256);
  Receiver receiver(channel);
  CHECK(ExitCodeOf([&] {
          const ChannelPtr own = FromFd(channel->fd);
          interproc_sender sender;
          CHILD_EXPECT(interproc_attach_sender(&sender, own.get()) == 0);
          _exit(0);
        }) == 0);
  CHECK(ReadOf(&receiver, -1) == INTERPROC_PEER_DIED);
  {
    const ChannelPtr left = FromFd(channel->fd);
    interproc_sender sender;
    REQUIRE(interproc_attach_sender(&sender, left.get()) == 0);
  }  // the channel closes, and the sender does not
  CHECK(ReadOf(&receiver, -1) == INTERPROC_PEER_DIED);
}

TEST_CASE("channel: a sender that would wait for a receiver hears that it has closed, or died") {
  const ChannelPtr channel = Anonymous(256);
  Sender sender(channel);
  {
    const Receiver receiver(channel);
  }
  CHECK(sender.Send(8) == 0);  // there is room
  Fill(&sender);
  CHECK(sender.Send(8) == INTERPROC_PEER_CLOSED);
  CHECK(sender.Send(8, 0) == INTERPROC_PEER_CLOSED);
  {
    const ChannelPtr other = FromFd(channel->fd);
    Receiver receiver(other);
    receiver.Die();
  }
  CHECK(sender.Send(8) == INTERPROC_PEER_DIED);
  CHECK(sender.Send(8, 0) == INTERPROC_PEER_DIED);
  CHECK(sender.TrySend(8) == -EAGAIN);
}

TEST_CASE("channel: waiting ends when the other side dies or closes meanwhile") {
  const ChannelPtr channel = Anonymous(256);
  Pipe ready;
  SUBCASE("a receiver for a sender that is killed") {
    Receiver receiver(channel);
    Child child([&] {
      const ChannelPtr own = FromFd(channel->fd);
      Sender sender(own);
      ready.Put('r');
      Until([&] { return IsAsleep(own, INTERPROC_RECEIVER); });
      kill(getpid(), SIGKILL);
    });
    ready.Get<char>();
    CHECK(ReadOf(&receiver, -1) == INTERPROC_PEER_DIED);
  }
  SUBCASE("a receiver for a sender that closes") {
    Receiver receiver(channel);
    Child child([&] {
      const ChannelPtr own = FromFd(channel->fd);
      Sender sender(own);
      ready.Put('r');
      Until([&] { return IsAsleep(own, INTERPROC_RECEIVER); });
    });
    ready.Get<char>();
    CHECK(ReadOf(&receiver, -1) == INTERPROC_ENDED);
  }
  SUBCASE("a sender for a receiver that is killed") {
    Sender sender(channel);
    Fill(&sender);
    Child child([&] {
      const ChannelPtr own = FromFd(channel->fd);
      Receiver receiver(own);
      ready.Put('r');
      Until([&] { return IsAsleep(own, INTERPROC_SENDER); });
      kill(getpid(), SIGKILL);
    });
    ready.Get<char>();
    CHECK(sender.Send(8) == INTERPROC_PEER_DIED);
  }
  SUBCASE("a sender for a receiver that closes") {
    Sender sender(channel);
    Fill(&sender);
    Child child([&] {
      const ChannelPtr own = FromFd(channel->fd);
      Receiver receiver(own);
      ready.Put('r');
      Until([&] { return IsAsleep(own, INTERPROC_SENDER); });
    });
    ready.Get<char>();
    CHECK(sender.Send(8) == INTERPROC_PEER_CLOSED);
  }
}

TEST_CASE("channel: with await_peer a side waits for the successor of a dead one") {
  const ChannelPtr channel = Anonymous(256);
  const ChannelPtr doomed = FromFd(channel->fd);
  SUBCASE("a receiver") {
    Sender predecessor(doomed);
    predecessor.Die();
    Receiver receiver(channel);
    receiver.await_peer = 1;
    CHECK(ReadOf(&receiver, 1) == -ETIMEDOUT);
    Child child([&] {
      const ChannelPtr own = FromFd(channel->fd);
      Until([&] { return IsAsleep(own, INTERPROC_RECEIVER); });
      Sender sender(own);
      CHILD_EXPECT(sender.Send(8) == 0);
    });
    CHECK(receiver.Read() == 0);
    CHECK(child.ExitCode() == 0);
    CHECK(ReadOf(&receiver, -1) == INTERPROC_ENDED);  // an end is no death
  }
  SUBCASE("a sender, also of one that has closed") {
    {
      Receiver predecessor(doomed);
      predecessor.Die();
    }
    Sender sender(channel);
    sender.await_peer = 1;
    for (const bool closed : {false, true}) {
      CAPTURE(closed);
      if (closed) Receiver closes(channel);
      Fill(&sender);
      CHECK(sender.Send(8, 1) == -ETIMEDOUT);
      Child child([&] {
        const ChannelPtr own = FromFd(channel->fd);
        Until([&] { return IsAsleep(own, INTERPROC_SENDER); });
        Receiver receiver(own);
        while (receiver.TryRead() != -EAGAIN) continue;
      });
      CHECK(sender.Send(8) == 0);
      CHECK(child.ExitCode() == 0);
    }
  }
}

TEST_CASE("channel: before the other side has come there is nothing but to wait, until a timeout") {
  const ChannelPtr channel = Anonymous(64);
  Receiver receiver(channel);
  CHECK(ReadOf(&receiver, 0) == -ETIMEDOUT);
  CHECK(ReadOf(&receiver, 30) == -ETIMEDOUT);
  CHECK(channel->header->receiver.times_slept > 0);
  interproc_close_receiver(&receiver);
  const ChannelPtr second = Anonymous(64);
  Sender sender(second);
  Fill(&sender);
  CHECK(sender.Send(8, 0) == -ETIMEDOUT);
  CHECK(sender.Send(8, 30) == -ETIMEDOUT);
  CHECK(second->header->sender.times_slept > 0);
}

TEST_CASE("channel: a wait in vain leaves the side awake, and the next message is no less there") {
  const ChannelPtr channel = Anonymous(64);
  Receiver receiver(channel);
  Sender sender(channel);
  CHECK(ReadOf(&receiver, 1) == -ETIMEDOUT);
  CHECK(!IsAsleep(channel, INTERPROC_RECEIVER));
  REQUIRE(sender.Send(8) == 0);
  interproc_flush(&sender);
  CHECK(receiver.Read(0) == 0);
}

TEST_CASE("channel: what one side does wakes the other, however long that would sleep") {
  const ChannelPtr channel = Anonymous(64);
  Sender sender(channel);
  Receiver receiver(channel);
  for (int round = 0; round < 200; ++round) {
    {
      Child sleeper = Sleeper(channel, INTERPROC_RECEIVER);
      REQUIRE(sender.TrySend(8) == 0);  // publishes: somebody sleeps
      REQUIRE(sleeper.ExitCode() == 0);
    }
    REQUIRE(sender.TrySend(8) == 0);
    REQUIRE(sender.TrySend(8) == 0);
    interproc_flush(&sender);
    {
      Child sleeper = Sleeper(channel, INTERPROC_SENDER);
      REQUIRE(receiver.TryRead() == 0);
      interproc_done(&receiver);  // 16 bytes of 64: they go back
      REQUIRE(sleeper.ExitCode() == 0);
    }
    while (receiver.TryRead() == 0) continue;
  }
}

TEST_CASE("channel: who comes and who leaves wakes the other side") {
  const ChannelPtr channel = Anonymous(64);
  for (int round = 0; round < 20; ++round) {
    for (const interproc_side side : {INTERPROC_SENDER, INTERPROC_RECEIVER}) {
      const auto other = static_cast<interproc_side>(!side);
      Child first = Sleeper(channel, other);
      REQUIRE(interproc_take_role(&channel->me, channel->header, side) == 0);
      REQUIRE(first.ExitCode() == 0);
      Child second = Sleeper(channel, other);
      interproc_leave_role(&channel->me, channel->header, side, INTERPROC_ROLE_DIED);
      REQUIRE(second.ExitCode() == 0);
    }
  }
}

TEST_CASE("channel: two processes that answer each other get every answer") {
  const ChannelPtr there = Anonymous(128);
  const ChannelPtr back = Anonymous(128);
  Child echo([&] {
    const ChannelPtr in = FromFd(there->fd);
    const ChannelPtr out = FromFd(back->fd);
    Receiver receiver(in);
    Sender sender(out);
    int result;
    while ((result = receiver.Read()) == 0) {
      CHILD_EXPECT(sender.Send(SizeOfMessage(sender.messages, 56)) == 0);
      interproc_flush(&sender);
    }
    CHILD_EXPECT(result == INTERPROC_ENDED);
  });
  Sender sender(there);
  Receiver receiver(back);
  for (int round = 0; round < 5000; ++round) {
    REQUIRE(sender.Send(SizeOfMessage(sender.messages, 56)) == 0);
    interproc_flush(&sender);
    REQUIRE(receiver.Read() == 0);
  }
  interproc_close_sender(&sender);
  CHECK(echo.ExitCode() == 0);
}

TEST_CASE("channel: small rings between two processes come to no standstill") {
  for (const uint32_t capacity : {64u, 128u, 512u}) {
    for (const uint64_t seed : {1u, 2u}) {
      CAPTURE(capacity);
      CAPTURE(seed);
      const ChannelPtr channel = WithPast(capacity, 0u - 1000 * 64, 0);
      constexpr uint64_t kMessages = 10'000;
      Child child([&] {
        const ChannelPtr own = FromFd(channel->fd);
        Sender sender(own);
        Random random(seed);
        const uint32_t max = interproc_message_max(capacity);
        while (sender.messages < kMessages) {
          // Half of them are of the largest size, which needs padding most often.
          const uint32_t size = random.Below(2) == 0 ? max : SizeOfMessage(sender.messages, max);
          if (random.Below(4) == 0) {
            const int sent = sender.TrySend(size);
            CHILD_EXPECT(sent == 0 || sent == -EAGAIN);
          } else {
            CHILD_EXPECT(sender.Send(size) == 0);
          }
        }
      });
      Receiver receiver(channel);
      Random random(seed + 100);
      while (receiver.received < kMessages) {
        const int result = random.Below(4) == 0 ? receiver.TryRead() : receiver.Read();
        if (result == -EAGAIN) continue;
        if (result != 0) break;
        if (random.Below(2) == 0) interproc_done(&receiver);
      }
      interproc_done(&receiver);
      CHECK(receiver.received == kMessages);
      CHECK(receiver.Read() == INTERPROC_ENDED);
      CHECK(child.ExitCode() == 0);
    }
  }
}

}  // namespace interproc::test
