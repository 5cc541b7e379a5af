/*
 * The floor of pipes, FIFOs and UNIX sockets: the system calls alone. Round trips are between two
 * event loops: epoll, level-triggered, over descriptors that don't block. One way both sides block
 * where they share a CPU; where each has its own they look again for a while before they sleep.
 * Each message is one write(2) or send(2). A stream of bytes is read as far as it has come, into
 * 64 KiB; of datagrams and SOCK_SEQPACKET each message is one recv(2).
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"
#include "messages.h"
#include "roles.h"

#define READ_BYTES 65536
/* In vain, of who has a CPU of its own. */
#define LOOKS 500

struct wire {
  int in;
  int out;
  int events; /* epoll, over `in` */
  int is_socket;
  int has_messages; /* and is no stream of bytes */
  uint32_t bytes;
  int32_t* buffer; /* what is sent, or where is received: READ_BYTES */
  uint32_t* latencies;
};

static int64_t check(int64_t result, const char* call) {
  if (result < 0) control_fail("%s: %s", call, strerror(errno));
  return result;
}

/* After a look in vain at a descriptor that doesn't block. */
static void wait_for(int fd, short events, uint32_t* looks) {
  if (errno != EAGAIN) control_fail("descriptor %d: %s", fd, strerror(errno));
  if (++*looks < LOOKS) {
    control_relax();
    return;
  }
  *looks = 0;
  struct pollfd ready = {fd, events, 0};
  check(poll(&ready, 1, -1), "poll");
}

static inline void put(const struct wire* wire) {
  const char* bytes = (const char*)wire->buffer;
  size_t left = wire->bytes;
  uint32_t looks = 0;
  while (left > 0) {
    const ssize_t written = wire->is_socket ? send(wire->out, bytes, left, MSG_NOSIGNAL)
                                            : write(wire->out, bytes, left);
    if (written < 0) {
      wait_for(wire->out, POLLOUT, &looks);
      continue;
    }
    bytes += written;
    left -= (size_t)written;
  }
}

/* Returns how many bytes have come. */
static inline size_t get(const struct wire* wire, void* into, size_t size) {
  uint32_t looks = 0;
  for (;;) {
    const ssize_t length =
        wire->is_socket ? recv(wire->in, into, size, 0) : read(wire->in, into, size);
    if (length > 0) return (size_t)length;
    if (length == 0) control_fail("the other side is gone");
    wait_for(wire->in, POLLIN, &looks);
  }
}

static void send_all(void* state, uint64_t count) {
  const struct wire* wire = state;
  for (uint64_t i = 0; i < count; ++i) {
    wire->buffer[0] = (int32_t)i;
    put(wire);
  }
}

static void receive_messages(void* state, uint64_t count) {
  const struct wire* wire = state;
  for (uint64_t i = 0; i < count; ++i) {
    const size_t length = get(wire, wire->buffer, READ_BYTES);
    if (length != wire->bytes) control_fail("%zu bytes, and not %u", length, wire->bytes);
    check_number(wire->buffer[0], i);
  }
  check_pattern(wire->buffer, wire->bytes);
}

static void receive_stream(void* state, uint64_t count) {
  const struct wire* wire = state;
  char* const bytes = (char*)wire->buffer;
  size_t have = 0;
  const int32_t* last = wire->buffer;
  for (uint64_t i = 0; i < count;) {
    have += get(wire, bytes + have, READ_BYTES - have);
    size_t at = 0;
    for (; have - at >= wire->bytes; at += wire->bytes) {
      last = (const int32_t*)(bytes + at);
      check_number(last[0], i++);
    }
    if (i == count) check_pattern(last, wire->bytes);
    memmove(bytes, bytes + at, have - at);
    have -= at;
  }
}

