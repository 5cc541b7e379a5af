// What the C++ library of a glibc system wants of its libc and musl lacks, so that scripts/matrix/musl.js can
// run a program for musl where there is no C++ library for musl. The tests need no more of it than this.
#define _GNU_SOURCE
#include <locale.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/random.h>
#include <time.h>

char __libc_single_threaded = 0;
unsigned __cpu_model[8];

int __cpu_indicator_init(void) { return 0; }
// No: libgcc asks dl_iterate_phdr then.
int _dl_find_object(void *address, void *result) { return -1; }
int __cxa_thread_atexit_impl(void (*destroy)(void *), void *object, void *library) { return 0; }

uint32_t arc4random(void) {
  uint32_t number = 0;
  getrandom(&number, sizeof(number), 0);
  return number;
}

size_t __strftime_l(char *to, size_t size, const char *format, const struct tm *time, locale_t locale) {
  return strftime_l(to, size, format, time, locale);
}
