/** What ends a call before it is done: a timeout, a signal, close(). */
import { createPipe, type PipeReader, type PipeWriter } from 'interproc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failureOf, misuse, type Wrong } from '../support/failures.js';
import { expectBytes, fill, leavesNothingOpen, openPipe, pattern, readExactly } from '../support/pipes.js';

leavesNothingOpen();

type Options = { timeout?: number; signal?: AbortSignal };
const reads: [title: string, read: (reader: PipeReader, options?: Options) => unknown][] = [
  ['read', (reader, options) => reader.read(options)],
  ['readSync', (reader, options) => reader.readSync(options)],
];
const writes: [title: string, write: (writer: PipeWriter, data: Buffer, options?: Options) => unknown][] = [
  ['write', (writer, data, options) => writer.write(data, options)],
  ['writeSync', (writer, data, options) => writer.writeSync(data, options)],
  ['writev', (writer, data, options) => writer.writev([data], options)],
  ['writevSync', (writer, data, options) => writer.writevSync([data], options)],
];
const asynchronous = writes.filter(([title]) => !title.endsWith('Sync'));

const timedOut = (syscall: string) => ({ name: 'IpcError', code: 'ETIMEDOUT', syscall });
const aborted = { name: 'AbortError', code: 'ABORT_ERR' };
const closed = { name: 'IpcError', code: 'ERR_INTERPROC_CLOSED' };
const torn = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_TORN' });

describe.each(reads)('%s', (_, read) => {
  it('ends by its timeout, takes nothing, and the next one gets what comes', async () => {
    const { reader, writer } = openPipe();
    expect(await failureOf(() => read(reader, { timeout: 5 }))).toMatchObject(timedOut('read'));
    writer.tryWrite('later');
    expect(await read(reader, { timeout: 5 })).toEqual(Buffer.from('later'));
  });

  it('with a timeout of 0 is one try', async () => {
    const { reader, writer } = openPipe();
    expect(await failureOf(() => read(reader, { timeout: 0 }))).toMatchObject(timedOut('read'));
    writer.tryWrite('now');
    expect(await read(reader, { timeout: 0 })).toEqual(Buffer.from('now'));
    writer.close();
    expect(await read(reader, { timeout: 0 })).toBeUndefined();
  });
});

describe.each(writes)('%s', (_, write) => {
  it('that times out before its first byte leaves the writer whole', async () => {
    const { reader, writer } = openPipe();
    const filled = fill(writer);
    for (const timeout of [0, 5]) {
      const error = await failureOf(() => write(writer, pattern(100), { timeout }));
      expect(error).toMatchObject({ ...timedOut('write'), bytesWritten: 0 });
    }
    await readExactly(reader, filled);
    await write(writer, pattern(100));
    expect(reader.tryRead()).toEqual(pattern(100));
  });

  it('that times out half-way tells how far it came, and the writer takes no more', async () => {
    const { reader, writer } = openPipe();
    const error = await failureOf(() => write(writer, pattern(100_000), { timeout: 5 }));
    expect(error).toMatchObject({ ...timedOut('write'), bytesWritten: 65_536 });
    expectBytes(await readExactly(reader, 65_536), pattern(100_000).subarray(0, 65_536));
    for (const [each, next] of writes) {
      expect(await failureOf(() => next(writer, Buffer.from('more'))), each).toEqual(torn);
    }
    expect(() => writer.tryWrite('more')).toThrow(torn);
    expect(() => writer.tryWritev(['more'])).toThrow(torn);
    expect(() => writer.trySpliceFrom(reader, 1)).toThrow(torn);
    expect(reader.tryRead()).toBeNull();
    writer.close();
    expect(reader.tryRead()).toBeUndefined();
  });
});

