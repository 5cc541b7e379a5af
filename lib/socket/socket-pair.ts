/** Two sockets that are connected to each other and have no name. man 2 socketpair */
import { checkOneOf } from '../internal/arguments.js';
import { native } from '../internal/native.js';
import { checkReceive, type ReceiveSettings } from './options.js';
import { datagramOf, type UnixDatagram } from './unix-datagram.js';
import { seqpacketOf, type UnixSeqpacket } from './unix-seqpacket.js';
import type { SocketSetup, SocketType } from './unix-socket.js';
import { streamOf, type UnixStream } from './unix-stream.js';

/** The class of each type of socket. */
export interface SocketOfType {
  /** Messages, each whole. */
  datagram: UnixDatagram;
  /** Messages, each whole, and an end. */
  seqpacket: UnixSeqpacket;
  /** Bytes, and an end. */
  stream: UnixStream;
}

const make: { readonly [Type in SocketType]: (setup: SocketSetup) => SocketOfType[Type] } = {
  datagram: datagramOf,
  seqpacket: seqpacketOf,
  stream: streamOf,
};

/**
 * Makes a pair. Hand one to a child through `stdio` of `child_process.spawn`, as its `.fd`, and close it here then, or the
 * end of the stream never comes.
 *
 * @throws `EMFILE`, `ENFILE`; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
 */
export function socketPair<Type extends SocketType>(
  type: Type,
  options?: ReceiveSettings,
): [SocketOfType[Type], SocketOfType[Type]] {
  const known = checkOneOf(type, 'type', Object.keys(make) as SocketType[]);
  const receive = checkReceive(options);
  const [first, second] = native.socketPair(native.socketConstants[known]);
  return [make[type]({ descriptor: first, receive }), make[type]({ descriptor: second, receive })];
}
