/**
 * What the storm over queues and semaphores keeps account in: shared memory of the runner, so that nothing of it dies with
 * a process. Each process has a page of its own, which it alone writes; the runner reads it when the process is dead.
 */

/** What was sent through each queue, and a page of each process: all uint32. */
const fields = /** @type {const} */ ([
  // Of the two queues, one after the other.
  'attempted0', // messages given to a call that sends: numbers below this
  'attempted1',
  'sent0', // those of which a call has said that they are sent
  'sent1',
  'asked0', // receives that were begun
  'asked1',
  'noted0', // and those of which all is written down: what they took, or that they took nothing
  'noted1',
  'permit', // where it is with the semaphore: see `permit`
  'permits', // how many it has had
  'operations', // how many on the set
]);
/** @typedef {(typeof fields)[number]} Field */
/** In between a kill leaves unsure who has it. */
export const permit = { none: 0, acquiring: 1, held: 2, releasing: 3 };

export const maxMessages = 1 << 14;
const pageBytes = fields.length * 4;
const headBytes = 8;
/** In the cell of a message: it was given up by its sender. Below that: how often it came. */
export const givenUpBit = 0x80;

/** @param {number} processes */
export function ledgerSize(processes) {
  return headBytes + processes * (pageBytes + 2 * maxMessages);
}

export class ObjectsLedger {
  #head;
  #pages;
  #cells;

  /** @param {ArrayBufferLike} buffer @param {number} processes */
  constructor(buffer, processes) {
    this.#head = new Uint32Array(buffer, 0, headBytes / 4);
    this.#pages = new Uint32Array(buffer, headBytes, processes * fields.length);
    this.#cells = new Uint8Array(buffer, headBytes + processes * pageBytes, processes * 2 * maxMessages);
  }

  get stop() {
    return Atomics.load(this.#head, 0) === 1;
  }

  set stop(stop) {
    Atomics.store(this.#head, 0, stop ? 1 : 0);
  }

  /** @param {number} id Of the process. @param {Field} field */
  get(id, field) {
    return Atomics.load(this.#pages, id * fields.length + fields.indexOf(field));
  }

  /** @param {number} id @param {Field} field @param {number} value */
  set(id, field, value) {
    Atomics.store(this.#pages, id * fields.length + fields.indexOf(field), value);
  }

  /** @param {number} id @param {Field} field */
  add(id, field) {
    Atomics.add(this.#pages, id * fields.length + fields.indexOf(field), 1);
  }

  /** @param {0 | 1} queue @param {number} author @param {number} number */
  came(queue, author, number) {
    return Atomics.add(this.#cells, this.#cell(queue, author, number), 1);
  }

  /** @param {0 | 1} queue @param {number} author @param {number} number */
  giveUp(queue, author, number) {
    Atomics.or(this.#cells, this.#cell(queue, author, number), givenUpBit);
  }

  /** @param {0 | 1} queue @param {number} author @param {number} number */
  cell(queue, author, number) {
    return Atomics.load(this.#cells, this.#cell(queue, author, number));
  }

  /** @param {0 | 1} queue @param {number} author @param {number} number */
  #cell(queue, author, number) {
    return (author * 2 + queue) * maxMessages + number;
  }
}

/** Messages are told apart by who sent them, and their number. */
const messageBytes = 8;

/** @param {number} author @param {number} number */
export function messageOf(author, number) {
  const data = Buffer.alloc(messageBytes);
  data.writeUInt32LE(author, 0);
  data.writeUInt32LE(number, 4);
  return data;
}

/** @param {Buffer} data */
export function readMessage(data) {
  if (data.length !== messageBytes) throw new Error(`no message: ${data.toString('hex')}`);
  return { author: data.readUInt32LE(0), number: data.readUInt32LE(4) };
}
