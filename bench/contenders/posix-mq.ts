/**
 * posix-mq: `push`, and `shift` into one buffer, and where there is nothing its event. Its queues never block: libuv, which
 * it watches them with, has them so. Its loop never sleeps as long as a queue has room.
 */
import type { Buffer } from 'node:buffer';
import { EventEmitter, once } from 'node:events';
import { namesOf } from '../support/kernel-objects.js';
import { requirePackage } from '../support/package.js';
import type { Side, Task } from './contender.js';
import { Inbox, Letter, mailing } from './mailing.js';

/** What of it is used here. */
interface PosixMq extends EventEmitter {
  open(options: { name: string }): void;
  push(message: Buffer): boolean;
  /** The length; false: there is none. 'messages' comes when there are some again. */
  shift(into: Buffer): number | false;
}

export function open(task: Task): Side {
  const { shape } = task;
  if (shape.kind !== 'queue') throw new Error(`there is no ${shape.kind} here`);
  const Queue = requirePackage<new () => PosixMq>('posix-mq');
  const openQueue = (name: string): PosixMq => {
    const queue = new Queue();
    queue.open({ name: `/${name}` });
    return queue;
  };
  const names = namesOf(task);
  const [out, back] = [openQueue(names.out), openQueue(names.back)];
  const letter = new Letter(shape.bytes);
  const inbox = new Inbox(shape.bytes);
  const later = async (): Promise<Buffer> => {
    for (;;) {
      await once(back, 'messages');
      const length = back.shift(inbox.whole);
      if (length !== false) return inbox.message(length);
    }
  };
  return mailing(task, shape, {
    letter,
    put: () => {
      if (!out.push(letter.whole)) throw new Error('there is no room');
    },
    get: () => {
      const length = back.shift(inbox.whole);
      return length === false ? later() : inbox.message(length);
    },
  });
}
