// What is left of a side that died, and how its successor goes on: at every step of the protocol.
#include <vector>

#include "channel_support.h"

namespace interproc::test {
namespace {

// In a child: goes on where the last sender stopped, in several publications.
void SendSome(int fd) {
  const ChannelPtr channel = FromFd(fd);
  Sender sender(channel);
  const uint32_t max = std::min(interproc_message_max(channel->capacity), 200u);
  for (int sent = 0; sent < 5; ++sent) {
    CHILD_EXPECT(sender.TrySend(SizeOfMessage(sender.messages, max)) == 0);
    if (sent % 2 == 1) interproc_flush(&sender);
  }
}

// What the receivers of one test have done, each writing before it can die.
struct Progress {
  uint64_t finished = 0;  // interproc_done has returned for so many
  uint64_t given = 0;     // interproc_try_read has given so many
};

// In a child: receives up to 4 messages, and checks what the dead before it have left.
void ReceiveSome(int fd, Progress* progress) {
  const ChannelPtr channel = FromFd(fd);
  Receiver receiver(channel);
  // A death between the two notes of one step leaves one of them open.
  CHILD_EXPECT(receiver.received == progress->finished ||
               receiver.received == progress->finished + 1);
  for (int read = 0; read < 4; ++read) {
    progress->finished = receiver.received;
    const int result = receiver.TryRead();
    CHILD_EXPECT(result == 0 || result == 1);
    if (receiver.received < progress->given) CHILD_EXPECT(result == 1);
    if (receiver.received > progress->given) CHILD_EXPECT(result == 0);
    progress->given = std::max(progress->given, receiver.received + 1);
    interproc_done(&receiver);
    progress->finished = receiver.received;
  }
}

}  // namespace

TEST_CASE("channel: what was published outlives its sender, and nothing else does") {
  const ChannelPtr channel = Anonymous(1024);
  Receiver receiver(channel);
  CHECK(EndingSignalOf([&] {
          const ChannelPtr own = FromFd(channel->fd);
          Sender sender(own);
          for (int sent = 0; sent < 3; ++sent) CHILD_EXPECT(sender.TrySend(16) == 0);
          interproc_flush(&sender);
          for (int sent = 0; sent < 2; ++sent) CHILD_EXPECT(sender.TrySend(16) == 0);
          void* data;
          CHILD_EXPECT(interproc_try_claim(&sender, 100, &data) == 0);
          std::memset(data, 0xff, 100);
          kill(getpid(), SIGKILL);
        }) == SIGKILL);
  Sender successor(channel);
  CHECK(successor.messages == 3);
  CHECK(successor.bytes == 48);
  REQUIRE(successor.TrySend(8) == 0);
  interproc_flush(&successor);
  for (int read = 0; read < 4; ++read) REQUIRE(receiver.TryRead() == 0);
  CHECK(receiver.TryRead() == -EAGAIN);
  CHECK(receiver.received == 4);
  CHECK(PublishedIn(channel).messages == 4);
  CHECK(PublishedIn(channel).bytes == 56);
}

TEST_CASE("channel: a sender killed between its count and its tail has published neither") {
  const ChannelPtr channel = Anonymous(1024);
  for (uint64_t before = 0; before < 6; ++before) {
    CHECK(EndingSignalOf([&] {
            const ChannelPtr own = FromFd(channel->fd);
            Sender sender(own);
            doom = {2, "publish.counted"};
            for (int sent = 0; sent < 2; ++sent) {
              CHILD_EXPECT(sender.TrySend(10) == 0);
              interproc_flush(&sender);
            }
          }) == SIGKILL);
    CHECK(PublishedIn(channel).messages == before + 1);
    CHECK(PublishedIn(channel).bytes == 10 * (before + 1));
  }
  Sender successor(channel);
  CHECK(successor.messages == 6);
}

TEST_CASE("channel: a sender may die at any step: counts are exact, and the stream has no gap") {
  for (const uint32_t capacity : {1024u, 65536u}) {
    CAPTURE(capacity);
    const ChannelPtr channel = Anonymous(capacity);
    const ChannelPtr other = FromFd(channel->fd);
    Receiver receiver(other);
    uint64_t bytes = 0;
    int step = 0;
    for (int signal = SIGKILL; signal == SIGKILL;) {
      const uint64_t before = PublishedIn(channel).messages;
      ++step;
      CAPTURE(step);
      signal = EndingSignalOf([&] {
        doom.at = step;
        SendSome(channel->fd);
      });
      REQUIRE((signal == SIGKILL || signal == 0));
      const interproc_count count = PublishedIn(channel);
      const uint64_t more = count.messages - before;
      REQUIRE((more == 0 || more == 2 || more == 4 || more == 5));
      while (receiver.TryRead() == 0) {
        const uint32_t max = std::min(interproc_message_max(capacity), 200u);
        bytes += SizeOfMessage(receiver.received, max);
        interproc_done(&receiver);
      }
      REQUIRE(receiver.received == count.messages);
      REQUIRE(bytes == count.bytes);
    }
    CHECK(step > 30);
    CHECK(receiver.Read() == INTERPROC_ENDED);
  }
}

TEST_CASE("channel: what a receiver had finished does not come again, what it had in hand does") {
  const ChannelPtr channel = Anonymous(1024);
  Sender sender(channel);
  for (int sent = 0; sent < 5; ++sent) REQUIRE(sender.TrySend(20) == 0);
  interproc_flush(&sender);
  CHECK(EndingSignalOf([&] {
          const ChannelPtr own = FromFd(channel->fd);
          Receiver receiver(own);
          for (int read = 0; read < 3; ++read) CHILD_EXPECT(receiver.TryRead() == 0);
          kill(getpid(), SIGKILL);  // two finished, the third in hand
        }) == SIGKILL);
  // The flag outlives a second death, also of one that had not come to the message.
  for (int death = 0; death < 2; ++death) {
    CHECK(EndingSignalOf([&] {
            const ChannelPtr own = FromFd(channel->fd);
            Receiver receiver(own);
            CHILD_EXPECT(receiver.received == 2);
            if (death == 1) CHILD_EXPECT(receiver.TryRead() == 1);
            kill(getpid(), SIGKILL);
          }) == SIGKILL);
  }
  Receiver receiver(channel);
  CHECK(receiver.received == 2);
  CHECK(receiver.TryRead() == 1);
  CHECK(receiver.TryRead() == 0);
  CHECK(receiver.TryRead() == 0);
  CHECK(receiver.TryRead() == -EAGAIN);
  CHECK(receiver.received == 5);
}

TEST_CASE(
    "channel: a receiver may die at any step: nothing is lost, nothing finished comes again") {
  for (const uint32_t capacity : {256u, 65536u}) {
    CAPTURE(capacity);
    const ChannelPtr channel = WithPast(capacity, 0u - 512, 0xfffffff0);
    Sender sender(channel);
    const Shared<Progress> progress;
    progress->finished = progress->given = 0xfffffff0;
    int step = 0;
    for (int signal = SIGKILL; signal == SIGKILL;) {
      while (sender.TrySend(SizeOfMessage(sender.messages, 24)) == 0) {
        if (sender.messages - progress->finished >= 10) break;
      }
      interproc_flush(&sender);
      ++step;
      CAPTURE(step);
      Child child([&] {
        doom.at = step;
        ReceiveSome(channel->fd, &*progress);
      });
      const int status = child.Wait();
      signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
      REQUIRE((signal == SIGKILL || status == 0));
      const interproc_resume resume = ResumeIn(channel);
      REQUIRE(resume.received >= progress->finished);
      REQUIRE(resume.received <= progress->finished + 1);
    }
    CHECK(step > 20);
    Receiver receiver(channel);
    interproc_flush(&sender);
    while (receiver.TryRead() >= 0) continue;
    CHECK(receiver.received == sender.messages);
  }
}

TEST_CASE("channel: both sides may die at once, again and again") {
  const ChannelPtr channel = Anonymous(512);
  const Shared<Progress> progress;
  Random random(1);
  for (int round = 0; round < 40; ++round) {
    const int steps[2] = {static_cast<int>(1 + random.Below(80)),
                          static_cast<int>(1 + random.Below(80))};
    Child sending([&] {
      doom.at = steps[0];
      const ChannelPtr own = FromFd(channel->fd);
      Sender sender(own);
      sender.await_peer = 1;
      for (;;) CHILD_EXPECT(sender.Send(SizeOfMessage(sender.messages, 60)) == 0);
    });
    Child receiving([&] {
      doom.at = steps[1];
      const ChannelPtr own = FromFd(channel->fd);
      Receiver receiver(own);
      receiver.await_peer = 1;
      CHILD_EXPECT(receiver.received >= progress->finished);
      for (;;) {
        const int result = receiver.Read();
        CHILD_EXPECT(result == 0 || result == 1);
        interproc_done(&receiver);
        progress->finished = receiver.received;
      }
    });
    // One that waits for the dead other is at no step: it ends with the first.
    const auto ended = [](const Child& child) {
      siginfo_t info = {};
      MUST(waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOHANG | WNOWAIT) == 0);
      return info.si_pid != 0;
    };
    Until([&] { return ended(sending) || ended(receiving); });
    for (Child* child : {&sending, &receiving}) {
      kill(child->pid(), SIGKILL);
      REQUIRE(child->EndingSignal() == SIGKILL);
    }
  }
  const uint64_t published = PublishedIn(channel).messages;
  CHECK(published > 40);
  Receiver receiver(channel);
  while (receiver.TryRead() >= 0) continue;
  CHECK(receiver.received == published);
  Sender sender(channel);
  CHECK(sender.messages == published);
}

}  // namespace interproc::test
