/**
 * process.send: the lead has forked the other side. With 'advanced' serialization a message is a Uint8Array, with
 * 'json' a string of base64: a Buffer would become a list of numbers. Each message is a send; who sends waits after
 * each batch of 32 messages or 64 KiB until the one before it is with the system.
 */
import { Buffer } from 'node:buffer';
import type { ChildProcess } from 'node:child_process';
import { forkFollow } from '../support/fork-follow.js';
import { checkPing, fillPing, pingBytes, Stopwatch } from '../support/round-trips.js';
import { consumerOf, lanesOf, producerOf } from '../support/work.js';
import type { Side, Task } from './contender.js';

const batchMessages = 32;
const batchBytes = 65_536;

type End = ChildProcess | NodeJS.Process;

interface Encoding {
  serialization: 'json' | 'advanced';
  encode(bytes: Uint8Array): object | string;
  decode(message: unknown): Uint8Array;
}

const encodings: Record<string, Encoding> = {
  'process-send-json': {
    serialization: 'json',
    encode: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64'),
    decode: (message) => Buffer.from(message as string, 'base64'),
  },
  'process-send-advanced': {
    serialization: 'advanced',
    encode: (bytes) => bytes,
    decode: (message) => message as Uint8Array,
  },
};

export function open(task: Task): Side {
  const { shape, role } = task;
  const encoding = encodings[task.contender] as Encoding;
  const end: End = role === 'lead' ? forkFollow(task, encoding.serialization) : process;
  if (shape.kind === 'one-way') {
    return role === 'lead'
      ? sending(end, encoding, producerOf(shape.method, shape.bytes), shape.bytes)
      : receiving(end, encoding, consumerOf(shape.method, shape.bytes));
  }
  if (shape.kind === 'ping-pong') {
    return role === 'lead' ? pinging(end, encoding, task.most) : ponging(end, encoding);
  }
  throw new Error(`there is no ${shape.kind} here`);
}

function send(end: End, message: object | string, sent?: () => void): void {
  end.send?.(message, undefined, undefined, (error) => {
    if (error) throw error;
    sent?.();
  });
}

function sending(
  end: End,
  { encode }: Encoding,
  producer: ReturnType<typeof producerOf>,
  bytes: number,
): Side {
  const perBatch = Math.max(1, Math.min(batchMessages, Math.floor(batchBytes / bytes)));
  return {
    run: async (count) => {
      let before: Promise<void> | undefined;
      for (let number = 0; number < count; number++) {
        const message = encode(producer.source(number));
        if (number % perBatch < perBatch - 1 && number < count - 1) {
          send(end, message);
        } else {
          const sent = new Promise<void>((resolve) => send(end, message, resolve));
          await before;
          before = sent;
        }
      }
      await before;
    },
  };
}

function receiving(end: End, { decode }: Encoding, consumer: ReturnType<typeof consumerOf>): Side {
  let finished = (): void => {};
  end.on('message', (message) => {
    consumer.takeOwned(decode(message));
    if (consumer.done) finished();
  });
  return {
    run: (count) => {
      consumer.begin(count);
      return new Promise<void>((resolve) => {
        finished = resolve;
      });
    },
    verify: () => consumer.finish(),
  };
}

/** Calls `caught` with the number of each message that comes; `expect` resolves when so many have. */
function catching(end: End, { decode }: Encoding, caught: (number: number, last: boolean) => void) {
  let number = 0;
  let most = 0;
  let finished = (): void => {};
  end.on('message', (message) => {
    checkPing(lanesOf(decode(message)), 0, number);
    const last = number === most - 1;
    caught(number++, last);
    if (last) finished();
  });
  return (count: number): Promise<void> => {
    number = 0;
    most = count;
    return new Promise((resolve) => {
      finished = resolve;
    });
  };
}

function pinging(end: End, encoding: Encoding, most: number): Side {
  const stopwatch = new Stopwatch(most);
  const throwing = thrower(end, encoding);
  const expect = catching(end, encoding, (number, last) => {
    stopwatch.lap();
    if (!last) throwing(number + 1);
  });
  return {
    run: (count) => {
      const done = expect(count);
      stopwatch.start();
      throwing(0);
      return done;
    },
    latencies: () => stopwatch.laps(),
  };
}

function ponging(end: End, encoding: Encoding): Side {
  return { run: catching(end, encoding, thrower(end, encoding)) };
}

function thrower(end: End, { encode }: Encoding): (number: number) => void {
  const lanes = new Int32Array(pingBytes / 4);
  const bytes = new Uint8Array(lanes.buffer);
  return (number) => {
    fillPing(lanes, 0, number);
    send(end, encode(bytes));
  };
}
