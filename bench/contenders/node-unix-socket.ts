/** node-unix-socket: datagrams between two bound sockets, and SOCK_SEQPACKET. */
import type { Buffer } from 'node:buffer';
import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { requirePackage } from '../support/package.js';
import { type Paths, pathsOf } from '../support/paths.js';
import type { Side, Task } from './contender.js';
import { messaging, type Send } from './messaging.js';

type Sent = (error?: Error) => void;

/** What of it is used here; who sends is called when the system has the message, which may be before it returns. */
interface NodeUnixSocket {
  DgramSocket: new () => EventEmitter & {
    bind(path: string): void;
    sendTo(message: Buffer, offset: number, length: number, path: string, sent: Sent): void;
  };
  SeqpacketServer: new () => EventEmitter & { listen(path: string): void };
  SeqpacketSocket: new () => SeqpacketSocket;
}

interface SeqpacketSocket extends EventEmitter {
  connect(path: string, connected: () => void): void;
  write(message: Buffer, offset: number, length: number, sent: Sent): void;
}

export function open(task: Task): Promise<Side> {
  const { shape, role } = task;
  if (shape.kind !== 'descriptor') throw new Error(`there is no ${shape.kind} here`);
  const paths = pathsOf(task);
  return messaging(task, shape, async (take) => {
    if (shape.transport === 'datagram') return datagrams(paths, take);
    const socket = role === 'lead' ? await accepted(paths.out) : await connected(paths.back);
    socket.on('data', take);
    return sendingBy((message, sent) => socket.write(message, 0, message.length, sent));
  });
}

function load(): NodeUnixSocket {
  return requirePackage<NodeUnixSocket>('node-unix-socket');
}

function datagrams({ out, back }: Paths, take: (message: Buffer) => void): Send {
  const { DgramSocket } = load();
  const socket = new DgramSocket();
  socket.on('data', take);
  socket.bind(back);
  return sendingBy((message, sent) => socket.sendTo(message, 0, message.length, out, sent));
}

async function accepted(path: string): Promise<SeqpacketSocket> {
  const { SeqpacketServer } = load();
  const server = new SeqpacketServer();
  server.listen(path);
  const [socket] = await once(server, 'connection');
  return socket;
}

/** Waits until somebody listens; a socket that finds nobody is of no use any more. */
async function connected(path: string): Promise<SeqpacketSocket> {
  const { SeqpacketSocket } = load();
  for (;;) {
    const socket = new SeqpacketSocket();
    try {
      await new Promise<void>((resolve) => socket.connect(path, resolve));
      return socket;
    } catch {
      await sleep(2);
    }
  }
}

function sendingBy(call: (message: Buffer, sent: Sent) => void): Send {
  let isSent = false;
  let wake: (() => void) | undefined;
  const sent = (error?: Error) => {
    if (error !== undefined) throw error;
    isSent = true;
    wake?.();
  };
  return (message) => {
    isSent = false;
    wake = undefined;
    call(message, sent);
    if (isSent) return undefined;
    return new Promise((resolve) => {
      wake = resolve;
    });
  };
}
