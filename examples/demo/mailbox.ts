/** Node's IPC channel, from either end, as a queue: messages are taken in their order, when they are wanted. */
import type { ChildProcess } from 'node:child_process';
import { DemoError } from './demo-error.js';

type Message = object | string | number;

interface Taker {
  resolve(message: unknown): void;
  reject(error: Error): void;
}

export class Mailbox {
  readonly #peer: ChildProcess | NodeJS.Process;
  readonly #inbox: unknown[] = [];
  readonly #takers: Taker[] = [];
  #closed = false;

  constructor(peer: ChildProcess | NodeJS.Process) {
    this.#peer = peer;
    peer.on('message', (message: unknown) => {
      const taker = this.#takers.shift();
      if (taker === undefined) this.#inbox.push(message);
      else taker.resolve(message);
    });
    peer.on('disconnect', () => {
      this.#closed = true;
      for (const { reject } of this.#takers.splice(0)) reject(disconnected());
    });
  }

  /** Resolves when the operating system has taken the message: the back-pressure of this channel. */
  send(message: Message): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#peer.send?.(message, undefined, undefined, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** For small messages that nobody waits for. What stops them stops `next()` too, which then rejects. */
  post(message: Message): void {
    this.send(message).catch(() => {});
  }

  /** The next message; rejects once the other side is gone and all that it sent is taken. */
  next(): Promise<unknown> {
    if (this.#inbox.length > 0) return Promise.resolve(this.#inbox.shift());
    if (this.#closed) return Promise.reject(disconnected());
    return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
  }
}

function disconnected(): Error {
  return new DemoError('the other process has closed the channel');
}
