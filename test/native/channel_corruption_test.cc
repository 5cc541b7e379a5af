// A hostile peer writes what it likes into the segment: whatever is read then is an error or bytes
// of the ring, and no load or store goes beside it.
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)0)
#endif

#include "channel_support.h"

namespace interproc::test {
namespace {

// A channel that was mapped with a forbidden page before it and another behind it; what is left
// between the ring and its page's end is forbidden by AddressSanitizer. `writable`: the same
// segment without fences, as the hostile peer has it.
class Fenced {
 public:
  explicit Fenced(uint32_t capacity) : hostile_(Anonymous(capacity)), channel_(NewChannel()) {
    const size_t page = PageSize();
    length_ = (INTERPROC_HEADER_SIZE + capacity + page - 1) / page * page;
    void* base = mmap(nullptr, length_ + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(base != MAP_FAILED);
    base_ = static_cast<char*>(base);
    channel_->fd = fcntl(hostile_->fd, F_DUPFD_CLOEXEC, 3);
    MUST(mmap(base_ + page, length_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, channel_->fd,
              0) != MAP_FAILED);
    channel_->header = reinterpret_cast<interproc_header*>(base_ + page);
    channel_->ring = reinterpret_cast<unsigned char*>(channel_->header) + INTERPROC_HEADER_SIZE;
    channel_->capacity = capacity;
    MUST(interproc_join(&channel_->me, channel_->header, channel_->fd, 0, 0, 1) == 0);
    ASAN_POISON_MEMORY_REGION(channel_->ring + capacity, slack());
  }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;
  ~Fenced() {
    ASAN_UNPOISON_MEMORY_REGION(channel_->ring + channel_->capacity, slack());
    channel_.reset();
    munmap(base_, length_ + 2 * PageSize());
  }

  const ChannelPtr& get() const { return channel_; }
  const ChannelPtr& hostile() const { return hostile_; }

 private:
  size_t slack() const { return length_ - INTERPROC_HEADER_SIZE - channel_->capacity; }

  const ChannelPtr hostile_;
  ChannelPtr channel_;
  size_t length_ = 0;
  char* base_ = nullptr;
};

// Words that are likely to get past a check, or just not.
uint32_t OddWord(Random* random, uint32_t near) {
  switch (random->Below(8)) {
    case 0:
      return static_cast<uint32_t>(random->Next());
    case 1:
      return 1u << random->Below(32);
    case 2:
      return ~0u << random->Below(32);
    case 3:
      return near + 8 * random->Below(64);
    case 4:
      return near - 8 * random->Below(64);
    case 5:
      return near + random->Below(16);
    case 6:
      return INTERPROC_RECORD_PAD | random->Below(4096);
    default:
      return random->Below(4096);
  }
}

// Writes an odd word into the header or the ring, like a peer that knows where it hurts: often it
// is the header of the record that is read next.
void Mutate(const ChannelPtr& channel, Random* random) {
  interproc_header* header = channel->header;
  uint32_t* const words[] = {
      &header->sender.tail,
      &header->sender.counts[0].tail,
      &header->sender.counts[1].tail,
      &header->receiver.done,
      &header->receiver.begun,
      &header->head.position,
      &header->id.capacity,
      &header->sleep[INTERPROC_SENDER].word,
      &header->sleep[INTERPROC_RECEIVER].word,
  };
  constexpr uint32_t kWords = sizeof(words) / sizeof(words[0]);
  const uint32_t mask = channel->capacity - 1;
  const uint32_t next = interproc__peek(&header->receiver.done) & mask & ~7u;
  const uint32_t which = random->Below(3 * kWords);
  if (which < kWords) {
    interproc__put(words[which], OddWord(random, interproc__peek(&header->sender.tail)));
    return;
  }
  const bool is_next = which < 2 * kWords;
  auto* word = reinterpret_cast<uint32_t*>(
      channel->ring + (is_next ? next : static_cast<uint32_t>(random->Next()) & mask & ~3u));
  // Up to the end of the ring, or a little less.
  const uint32_t pad = INTERPROC_RECORD_PAD | (channel->capacity - next - random->Below(12));
  interproc__put(word, random->Below(4) == 0 ? pad : OddWord(random, next));
}

bool IsKnownError(int result) {
  return result == INTERPROC_CORRUPT || result == -EAGAIN || result == -EMSGSIZE;
}

volatile unsigned char sink;

// Loads every byte of a message.
void Taste(const void* data, uint32_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  unsigned char sum = 0;
  for (uint32_t at = 0; at < size; ++at) sum = static_cast<unsigned char>(sum + bytes[at]);
  sink = sum;
}

// Does what a peer of a hostile one does, checking nothing but that errors are those of a channel.
// Returns how many messages came through all the same.
int UseBothSides(const ChannelPtr& channel, Random* random, const std::function<void()>& between) {
  interproc_sender sender;
  interproc_receiver receiver;
  int sends = interproc_attach_sender(&sender, channel.get());
  int reads = interproc_attach_receiver(&receiver, channel.get());
  MUST(sends == 0 || sends == INTERPROC_CORRUPT);
  MUST(reads == 0 || reads == INTERPROC_CORRUPT);
  int got = 0;
  for (int step = 0; step < 30; ++step) {
    between();
    if (sends == 0) {
      void* data;
      const uint32_t size = random->Below(interproc_message_max(channel->capacity) + 1);
      const int result = interproc_try_claim(&sender, size, &data);
      MUST(result == 0 || IsKnownError(result));
      if (result == 0) {
        std::memset(data, step, size);
        interproc_commit(&sender, size);
      }
      if (random->Below(2) == 0) interproc_flush(&sender);
    }
    if (reads == 0) {
      const void* data;
      uint32_t size;
      const int result = interproc_try_read(&receiver, &data, &size);
      MUST(result == 0 || result == 1 || IsKnownError(result));
      if (result >= 0) {
        MUST(size <= interproc_message_max(channel->capacity));
        Taste(data, size);
        ++got;
      }
      if (result == INTERPROC_CORRUPT) reads = 1;
    }
    interproc_count count;
    (void)interproc_published(channel->header, channel->capacity, &count);
  }
  if (sends == 0) interproc_close_sender(&sender);
  if (reads == 0) interproc_close_receiver(&receiver);
  if (reads == 1) {
    interproc_leave_role(&channel->me, channel->header, INTERPROC_RECEIVER, INTERPROC_ROLE_DIED);
  }
  return got;
}

}  // namespace

TEST_CASE("channel: what a hostile peer writes between two calls leads nowhere but to the ring") {
  for (const uint32_t capacity : {64u, 512u, 4096u}) {
    CAPTURE(capacity);
    const Fenced fenced(capacity);
    Random random(capacity);
    int got = 0;
    for (int round = 0; round < 3000; ++round) {
      for (uint32_t more = random.Below(4); more > 0; --more) Mutate(fenced.hostile(), &random);
      const bool heals = random.Below(4) != 0;
      if (heals) {  // else nothing but CORRUPT would come of all that follows
        interproc_header* header = fenced.hostile()->header;
        const uint32_t position = OddWord(&random, 0) & ~7u;
        header->sender.tail = header->sender.counts[0].tail = position;
        header->head.position = header->receiver.done = header->receiver.begun = position;
        header->receiver.received = header->sender.counts[0].messages = random.Next();
      }
      got += UseBothSides(fenced.get(), &random, [&] {
        if (random.Below(6) == 0) Mutate(fenced.hostile(), &random);
      });
    }
    CHECK(got > 1000);
  }
}

TEST_CASE("channel: what a hostile peer writes at the same time leads nowhere but to the ring") {
  for (const uint32_t capacity : {64u, 4096u}) {
    CAPTURE(capacity);
    const Fenced fenced(capacity);
    const Shared<std::atomic<uint32_t>> mutations;
    Child hostile([&] {
      Random random(capacity);
      for (;;) {
        Mutate(fenced.hostile(), &random);
        mutations->fetch_add(1);
        // Now and then all is well for a moment, or nobody would get far.
        if (random.Below(4) != 0) continue;
        interproc_header* header = fenced.hostile()->header;
        interproc__put(&header->sender.counts[0].tail, 0);
        interproc__put(&header->sender.tail, 0);
        interproc__put(&header->head.position, 0);
        interproc__put(&header->receiver.done, 0);
      }
    });
    Random random(capacity + 1);
    for (int got = 0; got < 5000;) got += UseBothSides(fenced.get(), &random, [] {});
    Until([&] { return mutations->load() > 10'000; });
    kill(hostile.pid(), SIGKILL);
    CHECK(hostile.EndingSignal() == SIGKILL);
  }
}

TEST_CASE("channel: a record that no sender writes is CORRUPT") {
  struct Wrong {
    const char* what;
    uint32_t at;
    uint32_t word;
  };
  // One message of 16 bytes at 0 in a ring of 256: length, number.
  for (const Wrong& wrong : std::initializer_list<Wrong>{
           {"longer than what is published", 0, 17},
           {"longer than any", 0, 121},
           {"longer than the ring", 0, 0x7fffffff},
           {"padding where the ring has no end", 0, INTERPROC_RECORD_PAD | 16},
           {"padding of nothing", 0, INTERPROC_RECORD_PAD},
           {"padding that is all there is", 0, INTERPROC_RECORD_PAD | 256},
           {"another number", 4, 1},
       }) {
    CAPTURE(wrong.what);
    const ChannelPtr channel = Anonymous(256);
    Sender sender(channel);
    Receiver receiver(channel);
    REQUIRE(sender.TrySend(16) == 0);
    interproc_flush(&sender);
    std::memcpy(channel->ring + wrong.at, &wrong.word, sizeof(wrong.word));
    CHECK(receiver.TryRead() == INTERPROC_CORRUPT);
    CHECK(receiver.Read() == INTERPROC_CORRUPT);
    CHECK(receiver.received == 0);
  }
}

TEST_CASE("channel: padding in the middle of the ring hides no message") {
  const ChannelPtr channel = Anonymous(256);
  Sender sender(channel);
  Receiver receiver(channel);
  REQUIRE(sender.TrySend(16) == 0);
  REQUIRE(sender.TrySend(16) == 0);
  interproc_flush(&sender);
  const uint32_t hidden[2] = {INTERPROC_RECORD_PAD | 24, 0};
  const uint32_t number = 0;  // what is behind it looks right
  std::memcpy(channel->ring, hidden, sizeof(hidden));
  std::memcpy(channel->ring + 24 + 4, &number, sizeof(number));
  CHECK(receiver.TryRead() == INTERPROC_CORRUPT);
}

TEST_CASE("channel: a position that no peer writes is CORRUPT, for who is there and who comes") {
  const ChannelPtr channel = Anonymous(256);
  interproc_header* header = channel->header;
  interproc_sender sender;
  interproc_receiver receiver;
  SUBCASE("a tail too far ahead") {
    header->sender.tail = header->sender.counts[0].tail = 264;
    CHECK(interproc_attach_sender(&sender, channel.get()) == INTERPROC_CORRUPT);
    CHECK(interproc_attach_receiver(&receiver, channel.get()) == INTERPROC_CORRUPT);
  }
  SUBCASE("a tail in the middle of a word") {
    header->sender.tail = header->sender.counts[0].tail = 12;
    CHECK(interproc_attach_sender(&sender, channel.get()) == INTERPROC_CORRUPT);
    CHECK(interproc_attach_receiver(&receiver, channel.get()) == INTERPROC_CORRUPT);
  }
  SUBCASE("a tail that nothing was counted for") {
    header->sender.tail = 16;
    CHECK(interproc_attach_sender(&sender, channel.get()) == INTERPROC_CORRUPT);
    CHECK(interproc_attach_receiver(&receiver, channel.get()) == INTERPROC_CORRUPT);
  }
  SUBCASE("what was finished lies before the head") {
    header->receiver.done = 0u - 8;
    CHECK(interproc_attach_receiver(&receiver, channel.get()) == INTERPROC_CORRUPT);
  }
  SUBCASE("a head beyond the tail, under a sender") {
    REQUIRE(interproc_attach_sender(&sender, channel.get()) == 0);
    header->head.position = 8;
    void* data;
    for (int sent = 0; sent < 2; ++sent) {
      REQUIRE(interproc_try_claim(&sender, 120, &data) == 0);  // as it knows the head
      interproc_commit(&sender, 120);
    }
    header->head.position = 0u - 8;
    CHECK(interproc_try_claim(&sender, 120, &data) == INTERPROC_CORRUPT);
    CHECK(interproc_claim(&sender, 120, &data, -1) == INTERPROC_CORRUPT);
    interproc_close_sender(&sender);
  }
  SUBCASE("a tail too far ahead, under a receiver") {
    REQUIRE(interproc_attach_receiver(&receiver, channel.get()) == 0);
    header->sender.tail = 264;
    const void* data;
    uint32_t size;
    CHECK(interproc_try_read(&receiver, &data, &size) == INTERPROC_CORRUPT);
    CHECK(interproc_receive(&receiver, &data, &size, -1) == INTERPROC_CORRUPT);
    interproc_close_receiver(&receiver);
  }
  // A role that was refused is nobody's.
  header->sender.tail = header->sender.counts[0].tail = 0;
  header->receiver.done = header->receiver.begun = header->head.position = 0;
  const Sender healed_sender(channel);
  const Receiver healed_receiver(channel);
}

TEST_CASE("channel: a capacity that changes after the check moves nobody out of the ring") {
  const Fenced fenced(4096);
  fenced.hostile()->header->id.capacity = INTERPROC_CAPACITY_MAX;
  interproc_header* header = fenced.hostile()->header;
  header->sender.tail = header->sender.counts[0].tail = 1 << 20;
  header->head.position = header->receiver.done = (1 << 20) - 4096;
  Receiver receiver(fenced.get());  // looks at the record at `done`
  CHECK(receiver.capacity == 4096);
  Sender sender(fenced.get());
  CHECK(sender.TrySend(8) == -EAGAIN);
}

TEST_CASE("channel: a segment of zeros, of another kind or of the wrong size is no channel") {
  const auto opens = [](uint32_t size, const std::function<void(interproc_header*)>& change) {
    const os::UniqueFd fd(static_cast<int>(syscall(SYS_memfd_create, "interproc", 1u)));
    MUST(ftruncate(fd.get(), size) == 0);
    if (size >= INTERPROC_HEADER_SIZE) {
      void* base =
          mmap(nullptr, INTERPROC_HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
      MUST(base != MAP_FAILED);
      auto* header = static_cast<interproc_header*>(base);
      interproc_init(header, 4096, 0);
      change(header);
      munmap(base, INTERPROC_HEADER_SIZE);
    }
    interproc_channel channel;
    const int result = interproc_from_fd(&channel, fd.get());
    if (result == 0) interproc_close(&channel);
    return result;
  };
  CHECK(opens(8192, [](interproc_header*) {}) == 0);
  CHECK(opens(8193, [](interproc_header*) {}) == 0);
  CHECK(opens(0, {}) == INTERPROC_NOT_READY);
  CHECK(opens(1, {}) == INTERPROC_MISMATCH);
  CHECK(opens(4095, {}) == INTERPROC_MISMATCH);
  CHECK(opens(4096, [](interproc_header*) {}) == INTERPROC_CORRUPT);
  CHECK(opens(8191, [](interproc_header*) {}) == INTERPROC_CORRUPT);
  CHECK(opens(8192, [](interproc_header* header) { header->id.state = INTERPROC_RAW; }) ==
        INTERPROC_NOT_READY);
  CHECK(opens(8192, [](interproc_header* header) { header->id.state = INTERPROC_RETIRED; }) ==
        INTERPROC_UNLINKED);
  CHECK(opens(8192, [](interproc_header* header) { header->id.state = 3; }) == INTERPROC_MISMATCH);
  CHECK(opens(8192, [](interproc_header* header) { header->id.magic++; }) == INTERPROC_MISMATCH);
  CHECK(opens(8192, [](interproc_header* header) { header->id.version++; }) == INTERPROC_MISMATCH);
  CHECK(opens(8192, [](interproc_header* header) { header->id.kind++; }) == INTERPROC_MISMATCH);
  for (const uint32_t capacity : {0u, 8u, 32u, 63u, 65u, 4095u, 4097u, 8192u, 1u << 31, ~0u}) {
    CAPTURE(capacity);
    CHECK(opens(8192, [=](interproc_header* header) { header->id.capacity = capacity; }) ==
          INTERPROC_CORRUPT);
  }
}

}  // namespace interproc::test
