// What this kernel, its configuration and a container's seccomp filter let this process do: found
// by calls that make nothing that anybody sees, most of them such as can't succeed. A kernel
// without the call (ENOSYS) and a filter that refuses it (EPERM, or whatever it answers) both mean
// no.
//
// Any thread. None of it fails, none is remembered.
#ifndef INTERPROC_OS_FEATURES_H_
#define INTERPROC_OS_FEATURES_H_

namespace interproc::os {

bool HasPosixShm();  // objects can be made in /dev/shm
bool HasMemfd();
bool HasSysvShm();  // CONFIG_SYSVIPC
bool HasSysvMq();
bool HasSysvMqCopy();  // MSG_COPY: CONFIG_CHECKPOINT_RESTORE
bool HasSysvSem();
bool HasUnixSocket();
bool HasMqNotify();          // with the netlink socket that word comes over
bool HasOwnerLocks();        // F_OFD_*, and /proc/self/fd to have descriptions of one's own
bool HasSeal(int seal);      // F_SEAL_*
bool HasAdvice(int advice);  // MADV_*

}  // namespace interproc::os

#endif  // INTERPROC_OS_FEATURES_H_
