/*
 * The other side of these tests: a sender or receiver of a channel that knows no more of it than interproc.h.
 *
 *   channel send WHERE N          sends messages until N were sent by all senders so far, and closes
 *   channel receive WHERE         receives until the end
 *   channel send-and-hang WHERE N PUBLISHED
 *                                 sends N, the first PUBLISHED of which it publishes; prints a line and waits to be killed
 *   channel send-and-exec WHERE N
 *                                 sends N; prints a line, reads one and goes on as another program (sleep)
 *   channel receive-and-hang WHERE N
 *                                 receives N, the last of which stays in hand; prints a line and waits to be killed
 *   channel fill WHERE            sends until it would have to wait for the receiver, and tells how that ended
 *
 * WHERE: fd:NUMBER, a name or a path to open, or create:CAPACITY:NAME. "open" (or "created") is printed once it is there.
 * At the end: the outcome, how many messages went through the channel so far, a checksum of those of this program, and how
 * many of them a dead receiver had in hand.
 */
#include "interproc.h"

#include <inttypes.h>
#include <stdlib.h>

#define LARGEST_SENT 600u
#define TIMEOUT_MS 40000

static const char* name_of(int result) {
  switch (result) {
    case 0:
      return "ok";
    case INTERPROC_BUSY:
      return "BUSY";
    case INTERPROC_PEER_DIED:
      return "PEER_DIED";
    case INTERPROC_PEER_CLOSED:
      return "PEER_CLOSED";
    case INTERPROC_CORRUPT:
      return "CORRUPT";
    case INTERPROC_MISMATCH:
      return "MISMATCH";
    case INTERPROC_UNLINKED:
      return "UNLINKED";
    case INTERPROC_ENDED:
      return "ENDED";
    case INTERPROC_NOT_READY:
      return "NOT_READY";
    default:
      return result < 0 && result > -4096 ? strerror(-result) : "?";
  }
}

static void check(int result, const char* call) {
  if (result >= 0) return;
  fprintf(stderr, "%s: %s\n", call, name_of(result));
  exit(1);
}

static void say(const char* line) {
  puts(line);
  fflush(stdout);
}

/* As channel.test.ts has it: the size and the bytes of message `number`. */
static uint32_t size_of(uint64_t number, uint32_t max) {
  return (uint32_t)(number * 2654435761u) % (max + 1);
}
static uint32_t fill_message(unsigned char* data, uint64_t number, uint32_t max) {
  const uint32_t size = size_of(number, max);
  for (uint32_t at = 0; at < size; ++at) data[at] = (unsigned char)(number * 31 + at * 7);
  return size;
}
static int is_message(const unsigned char* data, uint32_t size, uint64_t number, uint32_t max) {
  if (size != size_of(number, max)) return 0;
  for (uint32_t at = 0; at < size; ++at) {
    if (data[at] != (unsigned char)(number * 31 + at * 7)) return 0;
  }
  return 1;
}
/* FNV-1a */
static uint32_t sum_on(uint32_t sum, const unsigned char* data, uint32_t size) {
  for (uint32_t at = 0; at < size; ++at) sum = (sum ^ data[at]) * 16777619u;
  return sum;
}

static uint32_t largest(const struct interproc_channel* channel) {
  const uint32_t max = interproc_message_max(channel->capacity);
  return max < LARGEST_SENT ? max : LARGEST_SENT;
}

static void enter(struct interproc_channel* channel, const char* where) {
  if (strncmp(where, "create:", 7) == 0) {
    char* name;
    struct interproc_options options = {0, 0, 0};
    options.capacity = (uint32_t)strtoul(where + 7, &name, 10);
    check(interproc_create(channel, name + 1, &options), "interproc_create");
    say("created");
    return;
  }
  if (strncmp(where, "fd:", 3) == 0) {
    check(interproc_from_fd(channel, atoi(where + 3)), "interproc_from_fd");
  } else {
    check(interproc_open(channel, where, TIMEOUT_MS), "interproc_open");
  }
  say("open");
}

