/*
 * Preloaded into a process: futex_waitv fails once for want of memory, as soon as there is the file
 * that NO_MEMORY names, and removes that.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#define FUTEX_WAITV 449

long syscall(long number, ...) {
  static long (*next)(long, ...);
  if (next == NULL) *(void**)&next = dlsym(RTLD_NEXT, "syscall");
  va_list list;
  va_start(list, number);
  long given[6];
  for (int index = 0; index < 6; ++index) given[index] = va_arg(list, long);
  va_end(list);
  if (number == FUTEX_WAITV && given[0] != 0 && unlink(getenv("NO_MEMORY")) == 0) {
    errno = ENOMEM;
    return -1;
  }
  return next(number, given[0], given[1], given[2], given[3], given[4], given[5]);
}
