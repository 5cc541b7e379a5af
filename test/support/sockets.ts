/** Sockets for tests: places to bind them to, and what all three types have in common. */
import { closeSync } from 'node:fs';
import {
  socketPair,
  UnixDatagram,
  UnixSeqpacket,
  UnixSeqpacketServer,
  UnixStream,
  UnixStreamServer,
} from 'interproc';
import { onTestFinished } from 'vitest';
import { prefix, tempPath } from './names.js';

let count = 0;

/** A path for a socket, in a folder of its own. */
export function socketPath(): string {
  return tempPath('socket');
}

/** An abstract name that nobody else uses. */
export function abstractName(): string {
  return `\0${prefix}${++count}`;
}

interface Closes {
  close(): void;
}

/** Closes it after the test. */
export function closing<T extends Closes>(object: T): T {
  onTestFinished(() => object.close());
  return object;
}

/** Closes a descriptor that is the test's own after the test. */
export function closingFd(fd: number): number {
  onTestFinished(() => closeSync(fd));
  return fd;
}

/** Two datagram sockets: one that is bound, and one that sends to it. */
export function datagrams(): { sender: UnixDatagram; receiver: UnixDatagram } {
  const receiver = closing(UnixDatagram.bind());
  const sender = closing(UnixDatagram.create());
  sender.connect(receiver.address as string);
  return { sender, receiver };
}

/** Sends until there is no room; how many went. */
export function fill(send: () => boolean | number | null): number {
  let sent = 0;
  for (let last = send(); last !== false && last !== null; last = send()) sent++;
  return sent;
}

/** Types of sockets that connect to servers. */
export const connecting = [
  { type: 'stream', Server: UnixStreamServer, Socket: UnixStream },
  { type: 'seqpacket', Server: UnixSeqpacketServer, Socket: UnixSeqpacket },
] as const;

export const types = ['datagram', 'seqpacket', 'stream'] as const;
export type Type = (typeof types)[number];

/** Both ends of a pair, closed after the test. */
export function pairOf<T extends Type>(type: T, options?: Parameters<typeof socketPair>[1]) {
  const [first, second] = socketPair(type, options);
  closing(first);
  closing(second);
  return [first, second] as typeof first extends infer S ? [S, S] : never;
}

/** What sends a message on any type of socket, if there is room: of a stream, its bytes. */
export function trySend(
  socket: UnixDatagram | UnixSeqpacket | UnixStream,
  data: string | Uint8Array,
  options?: { fds?: (number | { fd: number })[] },
): boolean {
  return 'trySend' in socket ? socket.trySend(data, options) : socket.tryWrite(data, options) !== null;
}
