#include <napi.h>

#include "node/blocking_call.h"
#include "node/death_watch.h"
#include "node/descriptor.h"
#include "node/env_data.h"
#include "node/errors.h"
#include "node/features.h"
#include "node/fifo.h"
#include "node/futex.h"
#include "node/lock.h"
#include "node/mapped_file.h"
#include "node/mapping.h"
#include "node/memfd.h"
#include "node/memory_file.h"
#include "node/participant.h"
#include "node/pipe.h"
#include "node/poller.h"
#include "node/posix_mq.h"
#include "node/posix_sem.h"
#include "node/posix_shm.h"
#include "node/resource_limit.h"
#include "node/sysv_ipc.h"
#include "node/sysv_mq.h"
#include "node/sysv_sem.h"
#include "node/sysv_shm.h"
#include "node/unix_socket.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new interproc::node::EnvData());
  interproc::node::InitErrors(env, exports);
  interproc::node::InitMemoryFile(env, exports);
  interproc::node::InitPosixShm(env, exports);
  interproc::node::InitMemfd(env, exports);
  interproc::node::InitMappedFile(env, exports);
  interproc::node::InitSysvIpc(env, exports);
  interproc::node::InitSysvShm(env, exports);
  interproc::node::InitMapping(env, exports);
  interproc::node::InitFutex(env, exports);
  interproc::node::InitParticipant(env, exports);
  interproc::node::InitDeathWatch(env, exports);
  interproc::node::InitLock(env, exports);
  interproc::node::InitPoller(env, exports);
  interproc::node::InitBlockingCall(env, exports);
  interproc::node::InitDescriptor(env, exports);
  interproc::node::InitPipe(env, exports);
  interproc::node::InitFifo(env, exports);
  interproc::node::InitUnixSocket(env, exports);
  interproc::node::InitPosixMq(env, exports);
  interproc::node::InitSysvMq(env, exports);
  interproc::node::InitPosixSem(env, exports);
  interproc::node::InitSysvSem(env, exports);
  interproc::node::InitResourceLimit(env, exports);
  interproc::node::InitFeatures(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(interproc, Init)
