/** The sides of those whom their transport calls for what arrives: it goes to the reader of a side. */
import { Buffer } from 'node:buffer';
import { checkPing, fillPing, pingBytes, Stopwatch } from '../support/round-trips.js';
import { type Consumer, lanesOf } from '../support/work.js';
import type { Side } from './contender.js';
import { FrameReader, type Framing } from './net-frames.js';

export interface Called {
  reader: FrameReader;
  side: Side;
}

export function receiving(consumer: Consumer, framing: Framing): Called {
  let finished: (() => void) | undefined;
  const reader = new FrameReader(framing, (lanes, at) => {
    consumer.take(lanes, at);
    if (consumer.done) finished?.();
  });
  const run = (count: number) => {
    consumer.begin(count);
    return new Promise<void>((resolve) => {
      finished = resolve;
    });
  };
  return { reader, side: { run, verify: () => consumer.finish() } };
}

/** Sends what lies in `bytes`, which is written again only when an answer has come. */
type Throw = (bytes: Buffer) => void;

/** One message at a time each way, in one buffer. */
export class Ball {
  readonly reader: FrameReader;
  readonly #bytes: Buffer;
  readonly #lanes: Int32Array;
  readonly #at: number;
  #count = 0;
  #number = 0;
  #finished = (): void => {};
  /** Called for each that comes. */
  onCaught = (): void => {};

  constructor(head: Framing['head']) {
    this.#bytes = Buffer.alloc(head + pingBytes);
    this.#lanes = lanesOf(this.#bytes);
    this.#at = head >> 2;
    if (head > 0) this.#lanes[0] = pingBytes;
    this.reader = new FrameReader({ head, bytes: pingBytes }, (lanes, at) => this.#caught(lanes, at));
  }

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

  /** What message `number` is sent as. */
  filled(number: number): Buffer {
    fillPing(this.#lanes, this.#at, number);
    return this.#bytes;
  }

  #caught(lanes: Int32Array, at: number): void {
    checkPing(lanes, at, this.#number);
    this.#number++;
    this.onCaught();
    if (this.done) this.#finished();
  }
}

export function pinging(ball: Ball, send: Throw, most: number): Side {
  const stopwatch = new Stopwatch(most);
  ball.onCaught = () => {
    stopwatch.lap();
    if (!ball.done) send(ball.filled(ball.number));
  };
  return {
    run: (count) => {
      const done = ball.expect(count);
      stopwatch.start();
      send(ball.filled(0));
      return done;
    },
    latencies: () => stopwatch.laps(),
  };
}

export function ponging(ball: Ball, send: Throw): Side {
  ball.onCaught = () => send(ball.filled(ball.number - 1));
  return { run: (count) => ball.expect(count) };
}
