/**
 * Makes the error of a system call that failed: Node's form of message and keys, and where a limit is
 * the cause, which one, its value now and how to raise it.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { IpcError, type IpcErrorCode } from '../errors.js';
import type { Native } from './native.js';

const names = new Map(Object.entries(constants.errno).map(([name, errno]) => [errno as number, name]));
names.set(109, 'ETOOMANYREFS'); // Node has no name for it

function kernelSetting(name: string): string {
  try {
    return readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8')
      .trim()
      .replace(/\s+/g, ' ');
  } catch {
    return 'unknown';
  }
}

function resourceLimit(native: Native, resource: keyof Native['resources']): string {
  const limit = native.resourceLimit(native.resources[resource]);
  return limit === Number.POSITIVE_INFINITY ? 'unlimited' : String(limit);
}

/** By code and call, or by code alone where the call doesn't matter. */
const limits: Record<string, (native: Native) => string> = {
  EMFILE: (native) =>
    `this process may have ${resourceLimit(native, 'nofile')} open files (RLIMIT_NOFILE; raise it with ` +
    '`ulimit -n`, LimitNOFILE= in systemd, --ulimit nofile= in Docker)',
  ENFILE: () => `the system may have ${kernelSetting('fs.file-max')} open files (sysctl fs.file-max)`,
  EROFS: () =>
    'the file system is mounted read-only; mount a writable one there (a tmpfs, for shared memory)',
  'ENODEV shm_open': () => 'it is no regular file, and only those can be mapped',
  'ENODEV open': () => 'it is no regular file, and only those can be mapped',
  'ENODEV mmap': () => 'the descriptor is of no regular file, and only those can be mapped',
  'EACCES mmap': () =>
    'the descriptor is open for writing only; mapping needs reading, and a file system that allows it',
  'EPERM mmap': () =>
    'the object is sealed against new writable mappings (F_SEAL_WRITE, F_SEAL_FUTURE_WRITE)',
  'ENOMEM mmap': addresses,
  'ENOMEM fallocate': () => 'so much memory is not there (free memory and swap, or memory.max of the cgroup)',
  'EFBIG fallocate': fileSize,
  'EFBIG ftruncate': fileSize,
  'EPERM ftruncate': () => 'the object is sealed against that (F_SEAL_GROW, F_SEAL_SHRINK)',
  'EINVAL fchown': () => 'this user namespace has no such user or group',
  'EINVAL ftruncate': () => 'a file of huge pages (hugetlbfs) has a whole number of them',
  'EPERM fallocate': () => 'the object is sealed against growing (F_SEAL_GROW)',
  'EPERM fcntl': () =>
    'the object takes no more seals (F_SEAL_SEAL), or its descriptor is open for reading only',
  'EBUSY fcntl': () => 'F_SEAL_WRITE needs that nobody maps the object for writing; "future-write" does not',
  'EINVAL fcntl': () => 'the object knows no seals, or this kernel does not know the seal',
  'EBUSY fcntl_locking': () =>
    'another process holds the gate of the channel: it was stopped (SIGSTOP, a debugger, a frozen container) in the ' +
    'middle of joining or leaving; let it go on, or end it. Or some process has locked the bytes of all ids by which ' +
    'participants and owners of locks are known',
  'EINVAL fcntl_locking': noLocks,
  'ENOLCK fcntl_locking': noLocks,
  'EOPNOTSUPP fcntl_locking': noLocks,
  'EINVAL madvise': () =>
    'this kernel has not that advice for this kind of memory, or not while it is locked',
  'EINVAL open': () => 'it is no FIFO, and only those can be opened as one',
  'EPERM unlink': sticky,
  'EPERM shm_unlink': sticky,
  'EPERM sem_unlink': sticky,
  'EPERM mq_unlink': () => 'only its owner may remove it',
  'EINVAL unlink': () => 'it is of another kind than what this removes',
  'EINVAL pipe': () => 'the descriptor is of no pipe',
  'EBADF pipe': () => 'the descriptor is the other end of its pipe, or not open for that',
  'EPERM F_SETPIPE_SZ': () =>
    `without privilege a pipe may have ${kernelSetting('fs.pipe-max-size')} bytes (sysctl fs.pipe-max-size), and all ` +
    `pipes of a user ${kernelSetting('fs.pipe-user-pages-soft')} pages (sysctl fs.pipe-user-pages-soft)`,
  'EBUSY F_SETPIPE_SZ': () => 'more than that is in the pipe now',
  'EPIPE write': () => 'all its readers have closed',
  'EPIPE send': () => 'the other end has closed, or nothing more can be written since end()',
  'EPIPE splice': () => 'all readers of the pipe have closed',
  'EPIPE tee': () => 'all readers of the pipe have closed',
  'EINVAL splice': () =>
    'the descriptor can not be spliced (a file that is open for appending, a terminal), or it is the same pipe',
  'EINVAL mq_open': () =>
    `a queue may have ${kernelSetting('fs.mqueue.msg_max')} messages (sysctl fs.mqueue.msg_max) of ` +
    `${kernelSetting('fs.mqueue.msgsize_max')} bytes (sysctl fs.mqueue.msgsize_max); with CAP_SYS_RESOURCE 65536 of 16777216`,
  'EMFILE mq_open': (native) =>
    hasDescriptors(native) ? queueBytes(native) : (limits.EMFILE as (native: Native) => string)(native),
  'ENOSPC mq_open': () =>
    `there may be ${kernelSetting('fs.mqueue.queues_max')} queues (sysctl fs.mqueue.queues_max), unless one has ` +
    'CAP_SYS_RESOURCE',
  'EBADF mq_getattr': () => 'the descriptor is of no message queue',
  'EBADF mq_send': () => 'the queue was opened for receiving only',
  'EBADF mq_receive': () => 'the queue was opened for sending only',
  'EBUSY mq_notify': () =>
    'somebody has the one registration of the queue already; MessageQueue.list() tells which process',
  'EAFNOSUPPORT socket': () =>
    'word of messages comes over a netlink socket, and this process may make none (RestrictAddressFamilies= in systemd, ' +
    'seccomp)',
  'ENOSPC msgget': () =>
    `there may be ${kernelSetting('kernel.msgmni')} queues (sysctl kernel.msgmni); \`ipcs -q\` lists them, \`ipcrm\` removes`,
  'EINVAL msgsnd': () =>
    `it was removed, or the message has more than ${kernelSetting('kernel.msgmax')} bytes (sysctl kernel.msgmax)`,
  'E2BIG msgrcv': () => 'the message is longer than `size`: it stays, unless { truncate: true } cuts it',
  'ENOSYS msgrcv': () => 'this kernel was built without CONFIG_CHECKPOINT_RESTORE, which brings peek()',
  'EPERM msgctl': () =>
    'only its owner, its maker or a privileged process may; and only with CAP_SYS_RESOURCE a queue may hold more than ' +
    `${kernelSetting('kernel.msgmnb')} bytes (sysctl kernel.msgmnb)`,
  'EINVAL semget': () =>
    `a set may have ${semaphoreLimit(0)} semaphores (the first number of sysctl kernel.sem)`,
  'ENOSPC semget': () =>
    `there may be ${semaphoreLimit(3)} sets and ${semaphoreLimit(1)} semaphores in all (the last and the second number of ` +
    'sysctl kernel.sem); `ipcs -s` lists them, `ipcrm` removes',
  'E2BIG semop': () =>
    `one call may have ${semaphoreLimit(2)} operations (the third number of sysctl kernel.sem)`,
  'ERANGE semop': () => 'a value may be 32767 at most, and so may what is to be undone',
  'EPERM semctl': () => 'only its owner, its maker or a privileged process may',
  'EINVAL tee': () => 'both are ends of the same pipe',
  'EADDRINUSE bind': () =>
    'something has that name already; where it is the file of a dead server, { replaceStale: true } replaces it',
  'EAGAIN flock': () =>
    'another process keeps its folder locked (flock), which is done while the file of a dead socket is replaced',
  'ECONNREFUSED connect': () => 'nobody listens there; the socket that had that name is gone',
  'ECONNREFUSED send': () => 'nobody receives there; the socket that had that name is gone',
  'EPROTOTYPE connect': () => 'a socket of another type has that name',
  'EPROTOTYPE send': () => 'a socket of another type has that name',
  'EPERM connect': () => 'the other socket is connected to a third one, and takes nothing else',
  'EPERM send': () => 'the other socket is connected to a third one, and takes nothing else',
  'EPROTOTYPE getsockopt': () => 'the descriptor is of a socket of another type',
  'EAFNOSUPPORT getsockopt': () => 'the descriptor is of a socket of another family than UNIX',
  'EMSGSIZE send': () =>
    `a message and what the kernel needs for it must fit into the send buffer; raise sendBufferSize, which may be ` +
    `${kernelSetting('net.core.wmem_max')} without privilege (sysctl net.core.wmem_max)`,
  'ETOOMANYREFS send': (native) =>
    `a user may have as many descriptors on their way as one process may have open, ${resourceLimit(native, 'nofile')} ` +
    '(RLIMIT_NOFILE): somebody has to receive some',
  'ENOSPC epoll_ctl': () =>
    `a user may wait on ${kernelSetting('fs.epoll.max_user_watches')} descriptors (sysctl fs.epoll.max_user_watches)`,
  'EAGAIN pthread_create': () =>
    `no more threads: ulimit -u, pids.max of the cgroup, or ${kernelSetting('kernel.threads-max')} in the system (sysctl kernel.threads-max)`,
  'ENOSYS futex_waitv': () =>
    'without it (Linux 5.16) each wait takes a thread, and 500 of them are the limit',
  'ENOMEM mlock': memlock,
  'EAGAIN mlock': memlock,
  'EPERM mlock': memlock,
  'ENOSPC mlock': noPage,
  'ENOSPC madvise': noPage,
  'EINVAL shmget': () =>
    `a segment may have 1 to ${kernelSetting('kernel.shmmax')} bytes (sysctl kernel.shmmax)`,
  'ENOSPC shmget': () =>
    `all segments together may be ${kernelSetting('kernel.shmmni')} in number (sysctl kernel.shmmni) and ` +
    `${kernelSetting('kernel.shmall')} in pages (sysctl kernel.shmall); \`ipcs -m\` lists them, \`ipcrm\` removes`,
  'ENOMEM shmat': addresses,
  'ENOMEM shmget': () => 'so much memory is not there',
  'ENOMEM shmctl': memlock,
  'EPERM shmctl': (native) =>
    'only its owner, its maker or a privileged process may; to lock it takes CAP_IPC_LOCK, or a RLIMIT_MEMLOCK above 0 ' +
    `(now ${resourceLimit(native, 'memlock')})`,
};

