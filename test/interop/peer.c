/*
 * The other side of these tests: memory as any C program opens and makes it. peer.py takes the same words.
 *
 *   peer add KIND WHERE        adds 1 to every byte of an object that is there, prints how many there were
 *   peer make KIND WHERE SIZE  makes one, byte i being i, prints a line, reads one, and checks that 1 was added to each
 *   peer count KIND WHERE N    prints a line, reads one, and adds 1 to the first 32-bit word, N times, atomically
 *   peer ftok PATH PROJECT     prints the key
 *
 * KIND WHERE: shm NAME, file PATH, sysv PATH (a key of ftok, project 200), fd NUMBER
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROJECT = 200 };

static void fail(const char *call) {
  fprintf(stderr, "%s: %s\n", call, strerror(errno));
  exit(1);
}

struct memory {
  unsigned char *bytes;
  size_t size;
};

/* Maps `fd`, whole; a new object gets its size first. */
static struct memory map(int fd, size_t new_size) {
  if (fd < 0) fail("open");
  if (new_size != 0 && ftruncate(fd, (off_t)new_size) != 0) fail("ftruncate");
  struct stat status;
  if (fstat(fd, &status) != 0) fail("fstat");
  const size_t size = (size_t)status.st_size;
  void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED) fail("mmap");
  return (struct memory){(unsigned char *)bytes, size};
}

static struct memory attach(key_t key, size_t new_size) {
  const int id = shmget(key, new_size, new_size == 0 ? 0 : IPC_CREAT | IPC_EXCL | 0600);
  if (id < 0) fail("shmget");
  struct shmid_ds status;
  if (shmctl(id, IPC_STAT, &status) != 0) fail("shmctl");
  void *bytes = shmat(id, NULL, 0);
  if (bytes == (void *)-1) fail("shmat");
  return (struct memory){(unsigned char *)bytes, status.shm_segsz};
}

/* `new_size` 0: opens what is there. */
static struct memory get(const char *kind, const char *where, size_t new_size) {
  const int flags = new_size == 0 ? O_RDWR : O_RDWR | O_CREAT | O_EXCL;
  if (strcmp(kind, "shm") == 0) return map(shm_open(where, flags, 0600), new_size);
  if (strcmp(kind, "file") == 0) return map(open(where, flags, 0600), new_size);
  if (strcmp(kind, "fd") == 0) return map(atoi(where), new_size);
  const key_t key = ftok(where, PROJECT);
  if (key == -1) fail("ftok");
  return attach(key, new_size);
}

static void say_and_wait(const char *line) {
  puts(line);
  fflush(stdout);
  while (getchar() != '\n') {
    if (feof(stdin)) exit(1);
  }
}

static int add(struct memory memory) {
  for (size_t i = 0; i < memory.size; i++) memory.bytes[i]++;
  printf("%zu\n", memory.size);
  return 0;
}

static int make(struct memory memory) {
  for (size_t i = 0; i < memory.size; i++) memory.bytes[i] = (unsigned char)i;
  say_and_wait("made");
  for (size_t i = 0; i < memory.size; i++) {
    if (memory.bytes[i] != (unsigned char)(i + 1)) {
      fprintf(stderr, "byte %zu is %d\n", i, memory.bytes[i]);
      return 1;
    }
  }
  return 0;
}

static int count(struct memory memory, long times) {
  uint32_t *word = (uint32_t *)memory.bytes;
  say_and_wait("ready");
  for (long i = 0; i < times; i++) __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  const char *command = argv[1];
  const long number = argc > 4 ? atol(argv[4]) : 0;
  if (strcmp(command, "ftok") == 0) return printf("%d\n", ftok(argv[2], atoi(argv[3]))) < 0;
  if (strcmp(command, "make") == 0) return make(get(argv[2], argv[3], (size_t)number));
  if (strcmp(command, "count") == 0) return count(get(argv[2], argv[3], 0), number);
  return add(get(argv[2], argv[3], 0));
}
