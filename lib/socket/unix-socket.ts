/** What all UNIX sockets have in common (man 7 unix): names, credentials, buffers, and receiving. */
import { Buffer } from 'node:buffer';
import { IpcError } from '../errors.js';
import { checkInteger } from '../internal/arguments.js';
import { checkLasting } from '../internal/bytes.js';
import { DescriptorObject } from '../internal/descriptor-object.js';
import { type Native, type NativeDescriptor, native } from '../internal/native.js';
import { readable } from '../internal/poller.js';
import {
  checkTarget,
  keepScratch,
  type ReadOptions,
  scratchOf,
  type Target,
  viewOf,
} from '../internal/read-memory.js';
import { again } from '../internal/turns.js';
import type { SyncWaitOptions, WaitOptions } from '../internal/waiting.js';
import { type SocketAddress, toAddress } from './address.js';
import { type Credentials, SocketMessage } from './message.js';
import type { CheckedReceive } from './options.js';
import { receivedFd } from './received-fd.js';

/** What a socket carries: bytes, messages from many, messages of a connection. */
export type SocketType = 'stream' | 'datagram' | 'seqpacket';

/** As in native/node/unix_socket.cc, enum Fact and enum Flag. */
const fact = { flags: 0, pid: 1, uid: 2, gid: 3, addressLength: 4, needed: 5, count: 6 } as const;
const flag = { ended: 1, fdsLost: 2, truncated: 4, hasCredentials: 8 } as const;
const nothingNow = -1;
const needsRoom = -2;
const addressMax = 108;

interface Received {
  readonly facts: Int32Array;
  readonly address: Buffer;
}

const receivedOf: unique symbol = Symbol.for('interproc.received') as never;

/** Kept with the addon: test runners evaluate this module more than once over the same one. */
function theReceived(): Received {
  const addon: Native & { [receivedOf]?: Received } = native;
  let received = addon[receivedOf];
  if (received === undefined) {
    received = { facts: new Int32Array(fact.count), address: Buffer.allocUnsafeSlow(addressMax) };
    native.socketInit(received.facts, received.address);
    addon[receivedOf] = received;
  }
  return received;
}

export interface SocketSetup {
  descriptor: NativeDescriptor;
  receive: CheckedReceive;
}

/** A new socket. */
export function createSocket(type: SocketType): NativeDescriptor {
  return native.socketCreate(native.socketConstants[type]);
}

/** Before anything can come: what is sent without it may have no credentials. */
export function prepareSocket(descriptor: NativeDescriptor, { credentials }: CheckedReceive): void {
  if (credentials) native.socketSetOption(descriptor, native.socketConstants.passCredentials, 1);
}

/** Closes the descriptor where `use` fails. */
export function orClose<T>(descriptor: NativeDescriptor, use: () => T): T {
  try {
    return use();
  } catch (error) {
    native.descriptorClose(descriptor);
    throw error;
  }
}

const emptyList: readonly never[] = Object.freeze([]);

export abstract class UnixSocket extends DescriptorObject {
  readonly #type: SocketType;
  readonly #number: number;
  readonly #maxFds: number;
  readonly #received = theReceived();
  #reset: unknown;

  /** @internal Takes over the descriptor. */
  protected constructor(type: SocketType, { descriptor, receive }: SocketSetup) {
    super(descriptor, `The ${type} socket`);
    this.#type = type;
    this.#number = native.socketConstants[type];
    this.#maxFds = receive.maxFds;
  }

  /** Its own name; null where it has none. man 2 getsockname. Throws `ERR_INTERPROC_CLOSED`. */
  get address(): SocketAddress | null {
    return toAddress(native.socketName(this.descriptor, false));
  }

  /** The name of its peer; null where that has none, or is none. man 2 getpeername. Throws `ERR_INTERPROC_CLOSED`. */
  get remoteAddress(): SocketAddress | null {
    const { descriptor } = this;
    try {
      return toAddress(native.socketName(descriptor, true));
    } catch (error) {
      if ((error as { code?: string }).code === 'ENOTCONN') return null;
      throw error;
    }
  }

  /**
   * The process at the other end as it was when it connected, listened or made the pair; undefined for a datagram socket,
   * unless it is one of a pair. man 7 unix, SO_PEERCRED. Throws `ERR_INTERPROC_CLOSED`.
   */
  get peerCredentials(): Credentials | undefined {
    const credentials = native.socketPeerCredentials(this.descriptor);
    if (credentials === undefined) return undefined;
    const [pid, uid, gid] = credentials;
    return { pid, uid, gid };
  }

  /**
   * Bytes that may be on their way from here, with the kernel's own for each message: it doubles what is set, up to
   * sysctl net.core.wmem_max. man 7 socket, SO_SNDBUF. Throws `ERR_OUT_OF_RANGE`, `ERR_INTERPROC_CLOSED`.
   */
  get sendBufferSize(): number {
    return native.socketOption(this.descriptor, native.socketConstants.sendBuffer);
  }

