/**
 * A MessagePort to a worker thread of the same process. Messages of some kilobytes and more are transferred, smaller ones
 * cloned. A port holds back nobody: the receiver answers each half window, and the sender waits for that. Where the sides
 * spin, they do it with receiveMessageOnPort.
 */
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { OneWay } from '../scenarios/scenario.js';
import { Patience } from '../support/patience.js';
import { checkPing, fillPing, lanesPerPing, Stopwatch } from '../support/round-trips.js';
import { consumerOf, producerOf } from '../support/work.js';
import { startWithPort } from '../support/worker-follow.js';
import type { Side, Task } from './contender.js';

const transferredBytes = 16_384;
const windowMessages = 4096;
const windowBytes = 8 << 20;

const halfWindow = (bytes: number) => Math.max(1, Math.min(windowMessages, windowBytes / bytes) / 2);

export function open(task: Task): Side {
  const { shape, role } = task;
  const port: MessagePort = role === 'lead' ? startWithPort(task) : workerData;
  if (shape.kind === 'one-way') return role === 'lead' ? sending(port, shape) : receiving(port, shape);
  if (shape.kind === 'ping-pong') {
    if (shape.waiting === 'spinning') {
      return role === 'lead' ? pingingBlocked(port, task.most) : pongingBlocked(port);
    }
    return role === 'lead' ? pinging(port, task.most) : ponging(port);
  }
  throw new Error(`there is no ${shape.kind} here`);
}

function sending(port: MessagePort, { bytes, method }: OneWay): Side {
  const producer = producerOf(method, bytes);
  const transfers = bytes >= transferredBytes;
  const half = halfWindow(bytes);
  let room = 2 * half;
  let wake = (): void => {};
  port.on('message', () => {
    room += half;
    wake();
  });
  return {
    run: async (count) => {
      room = 2 * half;
      for (let number = 0; number < count; number++) {
        if (room === 0) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        room--;
        if (transfers) {
          const message = producer.fresh(number);
          port.postMessage(message, [message.buffer as ArrayBuffer]);
        } else {
          port.postMessage(producer.source(number));
        }
      }
    },
  };
}

function receiving(port: MessagePort, { bytes, method }: OneWay): Side {
  const consumer = consumerOf(method, bytes);
  const half = halfWindow(bytes);
  let since = 0;
  let finished = (): void => {};
  port.on('message', (message: Uint8Array) => {
    consumer.takeOwned(message);
    if (consumer.done) return finished();
    if (++since === half) {
      since = 0;
      port.postMessage(null);
    }
  });
  return {
    run: (count) => {
      consumer.begin(count);
      since = 0;
      return new Promise<void>((resolve) => {
        finished = resolve;
      });
    },
    verify: () => consumer.finish(),
  };
}

const newBall = () => new Int32Array(lanesPerPing);

function pinging(port: MessagePort, most: number): Side {
  const stopwatch = new Stopwatch(most);
  const ball = newBall();
  const throwIt = (number: number): void => {
    fillPing(ball, 0, number);
    port.postMessage(ball);
  };
  let number = 0;
  let end = 0;
  let finished = (): void => {};
  port.on('message', (message: Int32Array) => {
    checkPing(message, 0, number);
    stopwatch.lap();
    if (++number === end) finished();
    else throwIt(number);
  });
  return {
    run: (count) => {
      number = 0;
      end = count;
      return new Promise<void>((resolve) => {
        finished = resolve;
        stopwatch.start();
        throwIt(0);
      });
    },
    latencies: () => stopwatch.laps(),
  };
}

function ponging(port: MessagePort): Side {
  const ball = newBall();
  let number = 0;
  let end = 0;
  let finished = (): void => {};
  port.on('message', (message: Int32Array) => {
    checkPing(message, 0, number);
    fillPing(ball, 0, number);
    port.postMessage(ball);
    if (++number === end) finished();
  });
  return {
    run: (count) => {
      number = 0;
      end = count;
      return new Promise<void>((resolve) => {
        finished = resolve;
      });
    },
  };
}

function put(port: MessagePort, ball: Int32Array, number: number): void {
  fillPing(ball, 0, number);
  port.postMessage(ball);
}

function get(port: MessagePort, number: number, patience: Patience): void {
  for (;;) {
    const received = receiveMessageOnPort(port);
    if (received !== undefined) return checkPing(received.message as Int32Array, 0, number);
    patience.look();
  }
}

function pingingBlocked(port: MessagePort, most: number): Side {
  const stopwatch = new Stopwatch(most);
  const ball = newBall();
  const patience = new Patience();
  return {
    run: (count) => {
      patience.start();
      stopwatch.start();
      for (let number = 0; number < count; number++) {
        put(port, ball, number);
        get(port, number, patience);
        stopwatch.lap();
      }
    },
    latencies: () => stopwatch.laps(),
  };
}

function pongingBlocked(port: MessagePort): Side {
  const ball = newBall();
  const patience = new Patience();
  return {
    run: (count) => {
      patience.start();
      for (let number = 0; number < count; number++) {
        get(port, number, patience);
        put(port, ball, number);
      }
    },
  };
}
