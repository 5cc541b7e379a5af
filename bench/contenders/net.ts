/**
 * A UNIX socket by node:net, framed by a length before each message. Batches of 32 messages or 64 KiB are one write, from
 * buffers that are used again; data that lies there already is written from there. The receiver reads into one buffer
 * (`onread`), and copies only messages that a read has cut.
 */
import { Buffer } from 'node:buffer';
import { createServer, type NetConnectOpts, connect as netConnect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OneWay } from '../scenarios/scenario.js';
import { checkPing, fillPing, pingBytes, Stopwatch } from '../support/round-trips.js';
import { type Consumer, consumerOf, lanesOf, type Producer, producerOf } from '../support/work.js';
import type { Side, Task } from './contender.js';
import { Batches, FrameReader, headBytes } from './net-frames.js';

const batchMessages = 32;
const batchBytes = 65_536;
const readBytes = 65_536;
/** From here on writing from where the data lies is better than copying it into a batch. */
const largeBytes = 16_384;

export async function open(task: Task): Promise<Side> {
  const { shape, role } = task;
  const path = join(task.folder, task.name);
  if (shape.kind === 'one-way') {
    if (role === 'lead') return sending(await accept(path), shape);
    const consumer = consumerOf(shape.method, shape.bytes);
    return receiving(new FrameReader(shape.bytes, (lanes, at) => consumer.take(lanes, at)), path, consumer);
  }
  if (shape.kind === 'ping-pong') {
    return role === 'lead' ? pinging(path, task.most) : ponging(path);
  }
  throw new Error(`there is no ${shape.kind} here`);
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
  const buffer = Buffer.alloc(readBytes);
  const lanes = lanesOf(buffer);
  const callback = (length: number): boolean => {
    reader.read(buffer.subarray(0, length), lanes);
    return true;
  };
  return connectTo({ path, onread: { buffer, callback } });
}

function sending(socket: Socket, { bytes, method }: OneWay): Side {
  const producer = producerOf(method, bytes);
  if (bytes >= largeBytes && producer.constant) return sendingLarge(socket, bytes, producer);
  const frame = headBytes + bytes;
  const perBatch = Math.max(1, Math.min(batchMessages, Math.floor(batchBytes / frame)));
  const batches = new Batches(socket, perBatch * frame);
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

async function receiving(reader: FrameReader, path: string, consumer: Consumer): Promise<Side> {
  let expecting = false;
  let finished = (): void => {};
  const read = reader.read.bind(reader);
  reader.read = (chunk, lanes) => {
    read(chunk, lanes);
    if (expecting && consumer.done) finished();
  };
  await connect(path, reader);
  return {
    run: (count) => {
      consumer.begin(count);
      expecting = true;
      return new Promise<void>((resolve) => {
        finished = () => {
          expecting = false;
          resolve();
        };
      });
    },
    verify: () => consumer.finish(),
  };
}

/** One message at a time each way, in one buffer. */
class Ball {
  readonly bytes = Buffer.alloc(headBytes + pingBytes);
  readonly #lanes = lanesOf(this.bytes);
  readonly reader = new FrameReader(pingBytes, (lanes, at) => this.#caught(lanes, at));
  socket: Socket | undefined;
  #count = 0;
  #number = 0;
  #finished = (): void => {};
  /** Called for each that comes. */
  onCaught = (): void => {};

  /** Resolves when `count` have come. */
  expect(count: number): Promise<void> {
    this.#count = count;
    this.#number = 0;
    return new Promise((resolve) => {
      this.#finished = resolve;
    });
  }

  get number(): number {
    return this.#number;
  }

  get done(): boolean {
    return this.#number === this.#count;
  }

  throw(number: number): void {
    this.#lanes[0] = pingBytes;
    fillPing(this.#lanes, 1, number);
    this.socket?.write(this.bytes);
  }

  #caught(lanes: Int32Array, at: number): void {
    checkPing(lanes, at, this.#number);
    this.#number++;
    this.onCaught();
    if (this.done) this.#finished();
  }
}

async function pinging(path: string, most: number): Promise<Side> {
  const stopwatch = new Stopwatch(most);
  const ball = new Ball();
  ball.onCaught = () => {
    stopwatch.lap();
    if (!ball.done) ball.throw(ball.number);
  };
  ball.socket = await connect(path, ball.reader);
  return {
    run: (count) => {
      const done = ball.expect(count);
      stopwatch.start();
      ball.throw(0);
      return done;
    },
    latencies: () => stopwatch.laps(),
  };
}

async function ponging(path: string): Promise<Side> {
  const ball = new Ball();
  ball.onCaught = () => ball.throw(ball.number - 1);
  const socket = await accept(path);
  ball.socket = socket;
  socket.on('data', (chunk) => {
    const lanes = lanesOf(chunk);
    ball.reader.read(chunk, lanes);
  });
  return { run: (count) => ball.expect(count) };
}
