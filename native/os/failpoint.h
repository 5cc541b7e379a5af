// Failpoints: named steps of a protocol at which a process can be made to die, so that a test can
// show that the survivors go on. INTERPROC_FAILPOINT=NAME in the environment kills the process
// (SIGKILL) when it comes by NAME, INTERPROC_FAILPOINT=NAME:3 the third time. Any thread.
#ifndef INTERPROC_OS_FAILPOINT_H_
#define INTERPROC_OS_FAILPOINT_H_

namespace interproc::os {

// Whether the environment names one; read once, at load.
extern const bool kFailpointSet;

void PassFailpoint(const char* name);

inline void Failpoint(const char* name) {
  if (kFailpointSet) PassFailpoint(name);
}

}  // namespace interproc::os

#endif  // INTERPROC_OS_FAILPOINT_H_
