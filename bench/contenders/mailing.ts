/** The sides of those who send and receive over queues of the system: pairs of one process, and round trips. */
import { Buffer } from 'node:buffer';
import type { QueueCalls } from '../scenarios/scenario.js';
import { queueBytes } from '../support/kernel-objects.js';
import { checkPing, fillPing, Stopwatch } from '../support/round-trips.js';
import { lanesOf, systemWork } from '../support/work.js';
import type { Side, Task } from './contender.js';

/** A message in memory that is used again, behind `head` bytes that the interface wants before it. */
export class Letter {
  readonly whole: Buffer;
  readonly lanes: Int32Array;
  readonly at: number;

  constructor(bytes: number, head = 0) {
    this.whole = Buffer.from(new ArrayBuffer(head + bytes));
    this.lanes = lanesOf(this.whole);
    this.at = head >> 2;
  }
}

/** Where messages of `bytes` are received again and again, behind `head` bytes of the interface. */
export class Inbox {
  readonly whole: Buffer;
  readonly #message: Buffer;

  constructor(bytes: number, head = 0) {
    this.whole = Buffer.from(new ArrayBuffer(head + queueBytes));
    this.#message = this.whole.subarray(head, head + bytes);
  }

  /** The message that has come, of which the interface says that it is so long. */
  message(length: number): Buffer {
    if (length !== this.#message.length)
      throw new Error(`a message has ${length} bytes, and not ${this.#message.length}`);
    return this.#message;
  }
}

export interface Mail {
  /** What `put` sends. */
  readonly letter: Letter;
  /** There is room for it, always. */
  put(): Promise<void> | void;
  /** Of a pair: there is one, always. */
  get(): Promise<Uint8Array> | Uint8Array;
}

export function mailing({ role, most }: Task, { work, bytes }: QueueCalls, mail: Mail): Side {
  if (work === 'pair') return pairing(mail, bytes);
  return role === 'lead' ? pinging(mail, most) : ponging(mail);
}

function pairing(mail: Mail, bytes: number): Side {
  const { producer, consumer } = systemWork(bytes);
  const { lanes, at } = mail.letter;
  // All but the number is the same in each message.
  producer.fill(lanes, at, 0);
  return {
    run: async (count) => {
      consumer.begin(count);
      for (let number = 0; number < count; number++) {
        lanes[at] = number;
        const putting = mail.put();
        if (putting !== undefined) await putting;
        const got = mail.get();
        consumer.takeOwned(got instanceof Promise ? await got : got);
      }
    },
    verify: () => consumer.finish(),
  };
}

function pinging(mail: Mail, most: number): Side {
  const { lanes, at } = mail.letter;
  const check = checking();
  const stopwatch = new Stopwatch(most);
  return {
    run: async (count) => {
      stopwatch.start();
      for (let number = 0; number < count; number++) {
        fillPing(lanes, at, number);
        const putting = mail.put();
        if (putting !== undefined) await putting;
        const got = mail.get();
        check(got instanceof Promise ? await got : got, number);
        stopwatch.lap();
      }
    },
    latencies: () => stopwatch.laps(),
  };
}

function ponging(mail: Mail): Side {
  const { lanes, at } = mail.letter;
  const check = checking();
  return {
    run: async (count) => {
      for (let number = 0; number < count; number++) {
        const got = mail.get();
        check(got instanceof Promise ? await got : got, number);
        fillPing(lanes, at, number);
        const putting = mail.put();
        if (putting !== undefined) await putting;
      }
    },
  };
}

/** Most receive into the same memory each time. */
function checking(): (got: Uint8Array, number: number) => void {
  let last: Uint8Array | undefined;
  let lanes = lanesOf(new Uint8Array(0));
  return (got, number) => {
    if (got !== last) {
      last = got;
      lanes = lanesOf(got);
    }
    checkPing(lanes, 0, number);
  };
}
