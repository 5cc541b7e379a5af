/* What the program `floor` can do: see the functions for what they want to be told. */
#ifndef INTERPROC_BENCH_ROLES_H_
#define INTERPROC_BENCH_ROLES_H_

void floor_one_way(char** arguments);
void floor_ping_pong(char** arguments);
void floor_memory(char** arguments);
void floor_descriptor(char** arguments);
void floor_queue(char** arguments);
void floor_semaphore(char** arguments);
void floor_lock(char** arguments);
void floor_probe(char** arguments);

#endif /* INTERPROC_BENCH_ROLES_H_ */
