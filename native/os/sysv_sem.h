// System V semaphore sets (man 7 sysvipc): counters on which several operations can be done as one.
//
// A set appears without values: semget makes it, and semctl fills it in. Here it is made with a
// mode under which nobody can look at it, and only its owner change it; it is filled in, and gets
// its own mode and owner at last, at once: who finds that first mode is too early.
#ifndef INTERPROC_OS_SYSV_SEM_H_
#define INTERPROC_OS_SYSV_SEM_H_

#include <sys/sem.h>

#include <cstdint>
#include <vector>

#include "os/access.h"
#include "os/blocking_call.h"
#include "os/sysv_ipc.h"

namespace interproc::os {

struct SysvSemStatus : SysvPermissions {
  uint64_t count = 0;                          // of semaphores
  double operated_at_s = 0, changed_at_s = 0;  // since the epoch; 0 = never
};

// man 2 semget. EEXIST where the key is taken.
Result<int> CreateSysvSem(int32_t key, std::vector<uint16_t> values, const Access& access);
Result<int> OpenSysvSem(int32_t key);
// Whether it is filled in. EINVAL or EIDRM when it is gone.
Result<bool> SysvSemIsReady(int id);

// man 2 semctl
Result<SysvSemStatus> StatSysvSem(int id);
Result<void> ChangeSysvSem(int id, const SysvChange& change);
Result<void> RemoveSysvSem(int id);
Result<std::vector<SysvSemStatus>> ListSysvSem();
Result<std::vector<uint16_t>> ValuesOfSysvSem(int id);
// Those that are missing become 0.
Result<void> SetValuesOfSysvSem(int id, std::vector<uint16_t> values);
Result<void> SetValueOfSysvSem(int id, int index, int value);

enum class SysvSemFact { kValue, kLastPid, kWaitingForIncrease, kWaitingForZero };
Result<int> AskSysvSem(int id, int index, SysvSemFact fact);

using SemOperations = std::vector<struct sembuf>;

// man 2 semop. False: not now, or not within `timeout_ns` (0: never waits). EAGAIN where an
// operation that is not to wait can't be done, while others would.
Result<bool> OperateSysvSem(int id, SemOperations operations, uint64_t timeout_ns);
// Waits, on the thread of a call that can be taken back.
Outcome OperateSysvSemWaiting(const BlockingCall& call, int id, SemOperations operations);

}  // namespace interproc::os

#endif  // INTERPROC_OS_SYSV_SEM_H_
