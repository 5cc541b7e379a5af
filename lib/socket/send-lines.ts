/**
 * Datagrams to addresses: those that wait for room at one receiver stand in a line of their own, and hold up no others.
 *
 * The kernel tells a socket when there is room at the peer that it is connected to, and of nobody else's. So a line has a
 * socket that is connected to its receiver and never sends: what it waits for is its becoming writable. Or the sender's own
 * buffer is full: that its socket tells.
 */
import { Buffer } from 'node:buffer';
import { type NativeDescriptor, native } from '../internal/native.js';
import { type Waiter, Watch, writable } from '../internal/poller.js';
import { Turns, type TurnsSetup } from '../internal/turns.js';
import { LateLooks } from './late-looks.js';
import type { Exit } from './message-sending.js';
import { createSocket } from './unix-socket.js';

export interface Sending extends Pick<TurnsSetup, 'checkOpen' | 'busyError' | 'timers'> {
  descriptor(): NativeDescriptor;
  /** Over the sender. */
  watch: Watch;
}

export class SendLines implements Waiter {
  readonly #sending: Sending;
  readonly #lines = new Map<string, SendLine>();

  constructor(sending: Sending) {
    this.#sending = sending;
    sending.watch.add(writable, this);
  }

  get idle(): boolean {
    return this.#lines.size === 0;
  }

  /** There is room in the sender's buffer. */
  serve(): void {
    for (const { turns } of [...this.#lines.values()]) turns.serve();
  }

  /** Has `send` use the line to an address. */
  use<T>(address: Uint8Array, send: (exit: Exit) => T): T {
    this.#sending.checkOpen();
    const key = Buffer.from(address).toString('latin1');
    const line: SendLine =
      this.#lines.get(key) ??
      new SendLine(address, this.#sending, (waits) => {
        if (waits) this.#lines.set(key, line);
        else this.#lines.delete(key);
      });
    try {
      return send(line);
    } finally {
      if (line.turns.idle) line.rest();
    }
  }

  close(error: () => unknown): void {
    for (const { turns } of [...this.#lines.values()]) turns.close(error);
  }
}

class SendLine implements Exit {
  readonly address: Uint8Array;
  readonly turns: Turns;
  readonly lateLooks: LateLooks;
  readonly #sending: Sending;
  #probe: { descriptor: NativeDescriptor; watch: Watch } | undefined;
  #retry: NodeJS.Immediate | undefined;

  /** `told`: whether anybody waits. */
  constructor(address: Uint8Array, sending: Sending, told: (waits: boolean) => void) {
    this.address = address;
    this.#sending = sending;
    this.turns = new Turns({
      checkOpen: () => sending.checkOpen(),
      busyError: (why) => sending.busyError(why),
      timers: sending.timers,
      arm: () => this.#arm(),
      hold: (waits) => {
        told(waits);
        sending.watch.hold(waits);
        if (!waits) this.rest();
      },
    });
    this.lateLooks = new LateLooks(this.turns);
  }

  descriptor(): NativeDescriptor {
    return this.#sending.descriptor();
  }

  sleep(nanoseconds: number): void {
    const descriptor = this.#isOwnFull ? this.descriptor() : this.#theProbe()?.descriptor;
    if (descriptor !== undefined) native.descriptorWait(descriptor, writable, nanoseconds);
  }

  /** Nobody waits. */
  rest(): void {
    if (this.#probe === undefined) return;
    const { descriptor, watch } = this.#probe;
    this.#probe = undefined;
    watch.stop();
    native.descriptorClose(descriptor);
  }

  /** One of the two, as the other is ready and would tell so again and again. */
  #arm(): void {
    if (this.#isOwnFull) return this.#sending.watch.arm(writable, true);
    const probe = this.#theProbe();
    if (probe !== undefined) probe.watch.arm(writable, true);
    else this.#retry ??= setImmediate(() => this.#serveAgain());
  }

  #serveAgain(): void {
    this.#retry = undefined;
    this.turns.serve();
  }

  /** Not whether it is writable: that it is only while three quarters are free. */
  get #isOwnFull(): boolean {
    return native.socketIsFull(this.descriptor());
  }

  /**
   * Throws as the sending does where there is no such receiver. Undefined: the receiver takes nothing but from the peer that
   * it is connected to. Where that is this sender, only its own buffer counts, and that has room again; else the next try
   * fails.
   */
  #theProbe(): { descriptor: NativeDescriptor; watch: Watch } | undefined {
    if (this.#probe === undefined) {
      const descriptor = createSocket('datagram');
      const watch = new Watch(descriptor);
      watch.add(writable, this.turns);
      this.#probe = { descriptor, watch };
    }
    try {
      // Each time: by now the name may be another's. The one before is dead then, and always writable.
      native.socketTryConnect(this.#probe.descriptor, this.address);
    } catch (error) {
      if ((error as { code?: string }).code === 'EPERM') return undefined;
      throw error;
    }
    return this.#probe;
  }
}