/** Of native/include/interproc.h, enum interproc_error; the addon gives them as positive numbers. */
const protocolErrors: Record<number, (native: Native) => [code: IpcErrorCode, message: string]> = {
  5001: (native) => [
    'ERR_INTERPROC_BUSY',
    `it has ${native.segmentLayout.participantsMax} participants, and no more fit`,
  ],
  5004: () => ['ERR_INTERPROC_CORRUPT', 'it says what no participant writes'],
  5005: () => ['ERR_INTERPROC_MISMATCH', 'it is no channel'],
  5006: () => ['ERR_INTERPROC_UNLINKED', 'its name was removed'],
  5008: () => ['ERR_INTERPROC_MISMATCH', 'it is no channel, or not yet'],
};

/** Whether this process may open further files. */
function hasDescriptors(native: Native): boolean {
  try {
    return readdirSync('/proc/self/fd').length < native.resourceLimit(native.resources.nofile);
  } catch {
    return false; // it takes one to look
  }
}

function queueBytes(native: Native): string {
  return (
    `all queues of a user may have ${resourceLimit(native, 'msgqueue')} bytes, of messages and what the kernel needs for ` +
    'them (RLIMIT_MSGQUEUE; raise it with `ulimit -q`, LimitMSGQUEUE= in systemd, --ulimit msgqueue= in Docker)'
  );
}

