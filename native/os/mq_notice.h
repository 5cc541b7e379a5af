// Word of the first message in an empty queue (man 3 mq_notify). The kernel tells it to a netlink
// socket, as glibc has it done for SIGEV_THREAD: that can be polled like anything else, and takes
// neither a signal nor a thread.
//
// A queue has one registration, which belongs to the process and ends with its first notice. Any
// close() of that queue in the process ends it, too: then word of that comes.
// Thread safety: any thread.
#ifndef INTERPROC_OS_MQ_NOTICE_H_
#define INTERPROC_OS_MQ_NOTICE_H_

#include "os/result.h"
#include "os/unique_fd.h"

namespace interproc::os {

// Where notices come in: one queue's, of one registration at a time.
Result<UniqueFd> OpenNoticeSocket();

// Registers. EBUSY where there is a registration, also one of this process.
Result<void> AskForNotice(int mq, int socket);

// What ended a registration: a message, or a close() of the queue in this process.
enum class Notice { kNone, kArrived, kRemoved };

// Takes what has come in.
Result<Notice> TakeNotice(int socket);

// Ends the registration, if it is still this socket's.
void WithdrawNotice(int mq, int socket);

}  // namespace interproc::os

#endif  // INTERPROC_OS_MQ_NOTICE_H_
