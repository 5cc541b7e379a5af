/** Connecting to servers, which may have to be waited for: their backlog is full. man 2 connect */
import type { Background } from '../internal/background-promise.js';
import { inBackground, inBackgroundSync } from '../internal/background-promise.js';
import { native } from '../internal/native.js';
import type { SyncWaitOptions, WaitOptions } from '../internal/waiting.js';
import { checkAddress, printable, type SocketAddressLike } from './address.js';
import { checkReceive, type ReceiveSettings } from './options.js';
import { createSocket, orClose, prepareSocket, type SocketSetup, type SocketType } from './unix-socket.js';

/** Takes over the descriptor. */
type Make<Socket> = (setup: SocketSetup) => Socket;

export interface Connection<Socket> {
  type: SocketType;
  address: SocketAddressLike;
  make: Make<Socket>;
}

interface Connecting<Socket> extends Background<true, Socket> {
  now(): Socket | undefined;
  abandon(): void;
}

export async function connect<Socket>(
  connection: Connection<Socket>,
  options: (ReceiveSettings & WaitOptions) | undefined,
): Promise<Socket> {
  const connecting = begin(connection, options);
  try {
    return await inBackground(connecting, options);
  } catch (error) {
    connecting.abandon();
    throw error;
  }
}

export function connectSync<Socket>(
  connection: Connection<Socket>,
  options: (ReceiveSettings & SyncWaitOptions) | undefined,
): Socket {
  const connecting = begin(connection, options);
  try {
    return inBackgroundSync(connecting, options);
  } catch (error) {
    connecting.abandon();
    throw error;
  }
}

export function tryConnect<Socket>(
  connection: Connection<Socket>,
  options: ReceiveSettings | undefined,
): Socket | null {
  const connecting = begin(connection, options);
  try {
    const socket = connecting.now();
    if (socket === undefined) connecting.abandon();
    return socket ?? null;
  } catch (error) {
    connecting.abandon();
    throw error;
  }
}

function begin<Socket>(
  { type, address, make }: Connection<Socket>,
  options: ReceiveSettings | undefined,
): Connecting<Socket> {
  const receive = checkReceive(options);
  const bytes = checkAddress(address, 'connect');
  const descriptor = createSocket(type);
  orClose(descriptor, () => prepareSocket(descriptor, receive));
  const made = () => make({ descriptor, receive });
  return {
    call: 'connect',
    path: printable(bytes),
    now: () => (native.socketTryConnect(descriptor, bytes) ? made() : undefined),
    start: (id) => native.socketConnectStart(id, descriptor, bytes),
    made,
    abandon: () => native.descriptorClose(descriptor),
  };
}