/* A turn of an event loop: sleeps until something has come, and takes it. */
static void get_ping(const struct wire* wire, int32_t number) {
  struct epoll_event event;
  while (epoll_wait(wire->events, &event, 1, -1) != 1) {
  }
  if (get(wire, wire->buffer, READ_BYTES) != PING_BYTES) control_fail("a ping came in pieces");
  check_ping(wire->buffer, number);
}

static void put_ping(const struct wire* wire, int32_t number) {
  fill_ping(wire->buffer, number);
  put(wire);
}

static void ping(void* state, uint64_t count) {
  const struct wire* wire = state;
  uint64_t before = control_now();
  for (uint64_t i = 0; i < count; ++i) {
    put_ping(wire, (int32_t)i);
    get_ping(wire, (int32_t)i);
    before = lap(&wire->latencies[i], before);
  }
}

static void pong(void* state, uint64_t count) {
  const struct wire* wire = state;
  for (uint64_t i = 0; i < count; ++i) {
    get_ping(wire, (int32_t)i);
    put_ping(wire, (int32_t)i);
  }
}

static int open_fifo(const char* path, int flags) {
  return (int)check(open(path, flags | O_CLOEXEC), path);
}

/* As Task.handed and pathsOf of the bench say: the lead's `out` is the other side's `back`. */
static void connect_wire(struct wire* wire, int leads, const char* out, const char* back) {
  if (out == NULL) {
    wire->out = CONTROL_FD + 1;
    wire->in = wire->is_socket ? wire->out : CONTROL_FD + 2;
  } else if (leads) {
    wire->out = open_fifo(out, O_WRONLY);
    wire->in = open_fifo(back, O_RDONLY);
  } else {
    wire->in = open_fifo(back, O_RDONLY);
    wire->out = open_fifo(out, O_WRONLY);
  }
}

static void set_blocking(int fd, int blocks) {
  const int flags = (int)check(fcntl(fd, F_GETFL), "fcntl");
  check(fcntl(fd, F_SETFL, blocks ? flags & ~O_NONBLOCK : flags | O_NONBLOCK), "fcntl");
}

/* floor descriptor ROLE WORK TRANSPORT BYTES WAITING MOST OUT BACK */
void floor_descriptor(char** arguments) {
  const int leads = strcmp(arguments[0], "lead") == 0;
  const int plays_ping_pong = strcmp(arguments[1], "ping-pong") == 0;
  const char* const transport = arguments[2];
  const int is_fifo = strcmp(transport, "fifo") == 0;
  static struct wire wire;
  wire.has_messages = strcmp(transport, "datagram") == 0 || strcmp(transport, "seqpacket") == 0;
  wire.is_socket = wire.has_messages || strcmp(transport, "stream") == 0;
  wire.bytes = (uint32_t)atoi(arguments[3]);
  connect_wire(&wire, leads, is_fifo ? arguments[6] : NULL, arguments[7]);
  const int blocks = strcmp(arguments[4], "blocking") == 0;
  set_blocking(wire.in, blocks);
  set_blocking(wire.out, blocks);
  if (posix_memalign((void**)&wire.buffer, 64, READ_BYTES) != 0) control_fail("no memory");
  for (uint32_t lane = 0; lane < READ_BYTES / 4; ++lane) wire.buffer[lane] = pattern(lane);

  struct control_side side = {.state = &wire};
  if (plays_ping_pong) {
    wire.events = (int)check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    struct epoll_event event = {.events = EPOLLIN};
    check(epoll_ctl(wire.events, EPOLL_CTL_ADD, wire.in, &event), "epoll_ctl");
    side.run = leads ? ping : pong;
    if (leads) {
      wire.latencies = calloc((size_t)atol(arguments[5]), sizeof(uint32_t));
      if (wire.latencies == NULL) control_fail("no memory");
      side.latencies = wire.latencies;
    }
  } else if (leads) {
    side.run = send_all;
  } else {
    side.run = wire.has_messages ? receive_messages : receive_stream;
  }
  control_serve(&side);
}
