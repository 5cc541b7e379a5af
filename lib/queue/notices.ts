/** Word of messages that come into an empty queue (man 3 mq_notify), as a series. */
import { checkOptions } from '../internal/arguments.js';
import { DescriptorObject } from '../internal/descriptor-object.js';
import { type NativeDescriptor, native } from '../internal/native.js';
import { seriesOf } from '../internal/series.js';
import { again } from '../internal/turns.js';
import type { WaitOptions } from '../internal/waiting.js';

/** When a series of notifications gives up. */
export type NotificationOptions = Pick<WaitOptions, 'signal'>;

/** As native.mqNoticeTake tells it. */
const notice = { none: 0, arrived: 1 } as const;

/** A registration, which is made anew after each notice, and where notices come in. */
class Registration extends DescriptorObject {
  readonly #queue: NativeDescriptor;
  readonly #socket: NativeDescriptor;
  #registered = false;

  constructor(queue: NativeDescriptor) {
    const socket = native.mqNoticeOpen();
    super(socket, 'The notification of a message queue');
    this.#queue = queue;
    this.#socket = socket;
  }

  next(options: NotificationOptions): Promise<number> {
    return this.reading.run('mq_notify', options, { step: () => this.#step() });
  }

  protected override onEnd(): void {
    if (this.#registered) native.mqNoticeWithdraw(this.#queue, this.#socket);
  }

  #step(): number | typeof again {
    let arrived = false;
    if (this.#registered) {
      const taken = native.mqNoticeTake(this.#socket);
      if (taken === notice.none) return again;
      arrived = taken === notice.arrived;
    }
    // Registered before looking: what comes after the look is told of, what came before it is seen.
    this.#registered = false;
    native.mqNoticeAsk(this.#queue, this.#socket);
    this.#registered = true;
    const [, , messages] = native.mqAttributes(this.#queue);
    return arrived || messages > 0 ? messages : again;
  }
}

export class Notices {
  readonly #queue: NativeDescriptor;
  readonly #registrations = new Set<Registration>();
  #kept = true;
  #closed = false;

  constructor(queue: NativeDescriptor) {
    this.#queue = queue;
  }

  series(options: NotificationOptions | undefined): AsyncIterableIterator<number> {
    const { signal } = checkOptions(options);
    let registration: Registration | undefined;
    let left = false;
    let asking = 0;
    const leave = () => {
      if (registration === undefined) return;
      this.#registrations.delete(registration);
      registration.close();
      if (signal instanceof AbortSignal) signal.removeEventListener('abort', leaveIfIdle);
    };
    // Who asks hears of the abort, and leaves for that.
    const leaveIfIdle = () => asking > 0 || leave();
    const series = seriesOf<number>({
      next: async () => {
        asking++;
        try {
          if (registration === undefined) {
            registration = this.#register();
            if (signal instanceof AbortSignal) signal.addEventListener('abort', leaveIfIdle, { once: true });
          }
          return await registration.next(signal === undefined ? {} : { signal });
        } catch (error) {
          leave();
          throw error;
        } finally {
          asking--;
        }
      },
      isClosed: () => left || this.#closed,
    });
    return {
      next: () => series.next(),
      return: async () => {
        left = true;
        leave();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  keep(kept: boolean): void {
    this.#kept = kept;
    for (const registration of this.#registrations) kept ? registration.ref() : registration.unref();
  }

  /** The queue is about to be closed. */
  close(): void {
    this.#closed = true;
    for (const registration of this.#registrations) registration.close();
    this.#registrations.clear();
  }

  #register(): Registration {
    const registration = new Registration(this.#queue);
    if (!this.#kept) registration.unref();
    this.#registrations.add(registration);
    return registration;
  }
}
