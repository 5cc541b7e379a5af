/**
 * What a way to move a file must provide to be a row of the demo's table. A new one is a file beside
 * this one and an entry in registry.ts.
 *
 * Each has a child process of its own, which all rounds share: what both sides need is made once, as a
 * service would, and nothing of it has a name in the file system, so that nothing is left behind
 * however the processes end.
 */
import type { Socket } from 'node:net';
import type { Incoming } from '../incoming.js';
import type { Mailbox } from '../mailbox.js';
import type { SourceFile } from '../source-file.js';

/** The descriptor under which the child has what its parent's `Sender.link` names. */
export const linkFd = 4;

/**
 * What moves chunks moves so much at a time. Measured: from 512 KiB to 8 MiB no transport here changes by more than
 * the noise; smaller chunks make all of them slower, by messages and wake-ups.
 */
export const chunkBytes = 2 << 20;

export interface Transport {
  /** Names it in JSON and on the command line of its child. */
  readonly id: string;
  /** Names it for readers. */
  readonly name: string;
  /** In the parent, before the child starts; `bytes` is the size of the file. */
  openSender(bytes: number): Sender;
  /** In the child. */
  openReceiver(): Receiver;
}

export interface Sender {
  /** What the child inherits: nothing, one of two connected sockets, or a descriptor. */
  readonly link: 'ignore' | 'pipe' | number;
  /** Moves the whole file, once for each round. */
  send(side: ParentSide): Promise<void>;
  /** After the child has ended. */
  close(): void;
}

export interface ParentSide {
  readonly source: SourceFile;
  /** The messages of `child.send()` and its `'message'` event. */
  readonly mailbox: Mailbox;
  /** The parent's end of a link that is `'pipe'`. */
  readonly socket: Socket;
}

export interface Receiver {
  /** Hands the file to `incoming`, once for each round; returns when that has all of it. */
  receive(side: ChildSide): Promise<void>;
}

export interface ChildSide {
  readonly incoming: Incoming;
  /** The messages of `process.send()` and its `'message'` event. */
  readonly mailbox: Mailbox;
}
