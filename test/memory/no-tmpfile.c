/* Preloaded into a process, makes every file system one that knows no O_TMPFILE. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_without_tmpfile(const char* path, int flags, va_list more) {
  if ((flags & O_TMPFILE) == O_TMPFILE) {
    errno = EOPNOTSUPP;
    return -1;
  }
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, va_arg(more, int));
}

#define OPEN(name)                                       \
  int name(const char* path, int flags, ...) {           \
    va_list more;                                        \
    va_start(more, flags);                               \
    const int fd = open_without_tmpfile(path, flags, more); \
    va_end(more);                                        \
    return fd;                                           \
  }

OPEN(open)
OPEN(open64)