struct outcome {
  int result;
  uint64_t count;
  uint32_t sum;
  uint32_t redelivered;
};

static int tell(struct outcome outcome) {
  printf("%s %" PRIu64 " %" PRIu32 " %" PRIu32 "\n", name_of(outcome.result), outcome.count,
         outcome.sum, outcome.redelivered);
  fflush(stdout);
  return 0;
}

static void hang(void) {
  say("hanging");
  for (;;) pause();
}

static struct outcome send_until(struct interproc_sender* sender, uint64_t count) {
  struct outcome outcome = {0, 0, 2166136261u, 0};
  const uint32_t max = largest(sender->channel);
  while (sender->messages < count) {
    void* data;
    const uint32_t size = size_of(sender->messages, max);
    outcome.result = interproc_claim(sender, size, &data, TIMEOUT_MS);
    if (outcome.result != 0) break;
    fill_message((unsigned char*)data, sender->messages, max);
    outcome.sum = sum_on(outcome.sum, (const unsigned char*)data, size);
    interproc_commit(sender, size);
  }
  outcome.count = sender->messages;
  return outcome;
}

static struct outcome receive_all(struct interproc_receiver* receiver) {
  struct outcome outcome = {0, 0, 2166136261u, 0};
  const uint32_t max = largest(receiver->channel);
  for (;;) {
    const void* data;
    uint32_t size;
    outcome.result = interproc_receive(receiver, &data, &size, TIMEOUT_MS);
    if (outcome.result < 0) break;
    outcome.redelivered += outcome.result == 1;
    if (!is_message((const unsigned char*)data, size, receiver->received, max)) {
      outcome.result = -EBADMSG;
      break;
    }
    outcome.sum = sum_on(outcome.sum, (const unsigned char*)data, size);
  }
  outcome.count = receiver->received;
  return outcome;
}

static int send_messages(struct interproc_channel* channel, const char* command, int argc,
                         char** argv) {
  struct interproc_sender sender;
  check(interproc_attach_sender(&sender, channel), "interproc_attach_sender");
  const uint64_t count = argc > 3 ? strtoull(argv[3], NULL, 10) : UINT64_MAX;
  struct outcome outcome;
  if (strcmp(command, "send-and-hang") == 0) {
    send_until(&sender, argc > 4 ? strtoull(argv[4], NULL, 10) : count);
    interproc_flush(&sender);
    outcome = send_until(&sender, count);
    check(outcome.result, "interproc_claim");
    hang();
  }
  outcome = send_until(&sender, count);
  if (strcmp(command, "send-and-exec") == 0) {
    interproc_flush(&sender);
    say("sent");
    (void)getchar();
    execlp("sleep", "sleep", "1000", (char*)NULL);
  }
  interproc_close_sender(&sender);
  return tell(outcome);
}

static int receive_messages(struct interproc_channel* channel, const char* command, int argc,
                            char** argv) {
  struct interproc_receiver receiver;
  check(interproc_attach_receiver(&receiver, channel), "interproc_attach_receiver");
  if (strcmp(command, "receive-and-hang") == 0) {
    const void* data;
    uint32_t size;
    for (int more = argc > 3 ? atoi(argv[3]) : 1; more > 0; --more) {
      check(interproc_receive(&receiver, &data, &size, TIMEOUT_MS), "interproc_receive");
    }
    hang();
  }
  const struct outcome outcome = receive_all(&receiver);
  interproc_close_receiver(&receiver);
  return tell(outcome);
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const char* command = argv[1];
  struct interproc_channel channel;
  enter(&channel, argv[2]);
  const int sends = strncmp(command, "send", 4) == 0 || strcmp(command, "fill") == 0;
  const int result = sends ? send_messages(&channel, command, argc, argv)
                           : receive_messages(&channel, command, argc, argv);
  interproc_close(&channel);
  return result;
}
