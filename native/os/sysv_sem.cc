#include "os/sysv_sem.h"

#include <time.h>
#include <unistd.h>

#include "os/failpoint.h"

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif

namespace interproc::os {
namespace {

// Its owner may change it, and nobody look at it. The right to execute means nothing here: no set
// has this mode otherwise.
constexpr mode_t kUnready = 0300;
constexpr int kValueMax = 32767;       // SEMVMX
constexpr size_t kCountMax = 1 << 16;  // indices have 16 bits
constexpr uint64_t kNsPerSecond = 1'000'000'000;

union SemArgument {  // the caller defines it: man 2 semctl
  int val;
  struct semid_ds* buf;
  unsigned short* array;  // as the kernel has it
  struct seminfo* info;
};
static_assert(sizeof(unsigned short) == sizeof(uint16_t));

Result<int> Control(int id, int index, int command, SemArgument argument = {}) {
  const int result = semctl(id, index, command, argument);
  if (result < 0) return LastError("semctl");
  return result;
}

Result<void> Done(const Result<int>& result) {
  if (!result.ok()) return result.error();
  return {};
}

SysvSemStatus StatusFrom(int id, const struct semid_ds& raw) {
  SysvSemStatus status;
  static_cast<SysvPermissions&>(status) = PermissionsOf(id, raw.sem_perm);
  status.count = raw.sem_nsems;
  status.operated_at_s = static_cast<double>(raw.sem_otime);
  status.changed_at_s = static_cast<double>(raw.sem_ctime);
  return status;
}

// Notes that it was operated on, and changes nothing: what tells others, too, that it is filled in.
Result<void> Touch(int id, int value) {
  const int16_t there = value < kValueMax ? 1 : -1;
  struct sembuf there_and_back[] = {{0, there, 0}, {0, static_cast<int16_t>(-there), 0}};
  if (RetryOnEintr([&] { return semop(id, there_and_back, 2); }) != 0) return LastError("semop");
  return {};
}

Result<void> FillIn(int id, std::vector<uint16_t> values, const Access& access) {
  const int first = values.front();
  Result<void> done = SetValuesOfSysvSem(id, std::move(values));
  if (!done.ok()) return done;
  done = Touch(id, first);
  if (!done.ok()) return done;
  Failpoint("semaphore-set.filled");
  // Its creator may not look at it: what IPC_SET takes is all given here.
  struct semid_ds raw = {};
  raw.sem_perm.uid = access.uid.value_or(geteuid());
  raw.sem_perm.gid = access.gid.value_or(getegid());
  raw.sem_perm.mode = access.mode == kUnready ? 0200 : access.mode & 0777;
  SemArgument argument;
  argument.buf = &raw;
  return Done(Control(id, 0, IPC_SET, argument));
}

uint64_t NowNs() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

Result<int> CreateSysvSem(int32_t key, std::vector<uint16_t> values, const Access& access) {
  const int id = semget(key, static_cast<int>(values.size()),
                        IPC_CREAT | IPC_EXCL | static_cast<int>(kUnready));
  if (id < 0) return LastError("semget");
  Failpoint("semaphore-set.made");
  const Result<void> filled = FillIn(id, std::move(values), access);
  if (filled.ok()) return id;
  (void)RemoveSysvSem(id);
  return filled.error();
}

Result<int> OpenSysvSem(int32_t key) {
  const int id = semget(key, 0, 0);
  if (id < 0) return LastError("semget");
  return id;
}

Result<bool> SysvSemIsReady(int id) {
  const Result<SysvSemStatus> status = StatSysvSem(id);
  if (status.ok()) return status.value().mode != kUnready;
  if (status.error().number != EACCES) return status.error();
  // The mode of what is being made lets nobody look; the list of all sets does.
  const Result<std::vector<SysvSemStatus>> list = ListSysvSem();
  if (!list.ok()) return list.error();
  for (const SysvSemStatus& one : list.value()) {
    if (one.id != id) continue;
    if (one.mode == kUnready) return false;
    // It was made since the first look, or its own mode lets us not look.
    const Result<SysvSemStatus> now = StatSysvSem(id);
    return now.ok() ? Result<bool>(true) : now.error();
  }
  return Error{EIDRM, "semctl"};
}

Result<SysvSemStatus> StatSysvSem(int id) {
  struct semid_ds raw;
  SemArgument argument;
  argument.buf = &raw;
  const Result<int> done = Control(id, 0, IPC_STAT, argument);
  if (!done.ok()) return done.error();
  return StatusFrom(id, raw);
}

Result<void> ChangeSysvSem(int id, const SysvChange& change) {
  struct semid_ds raw;
  SemArgument argument;
  argument.buf = &raw;
  const Result<int> looked = Control(id, 0, IPC_STAT, argument);
  if (!looked.ok()) return looked.error();
  ApplyChange(change, &raw.sem_perm);
  return Done(Control(id, 0, IPC_SET, argument));
}

Result<void> RemoveSysvSem(int id) { return Done(Control(id, 0, IPC_RMID)); }

Result<std::vector<SysvSemStatus>> ListSysvSem() {
  struct seminfo info;
  SemArgument argument;
  argument.info = &info;
  const Result<int> last = Control(0, 0, SEM_INFO, argument);
  if (!last.ok()) return last.error();
  std::vector<SysvSemStatus> list;
  for (int index = 0; index <= last.value(); ++index) {
    struct semid_ds raw;
    argument.buf = &raw;
    Result<int> id = Control(index, 0, SEM_STAT_ANY, argument);
    // Where seccomp knows no SEM_STAT_ANY: only what we may read.
    if (!id.ok() && id.error().number != EINVAL && id.error().number != EIDRM) {
      id = Control(index, 0, SEM_STAT, argument);
    }
    if (id.ok()) list.push_back(StatusFrom(id.value(), raw));
  }
  return list;
}

Result<std::vector<uint16_t>> ValuesOfSysvSem(int id) {
  const Result<SysvSemStatus> status = StatSysvSem(id);
  if (!status.ok()) return status.error();
  // Sysctl kernel.sem can allow sets of more than operations can name.
  if (status.value().count > kCountMax) return Error{EOVERFLOW, "semctl"};
  // The kernel writes as many as the set has, and the id could be another one's by now.
  std::vector<uint16_t> values(kCountMax);
  SemArgument argument;
  argument.array = values.data();
  const Result<int> done = Control(id, 0, GETALL, argument);
  if (!done.ok()) return done.error();
  values.resize(status.value().count);
  return values;
}

Result<void> SetValuesOfSysvSem(int id, std::vector<uint16_t> values) {
  const Result<SysvSemStatus> status = StatSysvSem(id);  // fails where nobody may look at it
  if (status.ok() && status.value().count > kCountMax) return Error{EOVERFLOW, "semctl"};
  values.resize(kCountMax);  // it reads as many, too
  SemArgument argument;
  argument.array = values.data();
  return Done(Control(id, 0, SETALL, argument));
}

Result<void> SetValueOfSysvSem(int id, int index, int value) {
  SemArgument argument;
  argument.val = value;
  return Done(Control(id, index, SETVAL, argument));
}

Result<int> AskSysvSem(int id, int index, SysvSemFact fact) {
  switch (fact) {
    case SysvSemFact::kValue:
      return Control(id, index, GETVAL);
    case SysvSemFact::kLastPid:
      return Control(id, index, GETPID);
    case SysvSemFact::kWaitingForIncrease:
      return Control(id, index, GETNCNT);
    case SysvSemFact::kWaitingForZero:
      break;
  }
  return Control(id, index, GETZCNT);
}

Result<bool> OperateSysvSem(int id, SemOperations operations, uint64_t timeout_ns) {
  if (timeout_ns == 0) {
    for (struct sembuf& operation : operations) operation.sem_flg |= IPC_NOWAIT;
    if (RetryOnEintr([&] { return semop(id, operations.data(), operations.size()); }) == 0) {
      return true;
    }
    if (errno == EAGAIN) return false;
    return LastError("semop");
  }
  struct timespec timeout;
  timeout.tv_sec = static_cast<time_t>(timeout_ns / kNsPerSecond);
  timeout.tv_nsec = static_cast<long>(timeout_ns % kNsPerSecond);
  const uint64_t start = NowNs();
  if (semtimedop(id, operations.data(), operations.size(), &timeout) == 0) return true;
  const Error error = LastError("semop");
  if (error.number == EINTR) return false;
  // The same number says that the time is up, and that one operation was not to wait.
  if (error.number == EAGAIN && NowNs() - start >= timeout_ns) return false;
  return error;
}

Outcome OperateSysvSemWaiting(const BlockingCall& call, int id, SemOperations operations) {
  Outcome outcome;
  while (!call.cancelled()) {
    if (semop(id, operations.data(), operations.size()) == 0) return outcome;
    if (errno == EINTR) continue;
    outcome.error = LastError("semop");
    return outcome;
  }
  outcome.error = Error{ECANCELED, "semop"};
  return outcome;
}

}  // namespace interproc::os
