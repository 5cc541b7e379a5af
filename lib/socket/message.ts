/** What one receive of a socket gives. */
import type { Buffer } from 'node:buffer';
import type { SocketAddress } from './address.js';
import type { ReceivedFd } from './received-fd.js';

/** Who is, or was, at the other end. man 7 unix, SO_PEERCRED and SCM_CREDENTIALS */
export interface Credentials {
  /** 0 where its pid namespace is none that this process sees. */
  pid: number;
  /** Its user. */
  uid: number;
  /** Its group. */
  gid: number;
}

export interface MessageFacts {
  data: Buffer;
  address: SocketAddress | null;
  fds: readonly ReceivedFd[];
  fdsTruncated: boolean;
  credentials: Credentials | null;
}

/**
 * What one receive of a socket gives: bytes, and what came with them. Descriptors that nobody takes are closed with
 * it.
 */
export class SocketMessage {
  /** The bytes: of a datagram or seqpacket message all of them; of a stream what was there. */
  readonly data: Buffer;
  /** Who sent it: of datagrams, from senders that have a name. */
  readonly address: SocketAddress | null;
  /** Descriptors that came with it, where the socket asked for them: see `maxFds`. */
  readonly fds: readonly ReceivedFd[];
  /** Whether more descriptors were sent than the socket takes, or than this process may have. Those were closed. */
  readonly fdsTruncated: boolean;
  /** Who sent it, as the kernel knows it, where the socket asked for that: see `credentials`. */
  readonly credentials: Credentials | null;

  /** @internal */
  constructor({ data, address, fds, fdsTruncated, credentials }: MessageFacts) {
    this.data = data;
    this.address = address;
    this.fds = fds;
    this.fdsTruncated = fdsTruncated;
    this.credentials = credentials;
  }

  /** The data as UTF-8 text. */
  toString(): string {
    return this.data.toString();
  }

  /** Closes the descriptors that nobody has taken. */
  close(): void {
    for (const fd of this.fds) fd.close();
  }

  /** As `close()`: `using` calls it. */
  [Symbol.dispose](): void {
    this.close();
  }
}
