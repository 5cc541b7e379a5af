/** svmq: `push` and `pop`, each on a thread of libuv's pool, awaited. It receives no more than 4052 bytes. */
import type { Buffer } from 'node:buffer';
import { keysOf } from '../support/kernel-objects.js';
import { requirePackage } from '../support/package.js';
import type { Side, Task } from './contender.js';
import { Letter, mailing } from './mailing.js';

type Done<T = void> = (error: Error | null, result: T) => void;

/** What of it is used here. */
interface Svmq {
  open(key: number): {
    push(message: Buffer, sent: Done): void;
    pop(received: Done<Buffer>): void;
  };
}

export function open(task: Task): Side {
  const { shape } = task;
  if (shape.kind !== 'queue') throw new Error(`there is no ${shape.kind} here`);
  const { open: openQueue } = requirePackage<Svmq>('svmq');
  const keys = keysOf(task);
  const [out, back] = [openQueue(keys.out), openQueue(keys.back)];
  const letter = new Letter(shape.bytes);
  return mailing(task, shape, {
    letter,
    put: () => promised((done) => out.push(letter.whole, done)),
    get: () => promised<Buffer>((done) => back.pop(done)),
  });
}

function promised<T = void>(call: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, result) => {
      if (error === null) resolve(result);
      else reject(error);
    });
  });
}