describe.each(asynchronous)('an abort of %s', (_, write) => {
  it('half-way tells how far it came; those behind hear that the writer takes no more', async () => {
    const { reader, writer } = openPipe();
    const abort = new AbortController();
    const first = failureOf(() => write(writer, pattern(100_000), { signal: abort.signal }));
    const second = failureOf(() => write(writer, pattern(10)));
    abort.abort(new Error('enough'));
    expect(await first).toMatchObject({ ...aborted, bytesWritten: 65_536, cause: { message: 'enough' } });
    expect(await second).toMatchObject({ code: 'ERR_INTERPROC_TORN', bytesWritten: 0 });
    expect(reader.bytesAvailable).toBe(65_536);
  });

  it('of one that waits behind others harms none of them', async () => {
    const { reader, writer } = openPipe();
    const abort = new AbortController();
    const first = write(writer, pattern(100_000, 1));
    const second = failureOf(() => write(writer, pattern(50_000, 2), { signal: abort.signal }));
    const third = write(writer, pattern(1000, 3));
    abort.abort();
    expect(await second).toMatchObject({ ...aborted, bytesWritten: 0 });
    expectBytes(await readExactly(reader, 101_000), Buffer.concat([pattern(100_000, 1), pattern(1000, 3)]));
    await Promise.all([first, third]);
  });
});

