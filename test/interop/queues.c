/*
 * The other side of queues: POSIX and System V message queues as any C program uses them. queues.py takes the same words.
 *
 *   queues KIND WHERE [create MESSAGES SIZE]     opens what is there, or makes it; then takes commands, one a line:
 *
 *     send N HEX     N: the priority, or the type; prints `sent`
 *     receive N      N: the type that is wanted, 0 for the first; prints `N HEX`
 *     attributes     posix: `MESSAGES SIZE THERE`, sysv: `THERE BYTES MAXBYTES`
 *     nonblock       from now on nothing waits; prints `done`
 *     notify         asks for a signal (mq_notify); prints `done`
 *     notified       waits for that signal, and prints `signal`
 *     remove         removes the queue; prints `done`
 *
 * A call that fails prints `failed ERRNO`. KIND WHERE: posix NAME, fd NUMBER, sysv PATH (a key of ftok, project 200)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>

enum { PROJECT = 200, MOST = 65536 };

static struct {
  int is_sysv;
  const char *name;
  mqd_t posix;
  int sysv;
  int flags; /* of msgsnd and msgrcv */
} queue;

/* What msgsnd and msgrcv take; the POSIX calls use its text. */
static struct {
  long type;
  unsigned char text[MOST];
} message;

static void answer(int ok, const char *line) {
  if (ok) puts(line);
  else printf("failed %d\n", errno);
}

static void open_posix(const char *name, int create, long messages, long size) {
  struct mq_attr attributes = {.mq_maxmsg = messages, .mq_msgsize = size};
  queue.name = name;
  queue.posix = create ? mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes) : mq_open(name, O_RDWR);
  answer(queue.posix != (mqd_t)-1, "open");
}

static void open_sysv(const char *path, int create) {
  const key_t key = ftok(path, PROJECT);
  queue.is_sysv = 1;
  queue.sysv = key == -1 ? -1 : msgget(key, create ? IPC_CREAT | IPC_EXCL | 0600 : 0);
  answer(queue.sysv != -1, "open");
}

static int digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

static size_t from_hex(const char *hex, unsigned char *bytes) {
  size_t length = 0;
  for (; hex[0] && hex[1]; hex += 2) bytes[length++] = (unsigned char)(digit(hex[0]) * 16 + digit(hex[1]));
  return length;
}

static void send_message(long number, const char *hex) {
  const size_t length = from_hex(hex, message.text);
  message.type = number;
  const int result = queue.is_sysv ? msgsnd(queue.sysv, &message, length, queue.flags)
                                   : mq_send(queue.posix, (const char *)message.text, length, (unsigned)number);
  answer(result == 0, "sent");
}

static void receive_message(long wanted) {
  unsigned priority = 0;
  const ssize_t length = queue.is_sysv ? msgrcv(queue.sysv, &message, MOST, wanted, queue.flags)
                                       : mq_receive(queue.posix, (char *)message.text, MOST, &priority);
  if (length < 0) {
    answer(0, "");
    return;
  }
  printf("%ld ", queue.is_sysv ? message.type : (long)priority);
  for (ssize_t i = 0; i < length; i++) printf("%02x", message.text[i]);
  puts("");
}

static void attributes(void) {
  struct mq_attr posix;
  struct msqid_ds sysv;
  if (queue.is_sysv ? msgctl(queue.sysv, IPC_STAT, &sysv) != 0 : mq_getattr(queue.posix, &posix) != 0) answer(0, "");
  else if (queue.is_sysv)
    printf("%lu %lu %lu\n", (unsigned long)sysv.msg_qnum, (unsigned long)sysv.msg_cbytes,
           (unsigned long)sysv.msg_qbytes);
  else printf("%ld %ld %ld\n", posix.mq_maxmsg, posix.mq_msgsize, posix.mq_curmsgs);
}

static void nonblock(void) {
  struct mq_attr flags = {.mq_flags = O_NONBLOCK};
  queue.flags = IPC_NOWAIT;
  answer(queue.is_sysv || mq_setattr(queue.posix, &flags, NULL) == 0, "done");
}

static void notify(void) {
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
  answer(mq_notify(queue.posix, &event) == 0, "done");
}

static void notified(const sigset_t *signals) {
  int signal;
  sigwait(signals, &signal);
  puts("signal");
}

static void remove_queue(void) {
  answer((queue.is_sysv ? msgctl(queue.sysv, IPC_RMID, NULL) : mq_unlink(queue.name)) == 0, "done");
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  static char line[2 * MOST + 64];
  static char hex[2 * MOST + 1];
  char command[16];
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  setvbuf(stdout, NULL, _IOLBF, 0);
  const int create = argc > 5;
  if (strcmp(argv[1], "sysv") == 0) open_sysv(argv[2], create);
  else if (strcmp(argv[1], "posix") == 0)
    open_posix(argv[2], create, create ? atol(argv[4]) : 0, create ? atol(argv[5]) : 0);
  else answer((queue.posix = (mqd_t)atoi(argv[2])) >= 0, "open");
  while (fgets(line, sizeof line, stdin)) {
    long number = 0;
    hex[0] = '\0';
    if (sscanf(line, "%15s %ld %131072s", command, &number, hex) < 1) return 2;
    if (strcmp(command, "send") == 0) send_message(number, hex);
    else if (strcmp(command, "receive") == 0) receive_message(number);
    else if (strcmp(command, "attributes") == 0) attributes();
    else if (strcmp(command, "nonblock") == 0) nonblock();
    else if (strcmp(command, "notify") == 0) notify();
    else if (strcmp(command, "notified") == 0) notified(&signals);
    else if (strcmp(command, "remove") == 0) remove_queue();
    else return 2;
  }
  return 0;
}
