/*
 * gate PATH: holds the gate of the channel there, as a process that was stopped in the middle of joining or leaving.
 * Prints a line once it has it, and ends with the next line that it reads.
 */
#include "interproc.h"

int main(int argc, char** argv) {
  const int fd = argc == 2 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0 || interproc__enter_gate(fd, INTERPROC_GATE_TRIES) != 0) return 1;
  puts("held");
  fflush(stdout);
  return getchar() == EOF;
}
