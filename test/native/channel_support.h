// What the tests of include/interproc.h share: channels that clean up after themselves, messages
// that tell by their bytes which they are, and deaths at every step of the protocol.
//
// It includes interproc.h with failpoints of its own, so a test has either this or native/os's way
// to the protocol (os/protocol.h), never both.
#ifndef INTERPROC_TEST_NATIVE_CHANNEL_SUPPORT_H_
#define INTERPROC_TEST_NATIVE_CHANNEL_SUPPORT_H_

#include <signal.h>
#include <unistd.h>

#include <functional>
#include <string>

namespace interproc::test {

// Kills this process (SIGKILL) when it passes its `at`th step; with a name only steps of that name
// count. Set in children, before they start a thread.
struct Doom {
  int at = 0;  // 0: never
  const char* name = nullptr;
  int passed = 0;
};
extern Doom doom;

// Called at each step. Set in children, before they start a thread.
extern std::function<void(const std::string& name)> on_step;

void PassStep(const char* name);

}  // namespace interproc::test

#define INTERPROC_FAILPOINT(name) ::interproc::test::PassStep(name)
#include "include/interproc.h"
#include "support.h"

namespace interproc::test {

// What another file of this program does with its own copy of the functions.
int OpenInAnotherFile(interproc_channel* channel, int fd);
void CloseInAnotherFile(interproc_channel* channel);

// ---- messages -----------------------------------------------------------------------------------

// splitmix64: the same numbers for the same seed, everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // In [0, end).
  uint32_t Below(uint32_t end) { return static_cast<uint32_t>(Next() % end); }

 private:
  uint64_t state_;
};

// Message `number` of a stream: its size and each of its bytes follow from the number.
inline uint32_t SizeOfMessage(uint64_t number, uint32_t max) {
  return Random(number).Below(max + 1);
}
inline uint64_t WordOfMessage(uint64_t number, uint32_t size, uint32_t index) {
  return (number + 1) * 0x9e3779b97f4a7c15 ^ (uint64_t{size} << 32) ^ index;
}
inline void WriteMessage(void* data, uint64_t number, uint32_t size) {
  auto* bytes = static_cast<unsigned char*>(data);
  for (uint32_t at = 0; at < size; at += 8) {
    const uint64_t word = WordOfMessage(number, size, at);
    std::memcpy(bytes + at, &word, std::min<uint32_t>(8, size - at));
  }
}
inline bool IsMessage(const void* data, uint64_t number, uint32_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (uint32_t at = 0; at < size; at += 8) {
    const uint64_t word = WordOfMessage(number, size, at);
    if (std::memcmp(bytes + at, &word, std::min<uint32_t>(8, size - at)) != 0) return false;
  }
  return true;
}

// ---- channels -----------------------------------------------------------------------------------

struct CloseChannel {
  void operator()(interproc_channel* channel) const {
    interproc_close(channel);
    delete channel;
  }
};
// Where it stands in memory, it stays: the protocol keeps its address for forks.
using ChannelPtr = std::unique_ptr<interproc_channel, CloseChannel>;

inline ChannelPtr NewChannel() {
  ChannelPtr channel(new interproc_channel);
  interproc__start(channel.get());
  return channel;
}
inline ChannelPtr Anonymous(uint32_t capacity) {
  ChannelPtr channel = NewChannel();
  const interproc_options options = {capacity, 0, 0};
  MUST(interproc_anonymous(channel.get(), &options) == 0);
  return channel;
}
inline ChannelPtr FromFd(int fd) {
  ChannelPtr channel = NewChannel();
  MUST(interproc_from_fd(channel.get(), fd) == 0);
  return channel;
}
inline ChannelPtr Create(const std::string& name, uint32_t capacity, int persist = 0) {
  ChannelPtr channel = NewChannel();
  const interproc_options options = {capacity, 0, persist};
  MUST(interproc_create(channel.get(), name.c_str(), &options) == 0);
  return channel;
}
inline ChannelPtr Open(const std::string& name) {
  ChannelPtr channel = NewChannel();
  MUST(interproc_open(channel.get(), name.c_str(), 0) == 0);
  return channel;
}
inline int TryOpen(const std::string& name) {
  ChannelPtr channel = NewChannel();
  return interproc_open(channel.get(), name.c_str(), 0);
}

