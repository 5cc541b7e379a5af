#include "channel_support.h"

namespace interproc::test {

Doom doom;
std::function<void(const std::string& name)> on_step;

void PassStep(const char* name) {
  if (on_step) on_step(name);
  if (doom.at == 0 || (doom.name != nullptr && std::strcmp(doom.name, name) != 0)) return;
  if (++doom.passed == doom.at) kill(getpid(), SIGKILL);
}

int OpenInAnotherFile(interproc_channel* channel, int fd) { return interproc_from_fd(channel, fd); }

void CloseInAnotherFile(interproc_channel* channel) { interproc_close(channel); }

}  // namespace interproc::test
