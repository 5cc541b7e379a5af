// Threads of our own, for calls that can only block. (std::thread would bind pthread_create at 2.34
// and throws.)
#ifndef INTERPROC_OS_THREAD_H_
#define INTERPROC_OS_THREAD_H_

#include "os/result.h"

namespace interproc::os {

// Runs run(argument) on a new detached thread that takes no signals, so that they go on to arrive
// at the threads which expect them. EAGAIN when the process may have no more threads.
Result<void> StartThread(void* (*run)(void*), void* argument);

// Lets another thread run on this processor, if one can (man 2 sched_yield). False where that took
// so long that whoever looks on awake had better sleep: the processor is wanted by others than the
// one that is waited for, and each further offer would take as long.
bool YieldProcessor();

}  // namespace interproc::os

#endif  // INTERPROC_OS_THREAD_H_
