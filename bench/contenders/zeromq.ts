/**
 * zeromq over ipc://: PUSH and PULL one way, PAIR for round trips. Each message has a buffer of its own, because zeromq
 * keeps it until it is sent. As many may be under way as the rings of others hold, or zeromq's own thousand.
 */
import { join } from 'node:path';
import type { OneWay } from '../scenarios/scenario.js';
import { requirePackage } from '../support/package.js';
import { checkPing, fillPing, pingBytes, Stopwatch } from '../support/round-trips.js';
import { consumerOf, lanesOf, producerOf } from '../support/work.js';
import type { Side, Task } from './contender.js';

/** What of its sockets is used here. */
interface ZmqSocket {
  sendHighWaterMark: number;
  receiveHighWaterMark: number;
  bind(address: string): Promise<void>;
  connect(address: string): void;
  send(message: Uint8Array): Promise<void>;
  receive(): Promise<[Uint8Array]>;
}

interface Zmq {
  Push: new () => ZmqSocket;
  Pull: new () => ZmqSocket;
  Pair: new () => ZmqSocket;
}

const ownHighWaterMark = 1000;
const bytesUnderWay = 8 << 20;

export async function open({ shape, role, folder, name, most }: Task): Promise<Side> {
  const { Push, Pull, Pair } = requirePackage<Zmq>('zeromq');
  const address = `ipc://${join(folder, name)}`;
  if (shape.kind === 'one-way') {
    const socket = role === 'lead' ? new Push() : new Pull();
    const mark = Math.min(ownHighWaterMark, Math.max(16, bytesUnderWay / shape.bytes));
    if (role === 'lead') socket.sendHighWaterMark = mark;
    else socket.receiveHighWaterMark = mark;
    await meet(socket, role, address);
    return role === 'lead' ? sending(socket, shape) : receiving(socket, shape);
  }
  if (shape.kind === 'ping-pong') {
    const socket = new Pair();
    await meet(socket, role, address);
    return role === 'lead' ? pinging(socket, most) : ponging(socket);
  }
  throw new Error(`there is no ${shape.kind} here`);
}

async function meet(socket: ZmqSocket, role: Task['role'], address: string): Promise<void> {
  if (role === 'lead') socket.connect(address);
  else await socket.bind(address);
}

function sending(socket: ZmqSocket, { bytes, method }: OneWay): Side {
  const producer = producerOf(method, bytes);
  return {
    run: async (count) => {
      for (let number = 0; number < count; number++) await socket.send(producer.fresh(number));
    },
  };
}

function receiving(socket: ZmqSocket, { bytes, method }: OneWay): Side {
  const consumer = consumerOf(method, bytes);
  return {
    run: async (count) => {
      consumer.begin(count);
      for (let left = count; left > 0; left--) {
        const [message] = await socket.receive();
        consumer.takeOwned(message);
      }
    },
    verify: () => consumer.finish(),
  };
}

async function put(socket: ZmqSocket, number: number): Promise<void> {
  const lanes = new Int32Array(pingBytes / 4);
  fillPing(lanes, 0, number);
  await socket.send(new Uint8Array(lanes.buffer));
}

async function get(socket: ZmqSocket, number: number): Promise<void> {
  const [message] = await socket.receive();
  checkPing(lanesOf(message), 0, number);
}

function pinging(socket: ZmqSocket, most: number): Side {
  const stopwatch = new Stopwatch(most);
  return {
    run: async (count) => {
      stopwatch.start();
      for (let number = 0; number < count; number++) {
        await put(socket, number);
        await get(socket, number);
        stopwatch.lap();
      }
    },
    latencies: () => stopwatch.laps(),
  };
}

function ponging(socket: ZmqSocket): Side {
  return {
    run: async (count) => {
      for (let number = 0; number < count; number++) {
        await get(socket, number);
        await put(socket, number);
      }
    },
  };
}
