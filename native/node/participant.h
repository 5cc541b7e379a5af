// Binds segments, who takes part in them, and their roles for lib/internal/native.ts.
#ifndef INTERPROC_NODE_PARTICIPANT_H_
#define INTERPROC_NODE_PARTICIPANT_H_

#include <napi.h>

#include "node/handle.h"
#include "os/participant.h"

namespace interproc::node {

struct ParticipantKind {
  using Object = os::Participant;
  static constexpr napi_type_tag kTag = {0x81d2c05e9f6b4a37, 0xb37a4d0c11e8f903};
  static constexpr const char* kName = "a participant";
};
using ParticipantHandle = Handle<ParticipantKind>;

void InitParticipant(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_PARTICIPANT_H_