  /** As reading it; the kernel doubles what is set. */
  set sendBufferSize(bytes: number) {
    this.#setBuffer('sendBuffer', 'sendBufferSize', bytes);
  }

  /** man 7 socket, SO_RCVBUF; of no effect on UNIX sockets, where the sender's counts. */
  get receiveBufferSize(): number {
    return native.socketOption(this.descriptor, native.socketConstants.receiveBuffer);
  }

  /** As reading it. */
  set receiveBufferSize(bytes: number) {
    this.#setBuffer('receiveBuffer', 'receiveBufferSize', bytes);
  }

  /** @internal */
  protected tryReceiveNow(options: ReadOptions | undefined): SocketMessage | null | undefined {
    this.checkOpen();
    const target = checkTarget(options);
    if (!this.reading.idle) return null;
    const message = this.#take(target, 0);
    return message === again ? null : message;
  }

  /** @internal */
  protected receiveLater(
    options: (ReadOptions & WaitOptions) | undefined,
  ): Promise<SocketMessage | undefined> {
    try {
      const target = checkTarget(options);
      return this.reading.run('receive', options, { step: (looks) => this.#take(target, looks) });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** @internal */
  protected receiveNow(options: (ReadOptions & SyncWaitOptions) | undefined): SocketMessage | undefined {
    const target = checkTarget(options);
    return this.reading.runSync(
      'receive',
      options,
      { step: (looks) => this.#take(target, looks) },
      (nanoseconds) => this.sleep(readable, nanoseconds),
    );
  }

  /** The kernel tells of a reset before it gives what had come until then; here that comes first. */
  #take(target: Target, looks: number): SocketMessage | undefined | typeof again {
    let message: SocketMessage | undefined | typeof again;
    try {
      message = this.#takeNow(target, looks);
    } catch (error) {
      if ((error as { code?: string }).code !== 'ECONNRESET' || this.#reset !== undefined) throw error;
      this.#reset = error;
      message = this.#takeNow(target, 0);
    }
    const reset = this.#reset;
    if (reset === undefined || (message !== again && message !== undefined)) return message;
    this.#reset = undefined;
    throw reset;
  }

  #takeNow({ into, size }: Target, looks: number): SocketMessage | undefined | typeof again {
    const { descriptor } = this;
    if (into !== undefined) checkLasting(into, size, 'options.into');
    const { facts } = this.#received;
    const isStream = this.#type === 'stream';
    for (let least = isStream ? size : 0; ; least = facts[fact.needed] as number) {
      const scratch = scratchOf(least);
      const length = into === undefined && !isStream ? scratch.length : size;
      const more = into === undefined || isStream ? undefined : scratch;
      const got = native.socketReceive(
        descriptor,
        this.#number,
        into ?? scratch,
        length,
        more,
        this.#maxFds,
        looks,
      );
      if (got === nothingNow) return again;
      if (got !== needsRoom) return this.#messageOf(got, into, size);
    }
  }

  #messageOf(
    got: number | [length: number, ...fds: NativeDescriptor[]],
    into: Uint8Array | undefined,
    size: number,
  ): SocketMessage | undefined {
    const { facts, address } = this.#received;
    const flags = facts[fact.flags] as number;
    if ((flags & flag.ended) !== 0) return undefined;
    const [length, ...descriptors] = typeof got === 'number' ? [got] : got;
    if ((flags & flag.truncated) !== 0) {
      for (const each of descriptors) native.descriptorClose(each);
      throw new IpcError(
        'EMSGSIZE',
        `EMSGSIZE: message too long, recv: of a message only the first ${length} bytes came, as another process that ` +
          'receives from the same socket took the one before it; let each have a socket of its own',
        { syscall: 'recv' },
      );
    }
    const addressLength = facts[fact.addressLength] as number;
    return new SocketMessage({
      data: dataOf(length, into, size),
      address: addressLength === 0 ? null : toAddress(Buffer.from(address.subarray(0, addressLength))),
      fds: descriptors.length === 0 ? emptyList : descriptors.map(receivedFd),
      fdsTruncated: (flags & flag.fdsLost) !== 0,
      credentials:
        (flags & flag.hasCredentials) === 0
          ? null
          : {
              pid: facts[fact.pid] as number,
              uid: (facts[fact.uid] as number) >>> 0,
              gid: (facts[fact.gid] as number) >>> 0,
            },
    });
  }

  #setBuffer(option: 'sendBuffer' | 'receiveBuffer', name: string, bytes: unknown): void {
    const size = checkInteger(bytes, name, 1, 0x3fff_ffff);
    native.socketSetOption(this.descriptor, native.socketConstants[option], size);
  }
}

/** A message that is longer than what the caller gave goes into a Buffer of its own, whole. */
function dataOf(length: number, into: Uint8Array | undefined, size: number): Buffer {
  if (into === undefined) return keepScratch(length);
  if (length <= size) return viewOf(into, length);
  return Buffer.concat([into.subarray(0, size), scratchOf(0).subarray(0, length - size)]);
}
