// What a child process may be forbidden, as containers and older kernels do.
#ifndef INTERPROC_TEST_NATIVE_SECCOMP_H_
#define INTERPROC_TEST_NATIVE_SECCOMP_H_

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "support.h"

namespace interproc::test {

// In a child: from now on `call` fails with `error` where its argument of that number is `value`.
inline void RefuseCall(uint32_t call, uint32_t argument, uint32_t value, uint32_t error) {
  const auto at = static_cast<uint32_t>(offsetof(struct seccomp_data, args) + argument * 8);
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
  CHILD_EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  CHILD_EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

}  // namespace interproc::test

#endif  // INTERPROC_TEST_NATIVE_SECCOMP_H_
