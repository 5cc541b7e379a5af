/** What a tee and the calls of the pipe that it copies into do to each other. */
import { describe, expect, it } from 'vitest';
import { failureOf } from '../support/failures.js';
import { fill, leavesNothingOpen, openPipe, readExactly } from '../support/pipes.js';

leavesNothingOpen();

const code = (expected: string) => expect.objectContaining({ name: 'IpcError', code: expected });

/** A pipe with `bytes`, and another one. */
function twoPipes(bytes = '') {
  const source = openPipe();
  source.writer.tryWrite(bytes);
  return { source, target: openPipe() };
}

describe('tee', () => {
  it('ends when the pipe that it waits to copy into is closed, whose reader sees the end', async () => {
    const { source, target } = twoPipes();
    const copying = failureOf(() => source.reader.tee(target.writer, 5));
    target.writer.close();
    expect(await copying).toEqual(code('ERR_INTERPROC_CLOSED'));
    expect(await target.reader.read()).toBeUndefined();
    source.writer.tryWrite('hello');
    expect(source.reader.tryRead()).toEqual(Buffer.from('hello'));
  });

  it('behind another call of its reader ends so, too, and harms nobody', async () => {
    const { source, target } = twoPipes();
    const first = source.reader.read();
    const copying = failureOf(() => source.reader.tee(target.writer, 5));
    const last = source.reader.read();
    target.writer.close();
    source.writer.tryWrite('one');
    expect(await first).toEqual(Buffer.from('one'));
    expect(await copying).toEqual(code('ERR_INTERPROC_CLOSED'));
    source.writer.tryWrite('two');
    expect(await last).toEqual(Buffer.from('two'));
  });

  it('at once leaves the turn to writes that wait', async () => {
    const { source, target } = twoPipes('tee');
    const filled = fill(target.writer);
    const writing = target.writer.write('written');
    target.reader.tryRead({ size: 8192 });
    expect(source.reader.tryTee(target.writer, 3)).toBeNull();
    expect(() => source.reader.teeSync(target.writer, 3)).toThrow(code('ERR_INTERPROC_BUSY'));
    await writing;
    expect(source.reader.tryTee(target.writer, 3)).toBe(3);
    await readExactly(target.reader, filled - 8192);
    expect(`${target.reader.tryRead()}`).toBe('writtentee');
  });

  it('is refused by a writer that ended half-way', async () => {
    const { source, target } = twoPipes('tee');
    await failureOf(() => target.writer.write(Buffer.alloc(100_000), { timeout: 0 }));
    await readExactly(target.reader, 65_536);
    expect(() => source.reader.tryTee(target.writer, 3)).toThrow(code('ERR_INTERPROC_TORN'));
    expect(() => source.reader.teeSync(target.writer, 3)).toThrow(code('ERR_INTERPROC_TORN'));
    expect(await failureOf(() => source.reader.tee(target.writer, 3))).toEqual(code('ERR_INTERPROC_TORN'));
    expect(target.reader.tryRead()).toBeNull();
  });
});
