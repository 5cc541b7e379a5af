/* One participant of a channel, as a process: actor.js in C, with the forms that there are in C. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failpoint.h"

#include "../../native/include/interproc.h"

#define HEAD_SIZE 12u

static uint32_t word(const unsigned char* at) {
  return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void put_word(unsigned char* at, uint32_t value) {
  for (int index = 0; index < 4; ++index) at[index] = (unsigned char)(value >> (8 * index));
}

static uint32_t checksum(const unsigned char* bytes, uint32_t length) {
  uint32_t sum = (0x811c9dc5u ^ length) * 0x01000193u;
  for (uint32_t at = 0; at < length; ++at) {
    if (at < 8 || at >= 12) sum = (sum ^ bytes[at]) * 0x01000193u;
  }
  return sum;
}

static uint32_t length_of(uint32_t number, uint32_t most) {
  return HEAD_SIZE + (((number + 1) * 0x9e3779b1u) >> 8) % (most - HEAD_SIZE + 1);
}

static void write_message(unsigned char* bytes, uint32_t length, uint32_t number) {
  const uint32_t author = (uint32_t)getpid();
  put_word(bytes, number);
  put_word(bytes + 4, author);
  uint32_t state = number ^ author * 0x9e3779b1u;
  for (uint32_t at = HEAD_SIZE; at < length; ++at) {
    state = state * 1664525u + 1013904223u;
    bytes[at] = (unsigned char)(state >> 24);
  }
  put_word(bytes + 8, checksum(bytes, length));
}

/* Unbuffered: nothing that it has said is lost with it. */
static void say(const char* format, ...) {
  char line[256];
  va_list values;
  va_start(values, format);
  const int length = vsnprintf(line, sizeof(line), format, values);
  va_end(values);
  if (write(STDOUT_FILENO, line, (size_t)length) != length) exit(3);
}

/* Ends the program where the result is an error. */
static int must(int result, const char* what) {
  if (result >= 0) return result;
  fprintf(stderr, "%s: %d\n", what, result);
  exit(1);
}

static void send_one(struct interproc_sender* sender, const char* form, uint32_t number) {
  const uint32_t length = length_of(number, interproc_message_max(sender->capacity));
  void* room;
  if (strcmp(form, "claim") == 0) {
    must(interproc_claim(sender, length, &room, -1), "claim");
    write_message((unsigned char*)room, length, number);
    interproc_commit(sender, length);
    return;
  }
  unsigned char* bytes = (unsigned char*)malloc(length);
  if (bytes == NULL) exit(4);
  write_message(bytes, length, number);
  if (strcmp(form, "send") == 0) {
    must(interproc_send(sender, bytes, length, -1), "send");
  } else {
    int result;
    while ((result = interproc_try_send(sender, bytes, length)) == -EAGAIN) sched_yield();
    must(result, "try_send");
  }
  free(bytes);
}

static void send_all(struct interproc_channel* channel, const char* form, uint64_t count) {
  struct interproc_sender sender;
  must(interproc_attach_sender(&sender, channel), "attach_sender");
  const uint64_t from = sender.messages;
  say("from %llu\n", (unsigned long long)from);
  for (uint64_t number = from; count == 0 || number < from + count; ++number)
    send_one(&sender, form, (uint32_t)number);
  interproc_close_sender(&sender);
}

static void receive_all(struct interproc_channel* channel, const char* form, uint64_t count) {
  struct interproc_receiver receiver;
  must(interproc_attach_receiver(&receiver, channel), "attach_receiver");
  say("from %llu\n", (unsigned long long)receiver.received);
  for (uint64_t got = 0; count == 0 || got < count; ++got) {
    const void* data;
    uint32_t size;
    int result;
    if (strcmp(form, "receive") == 0) {
      result = interproc_receive(&receiver, &data, &size, -1);
      if (result == INTERPROC_ENDED) break;
    } else {
      while ((result = interproc_try_read(&receiver, &data, &size)) == -EAGAIN) sched_yield();
    }
    must(result, "receive");
    const unsigned char* bytes = (const unsigned char*)data;
    if (size < HEAD_SIZE || checksum(bytes, size) != word(bytes + 8))
      say("torn\n");
    else
      say("%u%s\n", word(bytes), result == 1 ? "!" : "");
  }
  interproc_close_receiver(&receiver);
}

int main(int count, char** given) {
  const char* argument[] = {"", "", "", "0"};
  for (int at = 1; at < count && at <= 4; ++at) argument[at - 1] = given[at];
  const char* command = argument[0];
  struct interproc_channel channel;
  const struct interproc_options options = {(uint32_t)atoi(argument[2]), 0, 0};
  if (strcmp(command, "unlink") == 0) {
    must(interproc_unlink(argument[1]), "unlink");
    say("end\n");
    return 0;
  }
  if (strcmp(command, "create") == 0) {
    must(interproc_create(&channel, argument[1], &options), "create");
  } else {
    must(interproc_open(&channel, argument[1], -1), "open");
  }
  const uint64_t messages = strtoull(argument[3], NULL, 10);
  if (strcmp(command, "send") == 0) send_all(&channel, argument[2], messages);
  if (strcmp(command, "receive") == 0) receive_all(&channel, argument[2], messages);
  if (strcmp(command, "create") == 0) {
    struct interproc_sender sender;
    unsigned char bytes[20];
    must(interproc_attach_sender(&sender, &channel), "attach_sender");
    write_message(bytes, sizeof(bytes), 0);
    must(interproc_send(&sender, bytes, sizeof(bytes), -1), "send");
    interproc_close_sender(&sender);
  }
  interproc_close(&channel);
  say("end\n");
  return 0;
}
