/**
 * One side of the soak: sends message after message and waits for the answer to each, or answers them. What it has
 * received is counted in memory that it shares with the runner. soak.js starts it.
 */
import { writeSync } from 'node:fs';
import { SharedMemory } from 'interproc';
import { think } from './chance.js';
import { countersOf } from './counters.js';
import { lines, messageSize } from './lines.js';

/** @type {{ transport: string, asks: boolean, folder: string, count: number }} */
const { transport, asks, folder, count } = JSON.parse(/** @type {string} */ (process.argv[2]));
const { received, sent, slept } = countersOf(SharedMemory.fromFd(3));
const mine = asks ? 0 : 1;

const message = Buffer.alloc(messageSize);
/** What the other side sends is the complement. */
const sign = asks ? 0 : 0xffff_ffff;

/** @param {number} number */
function numbered(number) {
  message.fill((number ^ sign) & 0xff);
  message.writeUInt32LE((number ^ sign) >>> 0);
  return message;
}

/** @param {Uint8Array | undefined} bytes @param {number} number */
function check(bytes, number) {
  const other = ~sign ^ number;
  const view = bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view?.length === messageSize && view.readInt32LE() === (other | 0)) {
    if (view.subarray(4).every((byte) => byte === (other & 0xff))) return;
  }
  throw new Error(`message ${number} was to come, and this came: ${view?.toString('hex') ?? 'the end'}`);
}

const there = () => void (asks || writeSync(1, 'there'));
const open = /** @type {NonNullable<(typeof lines)[string]>} */ (lines[transport]);
const line = await open({ asks, folder, there });
for (let number = 0; number < count; number++) {
  if (asks) await line.send(numbered(number));
  check(await line.receive(), number);
  Atomics.store(received, mine, number + 1);
  think(number, Math.imul(number + 1, asks ? 0x9e3779b1 : 0x85ebca6b) >>> 0);
  if (!asks) await line.send(numbered(number));
  sent[mine] = number + 1;
}
slept[mine] = process.resourceUsage().voluntaryContextSwitches;
line.close();
