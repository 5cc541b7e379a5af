/** Sending messages, each as a whole: what datagram and seqpacket sockets have in common. */
import { checkLasting, lengthOf, type MessageData, messageBytes } from '../internal/bytes.js';
import { type NativeDescriptor, native } from '../internal/native.js';
import { again, type Turns, type Work } from '../internal/turns.js';
import type { SyncWaitOptions, WaitOptions } from '../internal/waiting.js';
import type { LateLooks } from './late-looks.js';
import { Luggage } from './luggage.js';
import { checkFds, type SendOptions } from './options.js';

/** Where messages go out. */
export interface Exit {
  /** Throws `ERR_INTERPROC_CLOSED`. */
  descriptor(): NativeDescriptor;
  readonly turns: Turns;
  /** Undefined: to the peer. */
  readonly address: Uint8Array | undefined;
  /** Blocks until there may be room, at most so long. */
  sleep(nanoseconds: number): void;
  /** Of datagrams. */
  readonly lateLooks?: LateLooks;
}

export function trySendBy(exit: Exit, data: MessageData, options: SendOptions | undefined): boolean {
  const descriptor = exit.descriptor();
  const bytes = messageBytes(data);
  const fds = checkFds(options);
  if (!exit.turns.idle) return false;
  return native.socketSend(descriptor, bytes, 0, 0, fds, exit.address) >= 0;
}

export function sendBy(
  exit: Exit,
  data: MessageData,
  options: (SendOptions & WaitOptions) | undefined,
): Promise<void> {
  try {
    const luggage = new Luggage(checkFds(options));
    const sending = exit.turns.run('send', options, workOf(exit, messageBytes(data), luggage));
    return luggage.held ? sending.finally(() => luggage.release()) : sending;
  } catch (error) {
    return Promise.reject(error);
  }
}

export function sendSyncBy(
  exit: Exit,
  data: MessageData,
  options: (SendOptions & SyncWaitOptions) | undefined,
): void {
  const work = workOf(exit, messageBytes(data), new Luggage(checkFds(options)));
  exit.turns.runSync('send', options, work, (nanoseconds) => exit.sleep(nanoseconds));
}

function workOf(exit: Exit, bytes: Uint8Array, luggage: Luggage): Work<void> {
  const length = lengthOf(bytes);
  return {
    step(looks) {
      checkLasting(bytes, length, 'data');
      const sent = native.socketSend(exit.descriptor(), bytes, 0, looks, luggage.fds, exit.address);
      return sent < 0 ? again : undefined;
    },
    waits: () => {
      luggage.hold();
      exit.lateLooks?.start();
    },
  };
}
