#include "os/failpoint.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "os/environment.h"

namespace interproc::os {
namespace {

const char* Setting() { return FromEnvironment("INTERPROC_FAILPOINT"); }

// How often the step was passed, `name` being the one that the environment names.
std::atomic<int> passed{0};

}  // namespace

const bool kFailpointSet = Setting() != nullptr;

void PassFailpoint(const char* name) {
  const char* setting = Setting();
  if (setting == nullptr) return;
  const char* colon = std::strchr(setting, ':');
  const size_t length =
      colon == nullptr ? std::strlen(setting) : static_cast<size_t>(colon - setting);
  if (std::strlen(name) != length || std::strncmp(name, setting, length) != 0) return;
  const auto wanted = colon == nullptr ? 1L : std::strtol(colon + 1, nullptr, 10);
  if (passed.fetch_add(1) + 1 == wanted) kill(getpid(), SIGKILL);
}

}  // namespace interproc::os
