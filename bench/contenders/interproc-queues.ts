/**
 * This package over message queues: pairs by `trySend` and `tryReceive`, round trips by the `Sync` forms, or by `trySend`
 * and `receive` awaited. What comes is received into one buffer, or, for `interproc-owned`, in a Buffer of its own each.
 */
import type { Buffer } from 'node:buffer';
import { MessageQueue, SysvMessageQueue } from 'interproc';
import type { QueueCalls } from '../scenarios/scenario.js';
import { keysOf, namesOf } from '../support/kernel-objects.js';
import type { Side, Task } from './contender.js';
import { Inbox, Letter, type Mail, mailing } from './mailing.js';

interface Got {
  data: Buffer;
}

/** What both kinds of queues can do. */
interface Queue {
  trySend(message: Buffer): boolean;
  send(message: Buffer): Promise<void>;
  sendSync(message: Buffer): void;
  tryReceive(options?: { into: Buffer }): Got | null;
  receive(options?: { into: Buffer }): Promise<Got>;
  receiveSync(options?: { into: Buffer }): Got;
}

/** System V's messages have a type. */
const type = 1;

export function openQueues(task: Task, shape: QueueCalls): Side {
  const letter = new Letter(shape.bytes);
  return mailing(task, shape, { letter, ...callsOf(task, shape, letter.whole) });
}

function callsOf(task: Task, { work, bytes, waiting }: QueueCalls, message: Buffer): Omit<Mail, 'letter'> {
  const { out, back } = queuesOf(task);
  const inbox = new Inbox(bytes);
  const owns = task.contender === 'interproc-owned';
  const options = owns ? undefined : { into: inbox.whole };
  const taken = owns ? ({ data }: Got) => data : ({ data }: Got) => inbox.message(data.length);
  if (work === 'pair') {
    return {
      put: () => {
        if (!out.trySend(message)) throw new Error('there is no room');
      },
      get: () => {
        const got = back.tryReceive(options);
        if (got === null) throw new Error('there is no message');
        return taken(got);
      },
    };
  }
  if (waiting === 'sleeping') {
    return {
      put: () => out.sendSync(message),
      get: () => taken(back.receiveSync(options)),
    };
  }
  return {
    put: () => (out.trySend(message) ? undefined : out.send(message)),
    get: async () => taken(await back.receive(options)),
  };
}

function queuesOf(task: Task): { out: Queue; back: Queue } {
  if ((task.shape as QueueCalls).api === 'posix') {
    const { out, back } = namesOf(task);
    return { out: MessageQueue.open(out), back: MessageQueue.open(back) };
  }
  const { out, back } = keysOf(task);
  return { out: typed(SysvMessageQueue.open(out)), back: typed(SysvMessageQueue.open(back)) };
}

function typed(queue: SysvMessageQueue): Queue {
  return {
    trySend: (message) => queue.trySend(type, message),
    send: (message) => queue.send(type, message),
    sendSync: (message) => queue.sendSync(type, message),
    tryReceive: (options) => queue.tryReceive(options),
    receive: (options) => queue.receive(options),
    receiveSync: (options) => queue.receiveSync(options),
  };
}