describe('an abort', () => {
  it('of a read leaves the bytes that come in the same tick to the next one', async () => {
    const { reader, writer } = openPipe();
    const abort = new AbortController();
    const read = failureOf(() => reader.read({ signal: abort.signal }));
    writer.tryWrite('bytes');
    abort.abort();
    expect(await read).toMatchObject(aborted);
    expect(reader.tryRead()).toEqual(Buffer.from('bytes'));
  });

  it('after the result changes nothing', async () => {
    const { reader, writer } = openPipe();
    const abort = new AbortController();
    writer.tryWrite('bytes');
    const read = reader.read({ signal: abort.signal });
    const written = writer.write('more', { signal: abort.signal });
    abort.abort();
    expect(await read).toEqual(Buffer.from('bytes'));
    expect(await written).toBeUndefined();
  });

  it('either ends a read or comes too late for it: no byte is lost, none comes twice', async () => {
    const { reader, writer } = openPipe();
    let got = '';
    for (let round = 0; round < 300; round++) {
      const abort = new AbortController();
      const read = reader.read({ signal: abort.signal }).catch(() => Buffer.alloc(0));
      // The pipe tells in a later turn, in which the abort comes, too, before or after that.
      setImmediate(() => writer.tryWrite(`${round} `));
      if (round % 3 === 0) setImmediate(() => abort.abort());
      else setTimeout(() => abort.abort(), round % 3);
      got += await read;
    }
    await new Promise((resolve) => setImmediate(resolve));
    got += reader.tryRead() ?? '';
    expect(got).toBe(Array.from({ length: 300 }, (_, round) => `${round} `).join(''));
  });

  it('that came before the call begins nothing', async () => {
    const { reader, writer } = openPipe();
    const signal = AbortSignal.abort();
    writer.tryWrite('bytes');
    expect(await failureOf(() => reader.read({ signal }))).toMatchObject(aborted);
    expect(await failureOf(() => reader.spliceTo(writer, 1, { signal }))).toMatchObject(aborted);
    expect(await failureOf(() => reader.tee(writer, 1, { signal }))).toMatchObject(aborted);
    for (const [title, write] of asynchronous) {
      const error = await failureOf(() => write(writer, Buffer.from('x'), { signal }));
      expect(error, title).toMatchObject({ ...aborted, bytesWritten: 0 });
    }
    expect(reader.tryRead()).toEqual(Buffer.from('bytes'));
  });

  it('leaves no listener behind', async () => {
    const { reader, writer } = openPipe();
    const { signal } = new AbortController();
    let listeners = 0;
    const counted = new Proxy(signal, {
      getPrototypeOf: () => AbortSignal.prototype,
      get: (target, key) => {
        const value = Reflect.get(target, key, target);
        if (key === 'addEventListener') listeners++;
        if (key === 'removeEventListener') listeners--;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const read = reader.read({ signal: counted });
    await writer.write('x', { signal: counted });
    await read;
    await failureOf(() => reader.read({ signal: counted, timeout: 1 }));
    expect(listeners).toBe(0);
  });
});

describe('a timeout', () => {
  it('that is late, as the thread was busy, ends no call that can be done by then', async () => {
    const { reader, writer } = openPipe();
    await new Promise((resolve) => setImmediate(resolve)); // timers are what comes next
    const read = reader.read({ timeout: 1 });
    const full = openPipe();
    fill(full.writer);
    const written = full.writer.write('room', { timeout: 1 });
    writer.tryWrite('bytes');
    full.reader.tryRead();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    expect(await read).toEqual(Buffer.from('bytes'));
    expect(await written).toBeUndefined();
  });
});

describe('close()', () => {
  it('settles what waits in this very tick', async () => {
    const { reader, writer } = openPipe();
    const settled: string[] = [];
    const note = (title: string) => () => settled.push(title);
    reader.read().catch(note('read'));
    const full = openPipe();
    full.writer.write(pattern(100_000)).catch(note('write'));
    writer.spliceFrom(openPipe().reader, 1).catch(note('splice'));
    for (const end of [reader, writer, full.writer]) end.close();
    await new Promise<void>((resolve) => process.nextTick(resolve));
    expect(settled.sort()).toEqual(['read', 'splice', 'write']);
  });

  it('rejects all reads that wait', async () => {
    const { reader } = openPipe();
    const waiting = Array.from({ length: 5 }, () => failureOf(() => reader.read()));
    const timed = failureOf(() => reader.read({ timeout: 1000 }));
    reader.close();
    reader.close();
    for (const each of await Promise.all([...waiting, timed])) expect(each).toMatchObject(closed);
  });

  it('rejects the write in the middle and those behind it, which tell how far they came', async () => {
    const { writer } = openPipe();
    const waiting = [100_000, 10, 10].map((length) => failureOf(() => writer.write(pattern(length))));
    writer.close();
    const [first, ...others] = await Promise.all(waiting);
    expect(first).toMatchObject({ ...closed, bytesWritten: 65_536 });
    for (const each of others) expect(each).toMatchObject({ ...closed, bytesWritten: 0 });
  });

  it('in the tick in which bytes have come rejects all the same', async () => {
    const { reader, writer } = openPipe();
    const read = failureOf(() => reader.read());
    writer.tryWrite('unread');
    reader.close();
    expect(await read).toMatchObject(closed);
  });

  it('by what settles a call ends the others', async () => {
    const { reader, writer } = openPipe();
    const first = reader.read({ size: 1 }).then(() => reader.close());
    const second = failureOf(() => reader.read({ size: 1 }));
    writer.tryWrite('a');
    await first;
    expect(await second).toMatchObject(closed);
  });
});

describe('a wrong', () => {
  let reader: PipeReader;
  let writer: PipeWriter;
  beforeAll(() => {
    ({ reader, writer } = createPipe());
  });
  afterAll(() => {
    reader.close();
    writer.close();
  });
  type Call = [title: string, call: (options: Wrong) => unknown];
  const calls: Call[] = [
    ...reads.map(([title, read]) => [title, (options: Wrong) => read(reader, options)] as Call),
    ...writes.map(
      ([title, write]) => [title, (options: Wrong) => write(writer, Buffer.from('x'), options)] as Call,
    ),
    ['spliceTo', (options) => reader.spliceTo(0, 1, options)],
    ['spliceToSync', (options) => reader.spliceToSync(0, 1, options)],
    ['spliceFrom', (options) => writer.spliceFrom(0, 1, options)],
    ['spliceFromSync', (options) => writer.spliceFromSync(0, 1, options)],
    ['tee', (options) => reader.tee(writer, 1, options)],
    ['teeSync', (options) => reader.teeSync(writer, 1, options)],
  ];

  it.each(calls)('timeout is refused before anything is done: %s', async (_, call) => {
    for (const timeout of ['5', null, 5n, {}]) {
      expect(await failureOf(() => call({ timeout }))).toEqual(
        misuse('TypeError', 'ERR_INVALID_ARG_TYPE', '"options.timeout" property must be of type number'),
      );
    }
    for (const timeout of [-1, Number.NaN, Number.NEGATIVE_INFINITY]) {
      expect(await failureOf(() => call({ timeout }))).toEqual(
        misuse('RangeError', 'ERR_OUT_OF_RANGE', '"options.timeout" is out of range. It must be >= 0'),
      );
    }
    expect(reader.tryRead()).toBeNull();
  });

  it.each(calls.filter(([title]) => !title.endsWith('Sync')))('signal is refused: %s', async (_, call) => {
    for (const signal of [null, 'abort', {}, new EventTarget(), new AbortController()]) {
      expect(await failureOf(() => call({ signal }))).toEqual(
        misuse(
          'TypeError',
          'ERR_INVALID_ARG_TYPE',
          '"options.signal" property must be an instance of AbortSignal',
        ),
      );
    }
    expect(reader.tryRead()).toBeNull();
  });
});
