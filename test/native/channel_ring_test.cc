// The ring of a channel: what is written where, and what comes out at the other end.
#include <cstddef>
#include <vector>

#include "channel_support.h"

namespace interproc::test {
namespace {

std::vector<uint32_t> SmallCapacities() {
  std::vector<uint32_t> all;
  for (uint32_t capacity = INTERPROC_CAPACITY_MIN; capacity <= 1u << 20; capacity *= 2) {
    all.push_back(capacity);
  }
  return all;
}

// Sends messages of random sizes, a random number at a time, and reads a random number of what is
// there, until `count` have come through.
void Pump(Sender* sender, Receiver* receiver, uint64_t count, uint64_t seed) {
  Random random(seed);
  const uint32_t max = interproc_message_max(sender->capacity);
  const uint64_t end = sender->messages + count;
  while (receiver->received < end) {
    for (uint32_t more = random.Below(40); more > 0 && sender->messages < end; --more) {
      const int sent = sender->TrySend(SizeOfMessage(sender->messages, max));
      if (sent == -EAGAIN) break;
      REQUIRE(sent == 0);
    }
    if (random.Below(3) == 0) interproc_flush(sender);
    for (uint32_t more = random.Below(40); more > 0; --more) {
      const int read = receiver->TryRead();
      if (read == -EAGAIN) break;
      REQUIRE(read == 0);
    }
    interproc_done(receiver);
  }
  CHECK(receiver->received == end);
  CHECK(receiver->TryRead() == -EAGAIN);
}

}  // namespace

TEST_CASE("channel: the layout is the one that every version of it has") {
  CHECK(INTERPROC_MAGIC == 0x63707269);
  CHECK(INTERPROC_VERSION == 1);
  CHECK(INTERPROC_KIND_CHANNEL == 1);
  CHECK(sizeof(interproc_header) == 4096);
  CHECK(sizeof(interproc_participant) == 64);
  CHECK(sizeof(interproc_count) == 24);
  CHECK(offsetof(interproc_header, id.state) == 0);
  CHECK(offsetof(interproc_header, id.magic) == 4);
  CHECK(offsetof(interproc_header, id.version) == 8);
  CHECK(offsetof(interproc_header, id.kind) == 12);
  CHECK(offsetof(interproc_header, id.capacity) == 16);
  CHECK(offsetof(interproc_header, id.flags) == 20);
  CHECK(offsetof(interproc_header, id.created_ms) == 24);
  CHECK(offsetof(interproc_header, sender.tail) == 128);
  CHECK(offsetof(interproc_header, sender.counts) == 192);
  CHECK(offsetof(interproc_header, sender.times_full) == 240);
  CHECK(offsetof(interproc_header, sender.times_slept) == 248);
  CHECK(offsetof(interproc_header, receiver.done) == 256);
  CHECK(offsetof(interproc_header, receiver.begun) == 260);
  CHECK(offsetof(interproc_header, receiver.received) == 264);
  CHECK(offsetof(interproc_header, receiver.times_slept) == 272);
  CHECK(offsetof(interproc_header, head.position) == 384);
  CHECK(offsetof(interproc_header, role[INTERPROC_SENDER]) == 512);
  CHECK(offsetof(interproc_header, role[INTERPROC_RECEIVER]) == 640);
  CHECK(offsetof(interproc_header, sleep[INTERPROC_SENDER]) == 768);
  CHECK(offsetof(interproc_header, sleep[INTERPROC_RECEIVER]) == 896);
  CHECK(offsetof(interproc_header, participants) == 1024);
  CHECK(offsetof(interproc_participant, owner) == 0);
  CHECK(offsetof(interproc_participant, pid) == 4);
  CHECK(offsetof(interproc_participant, thread) == 8);
  CHECK(offsetof(interproc_participant, pid_namespace) == 16);
  CHECK(offsetof(interproc_participant, started_ms) == 24);
  CHECK(offsetof(interproc_participant, since_ms) == 32);
}

TEST_CASE("channel: a record is its length, its number, and the bytes of the message") {
  const ChannelPtr channel = Anonymous(128);
  Sender sender(channel);
  REQUIRE(interproc_try_send(&sender, "abcde", 5) == 0);
  REQUIRE(interproc_try_send(&sender, "fgh", 3) == 0);
  CHECK(channel->header->sender.tail == 0);  // accepted only
  interproc_flush(&sender);
  CHECK(channel->header->sender.tail == 32);
  const auto word = [&](uint32_t at) {
    uint32_t value;
    std::memcpy(&value, channel->ring + at, sizeof(value));
    return value;
  };
  CHECK(word(0) == 5);
  CHECK(word(4) == 0);
  CHECK(std::memcmp(channel->ring + 8, "abcde", 5) == 0);
  CHECK(word(16) == 3);
  CHECK(word(20) == 1);
  CHECK(std::memcmp(channel->ring + 24, "fgh", 3) == 0);
  const interproc_count count = PublishedIn(channel);
  CHECK(count.messages == 2);
  CHECK(count.bytes == 8);
}

TEST_CASE("channel: a record that does not fit at the end of the ring leaves padding there") {
  const ChannelPtr channel = WithPast(64, 40, 7);
  Sender sender(channel);
  Receiver receiver(channel);
  REQUIRE(sender.TrySend(24) == 0);  // 32 bytes, and 24 are left
  interproc_flush(&sender);
  uint32_t pad;
  std::memcpy(&pad, channel->ring + 40, sizeof(pad));
  CHECK(pad == (INTERPROC_RECORD_PAD | 24));
  CHECK(channel->header->sender.tail == 40 + 24 + 32);
  CHECK(receiver.TryRead() == 0);
  interproc_done(&receiver);
  CHECK(channel->header->receiver.done == 40 + 24 + 32);
}

TEST_CASE("channel: messages of all sizes come through rings of every capacity, in order") {
  for (const uint32_t capacity : SmallCapacities()) {
    CAPTURE(capacity);
    const ChannelPtr channel = Anonymous(capacity);
    REQUIRE(channel->capacity == capacity);
    Sender sender(channel);
    Receiver receiver(channel);
    Pump(&sender, &receiver, capacity < 1u << 16 ? 2000 : 100, capacity);
    CHECK(PublishedIn(channel).messages == sender.messages);
    CHECK(PublishedIn(channel).bytes == sender.bytes);
  }
}

TEST_CASE("channel: the largest message fits at every place of the ring") {
  for (uint32_t capacity = 64; capacity <= 1024; capacity *= 2) {
    for (uint32_t start = 0; start < capacity; start += 8) {
      CAPTURE(capacity);
      CAPTURE(start);
      const ChannelPtr channel = WithPast(capacity, start, 0);
      Sender sender(channel);
      Receiver receiver(channel);
      REQUIRE(sender.TrySend(interproc_message_max(capacity)) == 0);
      interproc_flush(&sender);
      REQUIRE(receiver.TryRead() == 0);
    }
  }
}

TEST_CASE("channel: the largest ring takes the largest message, around its end") {
  const uint32_t capacity = INTERPROC_CAPACITY_MAX;
  const ChannelPtr channel = WithPast(capacity, 3 * capacity - 64, 5);
  Sender sender(channel);
  Receiver receiver(channel);
  for (int round = 0; round < 6; ++round) {
    void* data;
    REQUIRE(interproc_try_claim(&sender, interproc_message_max(capacity), &data) == 0);
    interproc_commit(&sender, interproc_message_max(capacity));  // pages that nobody touches
    const void* read;
    uint32_t size;
    REQUIRE(interproc_try_read(&receiver, &read, &size) == 0);
    CHECK(size == interproc_message_max(capacity));
    interproc_done(&receiver);
  }
}

TEST_CASE("channel: positions and counts go on where 32 bits end") {
  for (const uint32_t capacity : {64u, 256u, 4096u}) {
    for (const uint64_t number : {uint64_t{0xffffff00}, uint64_t{0x1'ffff'fff0}}) {
      CAPTURE(capacity);
      CAPTURE(number);
      const ChannelPtr channel = WithPast(capacity, 0u - 16 * capacity, number);
      {
        Sender sender(channel);
        Receiver receiver(channel);
        CHECK(sender.messages == number);
        CHECK(receiver.received == number);
        Pump(&sender, &receiver, 2000, capacity);
      }
      CHECK(static_cast<int32_t>(channel->header->sender.tail) > 0);
      CHECK(PublishedIn(channel).messages == number + 2000);
      CHECK(ResumeIn(channel).received == number + 2000);
    }
  }
}

TEST_CASE("channel: an empty message is a message") {
  const ChannelPtr channel = Anonymous(64);
  Sender sender(channel);
  Receiver receiver(channel);
  for (int round = 0; round < 40; ++round) {
    REQUIRE(interproc_try_send(&sender, nullptr, 0) == 0);
    const void* data;
    uint32_t size = 1;
    interproc_flush(&sender);
    REQUIRE(interproc_try_read(&receiver, &data, &size) == 0);
    CHECK(size == 0);
    CHECK(interproc_try_read(&receiver, &data, &size) == -EAGAIN);
  }
  CHECK(receiver.received == 40);
}

TEST_CASE("channel: what never fits is EMSGSIZE, at once and for every call") {
  const ChannelPtr channel = Anonymous(256);
  Sender sender(channel);
  std::vector<char> data(1000);
  void* room;
  for (const uint32_t size : {121u, 256u, 1000u}) {
    CHECK(interproc_try_send(&sender, data.data(), size) == -EMSGSIZE);
    CHECK(interproc_send(&sender, data.data(), size, -1) == -EMSGSIZE);
  }
  for (const uint32_t size : {0x7ffffff8u, 0x80000000u, 0xfffffff0u, 0xffffffffu}) {
    CHECK(interproc_try_claim(&sender, size, &room) == -EMSGSIZE);
    CHECK(interproc_claim(&sender, size, &room, -1) == -EMSGSIZE);
  }
  CHECK(interproc_try_send(&sender, data.data(), 120) == 0);
}

TEST_CASE("channel: a full ring is EAGAIN, counted, and has room again for what was finished") {
  const ChannelPtr channel = Anonymous(64);
  Sender sender(channel);
  Receiver receiver(channel);
  for (int sent = 0; sent < 8; ++sent) REQUIRE(sender.TrySend(0) == 0);
  CHECK(sender.TrySend(0) == -EAGAIN);
  CHECK(channel->header->sender.times_full == 1);
  CHECK(channel->header->sender.tail == 64);  // it lets the receiver see what is in the way
  REQUIRE(receiver.TryRead() == 0);
  CHECK(sender.TrySend(0) == -EAGAIN);  // in hand
  interproc_done(&receiver);
  CHECK(sender.TrySend(0) == 0);
  CHECK(sender.TrySend(0) == -EAGAIN);
}

TEST_CASE("channel: a commit may be shorter than its claim, and takes no more room than it needs") {
  const ChannelPtr channel = Anonymous(256);
  Sender sender(channel);
  Receiver receiver(channel);
  for (int round = 0; round < 100; ++round) {
    const uint32_t size = static_cast<uint32_t>(round) % 121;
    void* data;
    REQUIRE(interproc_try_claim(&sender, 120, &data) == 0);
    WriteMessage(data, sender.messages, size);
    const uint32_t before = sender.claim;
    interproc_commit(&sender, size);
    CHECK(sender.tail - before == (8 + size + 7) / 8 * 8);
    interproc_flush(&sender);
    REQUIRE(receiver.TryRead() == 0);
    REQUIRE(receiver.TryRead() == -EAGAIN);  // all space goes back
  }
}

TEST_CASE("channel: nothing comes of an aborted claim, also where it had padded the ring's end") {
  const ChannelPtr channel = WithPast(64, 40, 3);
  Sender sender(channel);
  Receiver receiver(channel);
  void* data;
  REQUIRE(interproc_try_claim(&sender, 24, &data) == 0);
  std::memset(data, 0xff, 24);
  interproc_abort(&sender);
  interproc_flush(&sender);
  CHECK(channel->header->sender.tail == 40);
  CHECK(receiver.TryRead() == -EAGAIN);
  REQUIRE(sender.TrySend(16) == 0);  // where the padding was
  interproc_flush(&sender);
  CHECK(channel->header->sender.tail == 64);
  CHECK(receiver.TryRead() == 0);
}

TEST_CASE("channel: publication comes with the 32nd message, with 64 KiB, or to one that starves") {
  const ChannelPtr channel = Anonymous(1 << 20);
  Sender sender(channel);
  Receiver receiver(channel);
  for (int sent = 0; sent < 31; ++sent) REQUIRE(sender.TrySend(0) == 0);
  CHECK(PublishedIn(channel).messages == 0);
  REQUIRE(sender.TrySend(0) == 0);
  CHECK(PublishedIn(channel).messages == 32);
  REQUIRE(sender.TrySend(INTERPROC_BATCH_BYTES / 2) == 0);
  CHECK(PublishedIn(channel).messages == 32);
  REQUIRE(sender.TrySend(INTERPROC_BATCH_BYTES / 2) == 0);
  CHECK(PublishedIn(channel).messages == 34);
  const uint32_t* word = &channel->header->sleep[INTERPROC_RECEIVER].word;
  while (receiver.TryRead() != -EAGAIN) continue;
  // After a long run it looks for a while before it asks the sender to hurry.
  for (uint32_t looks = 2; looks < INTERPROC_GRACE_LOOKS; ++looks) {
    REQUIRE(receiver.TryRead() == -EAGAIN);
    REQUIRE(*word == INTERPROC_AWAKE);
  }
  REQUIRE(receiver.TryRead() == -EAGAIN);
  CHECK(*word == INTERPROC_STARVED);
  CHECK(channel->header->head.position == channel->header->receiver.done);
  REQUIRE(sender.TrySend(0) == 0);
  CHECK(PublishedIn(channel).messages == 35);
  CHECK(*word == INTERPROC_AWAKE);
  // After a short one it does so at once.
  REQUIRE(receiver.TryRead() == 0);
  REQUIRE(receiver.TryRead() == -EAGAIN);
  CHECK(*word == INTERPROC_STARVED);
}

// Two threads, each with a part in the channel of its own. On one mapping, ThreadSanitizer sees the
// loads and stores of both; on two, the ring is as two processes have it.
TEST_CASE("channel: two threads at its ends lose and tear nothing") {
  for (const bool one_mapping : {true, false}) {
    for (const uint32_t capacity : {64u, 1024u, 65536u}) {
      CAPTURE(one_mapping);
      CAPTURE(capacity);
      const ChannelPtr channel = WithPast(capacity, 0u - 4 * capacity, 0xffffff00);
      const ChannelPtr other = FromFd(channel->fd);
      const uint64_t end = 0xffffff00 + uint64_t{20'000};
      std::atomic<int> failure{0};
      {
        Thread producer([&] {
          Sender sender(channel);
          const uint32_t max = std::min(interproc_message_max(capacity), 200u);
          while (sender.messages < end && failure == 0) {
            if (sender.Send(SizeOfMessage(sender.messages, max)) != 0) failure = 1;
          }
        });
        Receiver receiver(other);
        if (one_mapping) {
          receiver.header = channel->header;
          receiver.ring = channel->ring;
        }
        while (receiver.received < end && failure == 0) {
          if (receiver.Read() != 0) failure = 2;
          interproc_done(&receiver);
        }
        if (failure == 0 && receiver.Read() != INTERPROC_ENDED) failure = 3;
        receiver.header = other->header;
      }
      CHECK(failure == 0);
      CHECK(ResumeIn(channel).received == end);
    }
  }
}

}  // namespace interproc::test
