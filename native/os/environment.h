// What the environment tells this library: switches for tests, and for kernels and runtimes that
// say they have what they don't.
//
// Thread safety: any thread, as long as nobody changes the environment meanwhile (man 3 getenv): so
// it is asked when the addon is loaded, and what it said is kept.
#ifndef INTERPROC_OS_ENVIRONMENT_H_
#define INTERPROC_OS_ENVIRONMENT_H_

#include <cstdlib>

namespace interproc::os {

// Null where it is not set, or empty.
inline const char* FromEnvironment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): see above
  return value != nullptr && *value != '\0' ? value : nullptr;
}

// Whether it is set to anything but 0.
inline bool IsSwitchedOn(const char* name) {
  const char* value = FromEnvironment(name);
  return value != nullptr && *value != '0';
}

}  // namespace interproc::os

#endif  // INTERPROC_OS_ENVIRONMENT_H_
