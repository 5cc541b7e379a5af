/**
 * A UNIX socket by node:net, framed by a length before each message. Batches of 32 messages or 64 KiB are one write, from
 * buffers that are used again; data that lies there already is written from there. The receiver reads into one buffer
 * (`onread`), and copies only messages that a read has cut.
 */
import { Buffer } from 'node:buffer';
import {
  createServer,
  type NetConnectOpts,
  connect as netConnect,
  type OnReadOpts,
  type Socket,
} from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OneWay } from '../scenarios/scenario.js';
import { consumerOf, lanesOf, type Producer, producerOf } from '../support/work.js';
import { Ball, pinging, ponging, receiving } from './called.js';
import type { Side, Task } from './contender.js';
import { Batches, type FrameReader, headBytes } from './net-frames.js';

const batchMessages = 32;
const batchBytes = 65_536;
const readBytes = 65_536;
/** From here on writing from where the data lies is better than copying it into a batch. */
const largeBytes = 16_384;

export async function open(task: Task): Promise<Side> {
  const { shape, role } = task;
  const path = join(task.folder, task.name);
  if (shape.kind === 'descriptor') return (await import('./net-descriptors.js')).openDescriptors(task, shape);
  if (shape.kind === 'one-way') {
    if (role === 'lead') return sending(await accept(path), shape);
    const { reader, side } = receiving(consumerOf(shape.method, shape.bytes), {
      head: headBytes,
      bytes: shape.bytes,
    });
    await connect(path, reader);
    return side;
  }
  if (shape.kind !== 'ping-pong') throw new Error(`there is no ${shape.kind} here`);
  const ball = new Ball(headBytes);
  if (role === 'lead') {
    const socket = await connect(path, ball.reader);
    return pinging(ball, (bytes) => socket.write(bytes), task.most);
  }
  const socket = await accept(path);
  socket.on('data', (chunk) => ball.reader.read(chunk, lanesOf(chunk)));
  return ponging(ball, (bytes) => socket.write(bytes));
}

export async function accept(path: string): Promise<Socket> {
  const server = createServer();
  const accepted = new Promise<Socket>((resolve, reject) => {
    server.once('connection', resolve).once('error', reject);
  });
  server.listen(path);
  const socket = await accepted;
  server.close();
  return socket;
}

/** Waits until somebody listens. */
export async function connectTo(options: NetConnectOpts & { path: string }): Promise<Socket> {
  for (;;) {
    try {
      return await new Promise<Socket>((resolve, reject) => {
        const socket: Socket = netConnect(options, () => resolve(socket));
        socket.once('error', reject);
      });
    } catch (error) {
      if (!['ENOENT', 'ECONNREFUSED'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      await sleep(2);
    }
  }
}

function connect(path: string, reader: FrameReader): Promise<Socket> {
  return connectTo({ path, onread: readInto(reader) });
}

/** Has a socket read into one buffer, which is used again. */
export function readInto(reader: FrameReader): OnReadOpts {
  const buffer = Buffer.alloc(readBytes);
  const lanes = lanesOf(buffer);
  const callback = (length: number): boolean => {
    reader.read(buffer.subarray(0, length), lanes);
    return true;
  };
  return { buffer, callback };
}

function sending(socket: Socket, { bytes, method }: OneWay): Side {
  const producer = producerOf(method, bytes);
  if (bytes >= largeBytes && producer.constant) return sendingLarge(socket, bytes, producer);
  const frame = headBytes + bytes;
  const perBatch = Math.max(1, Math.min(batchMessages, Math.floor(batchBytes / frame)));
  const batches = new Batches(socket, () => Buffer.alloc(perBatch * frame));
  return {
    run: async (count) => {
      for (let number = 0; number < count; ) {
        const batch = batches.get();
        const { lanes } = batch;
        let at = 0;
        for (const end = Math.min(count, number + perBatch); number < end; number++) {
          lanes[at] = bytes;
          producer.fill(lanes, at + 1, number);
          at += frame >> 2;
        }
        const wait = batches.write(batch, at << 2);
        if (wait !== undefined) await wait;
      }
    },
  };
}

/** The length and the first lane, which differ, and then the data from where it lies: one writev(2). */
function sendingLarge(socket: Socket, bytes: number, producer: Producer): Side {
  const rest = producer.source(0).subarray(4);
  let wake = (): void => {};
  socket.on('drain', () => wake());
  return {
    run: async (count) => {
      for (let number = 0; number < count; number++) {
        const head = Buffer.allocUnsafe(2 * headBytes);
        head.writeInt32LE(bytes, 0);
        head.writeInt32LE(number, headBytes);
        socket.cork();
        socket.write(head);
        const goesOn = socket.write(rest);
        socket.uncork();
        if (!goesOn || socket.writableNeedDrain) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    },
  };
}