function semaphoreLimit(index: 0 | 1 | 2 | 3): string {
  return kernelSetting('kernel.sem').split(' ')[index] ?? 'unknown';
}

function fileSize(native: Native): string {
  return `the file system, or RLIMIT_FSIZE (${resourceLimit(native, 'fsize')}, \`ulimit -f\`), allows no file of that size`;
}

function addresses(native: Native): string {
  return (
    `this process may have ${kernelSetting('vm.max_map_count')} mappings (sysctl vm.max_map_count), ` +
    `${resourceLimit(native, 'as')} bytes of addresses (RLIMIT_AS, \`ulimit -v\`), no more than its processor knows, ` +
    `and memory as sysctl vm.overcommit_memory (${kernelSetting('vm.overcommit_memory')}) allows`
  );
}

function sticky(): string {
  return 'only its owner may remove what lies in a folder with the sticky bit, such as /dev/shm';
}

function noLocks(): string {
  return 'its file system has no open file description locks, by which participants of a channel are known to live';
}

function noPage(): string {
  return 'a page could not be had, its file system is full';
}

function memlock(native: Native): string {
  return (
    `this process may lock ${resourceLimit(native, 'memlock')} bytes (RLIMIT_MEMLOCK; raise it with \`ulimit -l\`, ` +
    'LimitMEMLOCK= in systemd, --ulimit memlock= in Docker, or give it CAP_IPC_LOCK)'
  );
}

