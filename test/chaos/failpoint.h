/* As native/os/failpoint.cc: INTERPROC_FAILPOINT=NAME or NAME:3 in the environment. Goes before
 * interproc.h. */
#ifndef FAILPOINT_H
#define FAILPOINT_H

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void pass_failpoint(const char* name) {
  static int passed = 0;
  const char* setting = getenv("INTERPROC_FAILPOINT");
  const size_t length = setting == NULL ? 0 : strcspn(setting, ":");
  if (length == 0 || strlen(name) != length || strncmp(name, setting, length) != 0) return;
  const int wanted = setting[length] == ':' ? atoi(setting + length + 1) : 1;
  if (++passed == wanted) kill(getpid(), SIGKILL);
}

#define INTERPROC_FAILPOINT(name) pass_failpoint(name)

#endif
