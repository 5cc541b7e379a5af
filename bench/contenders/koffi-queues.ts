/** koffi and the calls of message queues. It does not ask for the priority or the type of what it receives. */
import { constants } from 'node:fs';
import type { QueueCalls } from '../scenarios/scenario.js';
import { keysOf, namesOf, queueBytes } from '../support/kernel-objects.js';
import type { Side, Task } from './contender.js';
import { check, isAwaited, libc, onPool } from './libc.js';
import { Inbox, Letter, type Mail, mailing } from './mailing.js';

const { O_RDWR, O_NONBLOCK } = constants;
const IPC_NOWAIT = 0o4000;
/** The type of a System V message, a long, stands before it. */
const typeBytes = 8;

export function openQueues(task: Task, shape: QueueCalls): Side {
  return mailing(task, shape, shape.api === 'posix' ? posix(task, shape) : sysv(task, shape));
}

function posix(task: Task, shape: QueueCalls): Mail {
  const { work, bytes } = shape;
  const open = libc('int mq_open(const char *name, int flags)');
  const send = libc('int mq_send(int queue, const void *message, size_t length, unsigned int priority)');
  const receive = libc('int mq_receive(int queue, void *message, size_t length, void *priority)');
  const flags = work === 'pair' ? O_RDWR | O_NONBLOCK : O_RDWR;
  const names = namesOf(task);
  const openQueue = (name: string) => check(open(`/${name}`, flags), 'mq_open');
  const [out, back] = [openQueue(names.out), openQueue(names.back)];
  const letter = new Letter(bytes);
  const inbox = new Inbox(bytes);
  const taken = (length: number) => inbox.message(check(length, 'mq_receive'));
  return {
    letter,
    put: () => void check(send(out, letter.whole, bytes, 0), 'mq_send'),
    get: isAwaited(shape)
      ? async () => taken(await onPool(receive, back, inbox.whole, queueBytes, null))
      : () => taken(receive(back, inbox.whole, queueBytes, null)),
  };
}

function sysv(task: Task, shape: QueueCalls): Mail {
  const { work, bytes } = shape;
  const find = libc('int msgget(int key, int flags)');
  const send = libc('int msgsnd(int queue, const void *message, size_t length, int flags)');
  const receive = libc('int msgrcv(int queue, void *message, size_t length, long type, int flags)');
  const flags = work === 'pair' ? IPC_NOWAIT : 0;
  const keys = keysOf(task);
  const openQueue = (key: number) => check(find(key, 0), 'msgget');
  const [out, back] = [openQueue(keys.out), openQueue(keys.back)];
  const letter = new Letter(bytes, typeBytes);
  letter.lanes[0] = 1;
  const inbox = new Inbox(bytes, typeBytes);
  const taken = (length: number) => inbox.message(check(length, 'msgrcv'));
  return {
    letter,
    put: () => void check(send(out, letter.whole, bytes, flags), 'msgsnd'),
    get: isAwaited(shape)
      ? async () => taken(await onPool(receive, back, inbox.whole, queueBytes, 0, flags))
      : () => taken(receive(back, inbox.whole, queueBytes, 0, flags)),
  };
}