/** Where the object lies that a call with a name or path is about; undefined where no file system shows it. */
function fileOf(syscall: string, path: string): string | undefined {
  if (syscall === 'shm_open') return `/dev/shm${path}`;
  if (syscall === 'sem_open') return `/dev/shm/sem.${path.slice(1)}`;
  return ['open', 'connect', 'send'].includes(syscall) && path.startsWith('/') ? path : undefined;
}

/** Who it is that may, for EACCES: whose the object is, and who asks. */
function whoMay(syscall: string, path: string | undefined): string | undefined {
  if (syscall === 'open' && !path) {
    return 'who joins opens its memory anew, and its mode does not let this user: give { mode }, or { uid, gid }, where it is made';
  }
  const file = path === undefined ? undefined : fileOf(syscall, path);
  if (file === undefined) return undefined;
  try {
    const { uid, gid, mode } = statSync(file);
    return (
      `it belongs to user ${uid} and group ${gid}, with mode 0${(mode & 0o7777).toString(8)}, and this process is of ` +
      `user ${process.geteuid?.()} and group ${process.getegid?.()}`
    );
  } catch {
    return undefined; // it is not there, or the folder hides it
  }
}

/** For ENOENT: what is missing where not just the object is. */
function whatIsMissing(syscall: string): string | undefined {
  if (['shm_open', 'sem_open'].includes(syscall) && !existsSync('/dev/shm')) {
    return 'there is no /dev/shm here (--ipc=none of Docker makes none); mount a tmpfs there';
  }
  return syscall === 'open' && !existsSync('/proc/self')
    ? 'there is no /proc here, which channels and locks need'
    : undefined;
}

function hintOf(native: Native, code: string, syscall: string, path: string | undefined): string | undefined {
  const limit = limits[`${code} ${syscall}`] ?? limits[code];
  if (limit !== undefined) return limit(native);
  if (code === 'EACCES') return whoMay(syscall, path);
  return code === 'ENOENT' ? whatIsMissing(syscall) : undefined;
}

/** Called by the addon for each failure; `errno` is positive there, negative in the error as in Node's. */
export function systemError(
  native: Native,
  errno: number,
  syscall: string,
  path: string | undefined,
  text: string,
): IpcError {
  const about = path === undefined ? '' : ` '${path}'`;
  const protocol = protocolErrors[errno]?.(native);
  if (protocol !== undefined)
    return new IpcError(protocol[0], `The channel${about}: ${protocol[1]}`, { path });
  const [code, message] = getSystemErrorMap().get(-errno) ?? [
    names.get(errno) ?? `errno ${errno}`,
    text.toLowerCase(),
  ];
  const hint = hintOf(native, code, syscall, path);
  return new IpcError(
    code,
    `${code}: ${message}, ${syscall}${about}${hint === undefined ? '' : `: ${hint}`}`,
    {
      errno: -errno,
      syscall,
      path,
    },
  );
}

/**
 * Runs `call`; when it fails as `explain` knows, the error's message ends with what that says. For
 * limits that depend on where an object lies.
 */
export function explained<T>(call: () => T, explain: (error: IpcError) => string | undefined): T {
  try {
    return call();
  } catch (error) {
    throw withHint(error, explain);
  }
}

/** The error, whose message ends with what `explain` says of it, if that says anything. */
export function withHint(error: unknown, explain: (error: IpcError) => string | undefined): unknown {
  const hint = error instanceof IpcError ? explain(error) : undefined;
  if (hint === undefined) return error;
  const { code, message, errno, syscall, path } = error as IpcError;
  return new IpcError(code, `${message}: ${hint}`, { errno, syscall, path });
}
