/** A socket that carries a JSON value a line, as a queue: they are taken in their order, when they are wanted. */
import type { Socket } from 'node:net';
import { StringDecoder } from 'node:string_decoder';

interface Taker {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class Lines {
  readonly #socket: Socket;
  readonly #decoder = new StringDecoder('utf8');
  readonly #inbox: unknown[] = [];
  readonly #takers: Taker[] = [];
  #begun: string[] = [];
  #over = false;
  /** Resolves when the other end is closed. */
  readonly closed: Promise<void>;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#read(this.#decoder.write(chunk)));
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#over = true;
        for (const { reject } of this.#takers.splice(0)) reject(ended());
        resolve();
      });
    });
  }

  say(value: unknown): void {
    this.#socket.write(`${JSON.stringify(value)}\n`);
  }

  /** The next value; rejects once the other end is closed and all that it said is taken. */
  next(): Promise<unknown> {
    if (this.#inbox.length > 0) return Promise.resolve(this.#inbox.shift());
    if (this.#over) return Promise.reject(ended());
    return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(text: string): void {
    const [first = '', ...others] = text.split('\n');
    this.#begun.push(first);
    for (const next of others) {
      const value: unknown = JSON.parse(this.#begun.join(''));
      this.#begun = [next];
      const taker = this.#takers.shift();
      if (taker === undefined) this.#inbox.push(value);
      else taker.resolve(value);
    }
  }
}

const ended = () => new Error('the process has ended');
