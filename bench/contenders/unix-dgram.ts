/** unix-dgram: two bound sockets, each connected to the other. */
import type { Buffer } from 'node:buffer';
import { EventEmitter, once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { requirePackage } from '../support/package.js';
import { pathsOf } from '../support/paths.js';
import type { Side, Task } from './contender.js';
import { messaging } from './messaging.js';

/** What of it is used here. */
interface UnixDgram {
  createSocket(type: 'unix_dgram', listener: (message: Buffer) => void): DgramSocket;
}

interface DgramSocket extends EventEmitter {
  bind(path: string): void;
  connect(path: string): void;
  /** Calls back before it returns: with 1 as the code when the other side's queue is full; 'writable' comes after that. */
  send(message: Buffer, callback: (error?: Error & { code: number }) => void): void;
}

const congested = 1;

export function open(task: Task): Promise<Side> {
  const { shape } = task;
  if (shape.kind !== 'descriptor') throw new Error(`there is no ${shape.kind} here`);
  return messaging(task, shape, async (take) => {
    const { out, back } = pathsOf(task);
    const socket = requirePackage<UnixDgram>('unix-dgram').createSocket('unix_dgram', take);
    socket.bind(back);
    while (!existsSync(out)) await sleep(2);
    socket.connect(out);
    let isSent = false;
    const told = (error?: Error & { code: number }) => {
      if (error !== undefined && error.code !== congested) throw error;
      isSent = error === undefined;
    };
    const sendLater = async (message: Buffer) => {
      while (!isSent) {
        await once(socket, 'writable');
        socket.send(message, told);
      }
    };
    return (message) => {
      socket.send(message, told);
      return isSent ? undefined : sendLater(message);
    };
  });
}
