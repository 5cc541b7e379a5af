/*
 * The floor of shared memory: the system calls of SharedMemory (as strace shows them), without
 * what Node adds: handles, buffers, their finalizers.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "control.h"
#include "roles.h"

struct memory {
  char path[256];
  size_t bytes;
};

static void check(int64_t result, const char* call) {
  if (result < 0) control_fail("%s: %s", call, strerror(errno));
}

static void look_at(int fd) {
  struct statx status;
  check(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status), "statx");
}
static void look_at_path(const char* path, int may_be_missing) {
  struct statx status;
  const int result = statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &status);
  if (!may_be_missing || errno != ENOENT) check(result, "statx");
}
static void look_at_file_system(int fd) {
  struct statfs status;
  check(fstatfs(fd, &status), "fstatfs");
}
static void look_at_limit(void) {
  struct rlimit limit;
  check(getrlimit(RLIMIT_FSIZE, &limit), "getrlimit");
}
/* SharedMemory looks whether SIGBUS is still its own. */
static void look_at_handler(void) {
  struct sigaction action;
  check(sigaction(SIGBUS, NULL, &action), "sigaction");
}

static void* map(int fd, size_t bytes) {
  void* base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) check(-1, "mmap");
  look_at_handler();
  return base;
}

/* As a buffer that was shown: old views read zeros, and the memory goes when they have gone. */
static void unmap(void* base, size_t bytes) {
  if (mmap(base, bytes, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED) {
    check(-1, "mmap");
  }
  check(munmap(base, bytes), "munmap");
}

static int create(const char* path, size_t bytes) {
  look_at_path(path, 1);
  const int unnamed = open("/dev/shm", O_RDWR | O_CLOEXEC | O_TMPFILE, 0600);
  check(unnamed, "open");
  look_at_limit();
  check(fallocate(unnamed, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes), "fallocate");
  check(ftruncate(unnamed, (off_t)bytes), "ftruncate");
  check(fchmod(unnamed, 0600), "fchmod");
  char self[64];
  snprintf(self, sizeof(self), "/proc/self/fd/%d", unnamed);
  check(linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW), "linkat");
  const int fd = open(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  check(fd, "open");
  look_at(unnamed);
  look_at(fd);
  close(unnamed);
  look_at_file_system(fd);
  look_at(fd);
  return fd;
}

static void create_and_unlink(void* state, uint64_t count) {
  const struct memory* memory = state;
  for (uint64_t i = 0; i < count; ++i) {
    const int fd = create(memory->path, memory->bytes);
    void* base = map(fd, memory->bytes);
    look_at_handler();
    look_at(fd);
    look_at_path(memory->path, 0);
    check(unlink(memory->path), "unlink");
    check(munmap(base, memory->bytes), "munmap"); /* its buffer was never shown */
    close(fd);
  }
}

static void attach(void* state, uint64_t count) {
  const struct memory* memory = state;
  for (uint64_t i = 0; i < count; ++i) {
    const int fd = open(memory->path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    check(fd, "open");
    look_at(fd);
    look_at_file_system(fd);
    look_at(fd);
    void* base = map(fd, memory->bytes);
    look_at_handler();
    unmap(base, memory->bytes);
    close(fd);
  }
}

struct resized {
  int fd;
  size_t small; /* and twice that, in turns */
  size_t bytes;
  void* base;
};
static void resize(void* state, uint64_t count) {
  struct resized* memory = state;
  for (uint64_t i = 0; i < count; ++i) {
    const size_t before = memory->bytes;
    const size_t after = before == memory->small ? before * 2 : memory->small;
    void* base = map(memory->fd, after);
    look_at(memory->fd);
    if (after > before) {
      look_at_limit();
      check(fallocate(memory->fd, FALLOC_FL_KEEP_SIZE, (off_t)before, (off_t)(after - before)),
            "fallocate");
    }
    check(ftruncate(memory->fd, (off_t)after), "ftruncate");
    look_at_handler();
    unmap(memory->base, before);
    memory->base = base;
    memory->bytes = after;
  }
}

/* floor memory CALL BYTES NAME; the memory to attach to is made by the bench. */
void floor_memory(char** arguments) {
  static struct memory memory;
  memory.bytes = (size_t)atol(arguments[1]);
  snprintf(memory.path, sizeof(memory.path), "/dev/shm/%s", arguments[2]);
  struct control_side side = {.run = create_and_unlink, .state = &memory};
  static struct resized resized;
  if (strcmp(arguments[0], "attach") == 0) side.run = attach;
  if (strcmp(arguments[0], "resize") == 0) {
    resized.fd = create(memory.path, memory.bytes);
    check(unlink(memory.path), "unlink");
    resized.small = resized.bytes = memory.bytes;
    resized.base = map(resized.fd, memory.bytes);
    side.run = resize;
    side.state = &resized;
  }
  control_serve(&side);
}
