/*
 * The floor of the bench: the same work as its scenarios, in C. `floor ROOM ARGUMENTS...`; started
 * by bench/support/floor.ts and bench/support/placement.ts, which know the arguments.
 */
#include <string.h>

#include "control.h"
#include "roles.h"

int main(int count, char** arguments) {
  static const struct {
    const char* name;
    int arguments;
    void (*run)(char** arguments);
  } rooms[] = {
      {"one-way", 4, floor_one_way}, {"ping-pong", 3, floor_ping_pong},
      {"memory", 3, floor_memory},   {"descriptor", 8, floor_descriptor},
      {"queue", 7, floor_queue},     {"semaphore", 6, floor_semaphore},
      {"lock", 6, floor_lock},       {"probe", 2, floor_probe},
  };
  for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); ++i) {
    if (count < 2 || strcmp(arguments[1], rooms[i].name) != 0) continue;
    if (count - 2 != rooms[i].arguments) control_fail("%s takes other arguments", arguments[1]);
    rooms[i].run(arguments + 2);
    return 0;
  }
  control_fail("the bench starts it");
}
