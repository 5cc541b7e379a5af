/**
 * shared-memory-disruptor: one producer, one consumer, elements of the size of a message, and batches of 32 messages or
 * 64 KiB. It waits only by spinning: in its `Sync` methods where the sides spin, else in those that are promises, which
 * it does on libuv's threads. (Its own word for both is `spin`.)
 */
import type { Buffer } from 'node:buffer';
import type { OneWay } from '../scenarios/scenario.js';
import { requirePackage } from '../support/package.js';
import { ringBytes } from '../support/ring-bytes.js';
import { checkPing, fillPing, lanesPerPing, pingBytes, Stopwatch } from '../support/round-trips.js';
import { consumerOf, lanesOf, producerOf } from '../support/work.js';
import type { Side, Task } from './contender.js';

/** What of it is used here. */
interface Disruptor {
  produceClaimAvail(max: number): Promise<{ bufs: Buffer[] }>;
  produceClaimAvailSync(max: number): Buffer[];
  produceCommit(): Promise<unknown>;
  produceCommitSync(): boolean;
  consumeNew(): Promise<{ bufs: Buffer[] }>;
  consumeNewSync(): Buffer[];
  consumeCommit(): boolean;
}

type Make = new (
  name: string,
  elements: number,
  elementSize: number,
  consumers: number,
  consumer: number,
  init: boolean,
  spin: boolean,
) => Disruptor;

const batchMessages = 32;
const batchBytes = 65_536;

export function open({ shape, role, name, most }: Task): Side {
  const { Disruptor: Make } = requirePackage<{ Disruptor: Make }>('shared-memory-disruptor');
  const make = (suffix: string, bytes: number) =>
    new Make(`/${name}${suffix}`, Math.max(ringBytes / bytes, 8), bytes, 1, 0, role === 'lead', true);
  if (shape.kind === 'one-way') {
    const disruptor = make('', shape.bytes);
    return role === 'lead' ? sending(disruptor, shape) : receiving(disruptor, shape);
  }
  if (shape.kind === 'ping-pong') {
    const [there, back] = [make('', pingBytes), make('-back', pingBytes)];
    const blocks = shape.waiting === 'spinning';
    return role === 'lead' ? pinging(there, back, blocks, most) : ponging(back, there, blocks);
  }
  throw new Error(`there is no ${shape.kind} here`);
}

function sending(disruptor: Disruptor, { bytes, method, waiting }: OneWay): Side {
  const producer = producerOf(method, bytes);
  const perBatch = Math.max(1, Math.min(batchMessages, Math.floor(batchBytes / bytes)));
  const fillAll = (buffers: Buffer[], first: number): number => {
    let number = first;
    for (const buffer of buffers) {
      const lanes = lanesOf(buffer);
      for (let at = 0; at < lanes.length; at += bytes >> 2) producer.fill(lanes, at, number++);
    }
    return number;
  };
  const blocking = (count: number): void => {
    for (let number = 0; number < count; ) {
      number = fillAll(disruptor.produceClaimAvailSync(Math.min(perBatch, count - number)), number);
      disruptor.produceCommitSync();
    }
  };
  const async = async (count: number): Promise<void> => {
    for (let number = 0; number < count; ) {
      const { bufs } = await disruptor.produceClaimAvail(Math.min(perBatch, count - number));
      number = fillAll(bufs, number);
      await disruptor.produceCommit();
    }
  };
  return { run: waiting === 'spinning' ? blocking : async };
}

function receiving(disruptor: Disruptor, { bytes, method, waiting }: OneWay): Side {
  const consumer = consumerOf(method, bytes);
  const takeAll = (buffers: Buffer[]): void => {
    for (const buffer of buffers) {
      const lanes = lanesOf(buffer);
      for (let at = 0; at < lanes.length; at += bytes >> 2) consumer.take(lanes, at);
    }
    disruptor.consumeCommit();
  };
  const blocking = (count: number): void => {
    consumer.begin(count);
    while (!consumer.done) takeAll(disruptor.consumeNewSync());
  };
  const async = async (count: number): Promise<void> => {
    consumer.begin(count);
    while (!consumer.done) takeAll((await disruptor.consumeNew()).bufs);
  };
  return { run: waiting === 'spinning' ? blocking : async, verify: () => consumer.finish() };
}

function put(disruptor: Disruptor, number: number): void {
  // Never full: one message is under way.
  for (const buffer of disruptor.produceClaimAvailSync(1)) fillPing(lanesOf(buffer), 0, number);
  disruptor.produceCommitSync();
}

function check(disruptor: Disruptor, buffers: Buffer[], number: number): void {
  if (buffers.length !== 1) throw new Error(`${buffers.length} messages came at once`);
  const lanes = lanesOf(buffers[0] as Buffer);
  if (lanes.length !== lanesPerPing) throw new Error(`${lanes.length} lanes came at once`);
  checkPing(lanes, 0, number);
  disruptor.consumeCommit();
}

function pinging(there: Disruptor, back: Disruptor, blocks: boolean, most: number): Side {
  const stopwatch = new Stopwatch(most);
  const blocking = (count: number): void => {
    stopwatch.start();
    for (let number = 0; number < count; number++) {
      put(there, number);
      check(back, back.consumeNewSync(), number);
      stopwatch.lap();
    }
  };
  const async = async (count: number): Promise<void> => {
    stopwatch.start();
    for (let number = 0; number < count; number++) {
      put(there, number);
      check(back, (await back.consumeNew()).bufs, number);
      stopwatch.lap();
    }
  };
  return { run: blocks ? blocking : async, latencies: () => stopwatch.laps() };
}

function ponging(back: Disruptor, there: Disruptor, blocks: boolean): Side {
  const blocking = (count: number): void => {
    for (let number = 0; number < count; number++) {
      check(there, there.consumeNewSync(), number);
      put(back, number);
    }
  };
  const async = async (count: number): Promise<void> => {
    for (let number = 0; number < count; number++) {
      check(there, (await there.consumeNew()).bufs, number);
      put(back, number);
    }
  };
  return { run: blocks ? blocking : async };
}