// A channel with no memory behind it but what is touched, and a past: `number` messages went
// through it, and all its positions are `position`.
inline ChannelPtr WithPast(uint32_t capacity, uint32_t position, uint64_t number) {
  const os::UniqueFd fd(static_cast<int>(syscall(SYS_memfd_create, "interproc", 1u)));
  MUST(ftruncate(fd.get(), off_t{INTERPROC_HEADER_SIZE} + capacity) == 0);
  void* base =
      mmap(nullptr, INTERPROC_HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  MUST(base != MAP_FAILED);
  auto* header = static_cast<interproc_header*>(base);
  header->sender.tail = header->sender.counts[0].tail = position;
  header->sender.counts[0].messages = header->receiver.received = number;
  header->receiver.done = header->receiver.begun = header->head.position = position;
  interproc_init(header, capacity, 0);
  munmap(base, INTERPROC_HEADER_SIZE);
  return FromFd(fd.get());
}

// As a death does: the lock is gone, and whatever the segment says stays.
inline void Abandon(interproc_channel* channel) { interproc_discard(&channel->me); }

struct Sender : interproc_sender {
  explicit Sender(const ChannelPtr& of) { MUST(interproc_attach_sender(this, of.get()) == 0); }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;
  ~Sender() { interproc_close_sender(this); }

  // The next message of the stream.
  int TrySend(uint32_t size) {
    void* data;
    const int result = interproc_try_claim(this, size, &data);
    if (result != 0) return result;
    WriteMessage(data, messages, size);
    interproc_commit(this, size);
    return 0;
  }
  int Send(uint32_t size, int64_t timeout_ms = -1) {
    void* data;
    const int result = interproc_claim(this, size, &data, timeout_ms);
    if (result != 0) return result;
    WriteMessage(data, messages, size);
    interproc_commit(this, size);
    return 0;
  }
  // Dies with what it has accepted.
  void Die() {
    Abandon(channel);
    channel = nullptr;
  }
};

struct Receiver : interproc_receiver {
  explicit Receiver(const ChannelPtr& of) { MUST(interproc_attach_receiver(this, of.get()) == 0); }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  ~Receiver() { interproc_close_receiver(this); }

  // As interproc_try_read; -EBADMSG where it is not the message that comes next.
  int TryRead() {
    const void* data;
    uint32_t size;
    const int result = interproc_try_read(this, &data, &size);
    return result >= 0 && !IsMessage(data, received, size) ? -EBADMSG : result;
  }
  int Read(int64_t timeout_ms = -1) {
    const void* data;
    uint32_t size;
    const int result = interproc_receive(this, &data, &size, timeout_ms);
    return result >= 0 && !IsMessage(data, received, size) ? -EBADMSG : result;
  }
  void Die() {
    Abandon(channel);
    channel = nullptr;
  }
};

inline interproc_count PublishedIn(const ChannelPtr& channel) {
  interproc_count count = {};
  MUST(interproc_published(channel->header, channel->capacity, &count) == 0);
  return count;
}
inline interproc_resume ResumeIn(const ChannelPtr& channel) {
  interproc_resume resume = {};
  MUST(interproc_receiver_start(channel->header, channel->ring, channel->capacity, &resume) == 0);
  return resume;
}

inline bool IsAlive(const ChannelPtr& channel, uint32_t owner) {
  const int alive = interproc_owner_alive(&channel->me, channel->fd, owner);
  MUST(alive >= 0);
  return alive == 1;
}

// A name that is free now and will be again.
class ChannelName {
 public:
  ChannelName() : name_(UniqueName()) {}
  ChannelName(const ChannelName&) = delete;
  ChannelName& operator=(const ChannelName&) = delete;
  ~ChannelName() { unlink(path().c_str()); }

  const std::string& get() const { return name_; }
  std::string path() const { return INTERPROC_NAME_PREFIX + name_; }
  bool exists() const { return access(path().c_str(), F_OK) == 0; }

 private:
  const std::string name_;
};

}  // namespace interproc::test

#endif  // INTERPROC_TEST_NATIVE_CHANNEL_SUPPORT_H_
