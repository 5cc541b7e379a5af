/** Pipes and FIFOs for tests: closed and gone when the test is over, and nothing of a file's tests is left after it. */
import { readdirSync } from 'node:fs';
import {
  type CreatePipeOptions,
  createPipe,
  Fifo,
  type FifoOpenOptions,
  type PipeReader,
  type PipeWriter,
} from 'interproc';
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest';
import { openDescriptors } from './leaks.js';
import { tempPath } from './names.js';

export interface Ends {
  reader: PipeReader;
  writer: PipeWriter;
}

function closedAfterwards(ends: Ends): Ends {
  onTestFinished(() => {
    ends.reader.close();
    ends.writer.close();
  });
  return ends;
}

export function openPipe(options?: CreatePipeOptions): Ends {
  return closedAfterwards(createPipe(options));
}

/** The path of a new FIFO. */
export function makeFifo(): string {
  const path = tempPath('fifo');
  Fifo.create(path);
  return path;
}

/** Both ends of a new FIFO. */
export async function openFifo(options: { reader?: FifoOpenOptions } = {}): Promise<Ends> {
  const path = makeFifo();
  const [reader, writer] = await Promise.all([Fifo.openReader(path, options.reader), Fifo.openWriter(path)]);
  return closedAfterwards({ reader, writer });
}

/** Bytes that tell when one of them is lost, doubled or out of place. */
export function pattern(length: number, seed = 0): Buffer {
  const bytes = Buffer.alloc(length);
  for (let index = 0; index < length; index++) bytes[index] = (index * 7 + (index >> 8) * 13 + seed) & 0xff;
  return bytes;
}

/** Writes until there is no room, and returns how many bytes that took. */
export function fill(writer: PipeWriter): number {
  let total = 0;
  for (;;) {
    const written = writer.tryWrite(Buffer.alloc(4096));
    if (written === null) return total;
    total += written;
  }
}

/** Takes exactly so many bytes out of it. */
export async function readExactly(reader: PipeReader, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let left = length; left > 0; ) {
    const chunk = await reader.read({ size: left });
    if (chunk === undefined) throw new Error(`the pipe ended, and ${left} bytes were missing`);
    chunks.push(chunk);
    left -= chunk.length;
  }
  return Buffer.concat(chunks);
}

/** Everything up to the end. */
export async function readAll(reader: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of reader) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** For many bytes: toEqual() takes a second for each hundred thousand. */
export function expectBytes(actual: unknown, expected: Buffer): void {
  if (!(actual instanceof Buffer && actual.equals(expected))) expect(actual).toEqual(expected);
}

/** Of this process. */
export function threads(): number {
  return readdirSync('/proc/self/task').length;
}

/** Looks in every turn of the event loop until it holds: for what nobody tells. The test's watchdog ends what never comes. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

/** For the head of a test file: afterwards this process has the descriptors that it had before. */
export function leavesNothingOpen(): void {
  let before: string[];
  beforeAll(async () => {
    // What an event loop has for good comes with the first wait, and with the first call on a thread.
    const { reader, writer } = createPipe();
    await reader.read({ timeout: 1 }).catch(() => {});
    await reader.tee(writer, 1, { timeout: 1 }).catch(() => {});
    reader.close();
    writer.close();
    before = await openDescriptors();
  });
  afterAll(async () => {
    expect(await openDescriptors()).toEqual(before);
  });
}
