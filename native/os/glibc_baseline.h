// Binds the few calls whose newest symbol version is above glibc 2.28 to their oldest one, so that
// a binary built on a newer system loads on every supported one (the old versions stay in later
// glibcs for ever). Include it in each file that calls one of them; the symbol-table test tells
// which are missing here.
#ifndef INTERPROC_OS_GLIBC_BASELINE_H_
#define INTERPROC_OS_GLIBC_BASELINE_H_

#if defined(__GLIBC__) && !defined(INTERPROC_NO_SYMVER)
#if defined(__x86_64__)
#define INTERPROC_GLIBC_FIRST "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define INTERPROC_GLIBC_FIRST "GLIBC_2.17"
#endif
#endif

#ifdef INTERPROC_GLIBC_FIRST
#define INTERPROC_BIND_FIRST(symbol) \
  __asm__(".symver " #symbol "," #symbol "@" INTERPROC_GLIBC_FIRST)
INTERPROC_BIND_FIRST(dlsym);
INTERPROC_BIND_FIRST(pthread_create);
INTERPROC_BIND_FIRST(pthread_detach);
#undef INTERPROC_BIND_FIRST
#endif

#endif  // INTERPROC_OS_GLIBC_BASELINE_H_
