/** Wrong arguments of every public call, closed ends, descriptors of something else; and nothing is left behind. */
import { closeSync, openSync } from 'node:fs';
import { inspect } from 'node:util';
import { createPipe, Fifo, PipeReader, PipeWriter, socketPair } from 'interproc';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { failureOf, misuse, systemError, type Wrong } from '../support/failures.js';
import { openDescriptors } from '../support/leaks.js';
import { clean, runPeer } from '../support/peer.js';
import { leavesNothingOpen, openPipe } from '../support/pipes.js';

leavesNothingOpen();

let reader: PipeReader;
let writer: PipeWriter;

beforeAll(() => {
  ({ reader, writer } = createPipe());
});

afterAll(() => {
  expect(reader.tryRead()).toBeNull();
  reader.close();
  writer.close();
});

type Call = [title: string, call: (value: Wrong) => unknown];

const wrongType = (subject: string) => misuse('TypeError', 'ERR_INVALID_ARG_TYPE', subject);
const outOfRange = (subject: string) => misuse('RangeError', 'ERR_OUT_OF_RANGE', subject);

const withOptions: Call[] = [
  ['createPipe', (options) => createPipe(options)],
  ['PipeReader.fromFd', (options) => PipeReader.fromFd(reader.fd, options)],
  ['PipeWriter.fromFd', (options) => PipeWriter.fromFd(writer.fd, options)],
  ['Fifo.create', (options) => Fifo.create('/nowhere/fifo', options)],
  ['tryRead', (options) => reader.tryRead(options)],
  ['read', (options) => reader.read(options)],
  ['readSync', (options) => reader.readSync(options)],
  ['write', (options) => writer.write('x', options)],
  ['writev', (options) => writer.writev(['x'], options)],
  ['writeSync', (options) => writer.writeSync('x', options)],
  ['spliceTo', (options) => reader.spliceTo(1, 1, options)],
  ['tee', (options) => reader.tee(writer, 1, options)],
];

describe.each(withOptions)('%s', (_, call) => {
  it.each([null, 5, 'x', []].map((wrong) => [inspect(wrong), wrong]))(
    'refuses %s as its options',
    async (_, wrong) => {
      expect(await failureOf(() => call(wrong))).toEqual(wrongType('options'));
    },
  );
});

const waiting: Call[] = [
  ['read', (options) => reader.read(options)],
  ['readSync', (options) => reader.readSync(options)],
  ['spliceTo', (options) => reader.spliceTo(1, 1, options)],
  ['spliceToSync', (options) => reader.spliceToSync(1, 1, options)],
  ['tee', (options) => reader.tee(writer, 1, options)],
];

describe.each(waiting)('%s', (title, call) => {
  it('refuses a timeout that is none', async () => {
    expect(await failureOf(() => call({ timeout: '5' }))).toEqual(wrongType('options.timeout'));
    for (const timeout of [-1, Number.NaN]) {
      expect(await failureOf(() => call({ timeout }))).toEqual(outOfRange('options.timeout'));
    }
  });

  it('refuses a signal that is none', async () => {
    if (title.endsWith('Sync')) return;
    expect(await failureOf(() => call({ signal: {} }))).toEqual(wrongType('options.signal'));
  });
});

const reading: Call[] = [
  ['tryRead', (options) => reader.tryRead(options)],
  ['read', (options) => reader.read(options)],
  ['readSync', (options) => reader.readSync(options)],
];

describe.each(reading)('%s', (_, call) => {
  it('refuses what is no memory, empty memory and memory that was moved away', async () => {
    for (const into of [null, 5, 'x', [], {}]) {
      expect(await failureOf(() => call({ into }))).toEqual(wrongType('options.into'));
    }
    const moved = new Uint8Array(8);
    structuredClone(moved, { transfer: [moved.buffer] });
    for (const into of [new Uint8Array(0), new ArrayBuffer(0), moved]) {
      expect(await failureOf(() => call({ into }))).toEqual(
        misuse('TypeError', 'ERR_INVALID_ARG_VALUE', 'options.into'),
      );
    }
  });

  it('refuses sizes out of range', async () => {
    expect(await failureOf(() => call({ size: '5' }))).toEqual(wrongType('options.size'));
    for (const size of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]) {
      expect(await failureOf(() => call({ size }))).toEqual(outOfRange('options.size'));
    }
  });
});

const writing: Call[] = [
  ['tryWrite', (data) => writer.tryWrite(data)],
  ['write', (data) => writer.write(data)],
  ['writeSync', (data) => writer.writeSync(data)],
  ['tryWritev', (data) => writer.tryWritev([data])],
  ['writev', (data) => writer.writev([data])],
  ['writevSync', (data) => writer.writevSync([data])],
];

describe.each(writing)('%s', (title, call) => {
  it('refuses what is no data, and data that was moved away', async () => {
    const subject = title.includes('writev') || title.includes('Writev') ? 'list[0]' : 'data';
    for (const wrong of [undefined, null, 5, 5n, {}, [], Symbol('x'), () => {}]) {
      expect(await failureOf(() => call(wrong))).toEqual(wrongType(subject));
    }
    const moved = new Uint8Array(8);
    structuredClone(moved, { transfer: [moved.buffer] });
    expect(await failureOf(() => call(moved))).toEqual(misuse('TypeError', 'ERR_INVALID_ARG_VALUE', subject));
  });
});

it.each([
  ['tryWritev', (list: Wrong) => writer.tryWritev(list)],
  ['writev', (list: Wrong) => writer.writev(list)],
  ['writevSync', (list: Wrong) => writer.writevSync(list)],
])('%s refuses what is no list', async (_, call) => {
  for (const wrong of [undefined, null, 5, 'x', {}, Buffer.from('x')]) {
    expect(await failureOf(() => call(wrong))).toEqual(wrongType('list'));
  }
});

describe('createPipe', () => {
  it('refuses capacities out of range, and flags that are none', () => {
    for (const capacity of [0, -1, 1.5, Number.NaN, 2 ** 31]) {
      expect(() => createPipe({ capacity })).toThrow(outOfRange('options.capacity'));
      expect(() => {
        writer.capacity = capacity;
      }).toThrow(outOfRange('capacity'));
    }
    expect(() => createPipe({ capacity: '5' as Wrong })).toThrow(wrongType('options.capacity'));
    expect(() => createPipe({ packet: 1 as Wrong })).toThrow(wrongType('options.packet'));
  });

  it('says which limit a capacity is above, and leaves no pipe', async () => {
    const source = `
      import { readdirSync } from 'node:fs';
      if (process.getuid() === 0) { process.setgroups([]); process.setgid(65534); process.setuid(65534); }
      const fds = () => readdirSync('/proc/self/fd').length;
      const before = fds();
      const refused = { name: 'IpcError', code: 'EPERM', syscall: 'F_SETPIPE_SZ', message: /fs\\.pipe-max-size/ };
      assert.throws(() => createPipe({ capacity: 2 ** 30 }), refused);
      assert.equal(fds(), before);
      const { reader, writer } = createPipe();
      assert.throws(() => { reader.capacity = 2 ** 30; }, refused);
      writer.writeSync(Buffer.alloc(10_000));
      assert.throws(() => { writer.capacity = 4096; }, { code: 'EBUSY', syscall: 'F_SETPIPE_SZ', message: /in the pipe now/ });
      assert.equal(writer.capacity, 65_536);`;
    expect(await runPeer(source)).toMatchObject(clean);
  });

  it('says EMFILE where there are no descriptors, with the limit', async () => {
    const source = `
      const pipes = [];
      const error = (() => { for (;;) try { pipes.push(createPipe()); } catch (error) { return error; } })();
      pipes.length = 0;
      assert.equal(error.code, 'EMFILE');
      assert.match(error.message, /may have 200 open files/);`;
    expect(await runPeer(source, { wrapper: ['prlimit', '--nofile=200'] })).toMatchObject(clean);
  });
});

describe('fromFd', () => {
  it('refuses what is no pipe, what is not open for that, and what is not open', async () => {
    const file = openSync('/proc/self/exe', 'r');
    const [socket, other] = socketPair('stream');
    onTestFinished(() => {
      closeSync(file);
      socket.close();
      other.close();
    });
    for (const kind of [PipeReader, PipeWriter]) {
      for (const fd of [file, socket.fd]) {
        expect(() => kind.fromFd(fd)).toThrow(systemError('EINVAL', 'pipe'));
        expect(() => kind.fromFd(fd)).toThrow('the descriptor is of no pipe');
      }
      expect(() => kind.fromFd(999_999)).toThrow(systemError('EBADF', 'fcntl'));
      expect(() => kind.fromFd('1' as Wrong)).toThrow(wrongType('fd'));
      for (const fd of [-1, 1.5, 2 ** 31]) expect(() => kind.fromFd(fd)).toThrow(outOfRange('fd'));
    }
    expect(() => PipeReader.fromFd(writer.fd)).toThrow(systemError('EBADF', 'pipe'));
    expect(() => PipeWriter.fromFd(reader.fd)).toThrow(systemError('EBADF', 'pipe'));
  });
});

describe('a closed end', () => {
  it('refuses everything but being closed again', async () => {
    const { reader, writer } = openPipe();
    const open = openPipe();
    reader.close();
    reader.close();
    writer[Symbol.dispose]();
    const calls: (() => unknown)[] = [
      () => reader.fd,
      () => reader.capacity,
      () => reader.bytesAvailable,
      () => reader.detach(),
      () => reader.tryRead(),
      () => reader.read(),
      () => reader.readSync(),
      () => reader.toReadable(),
      () => reader.toWeb(),
      () => reader.trySpliceTo(1, 1),
      () => reader.spliceTo(1, 1),
      () => reader.spliceToSync(1, 1),
      () => reader.tryTee(open.writer, 1),
      () => reader.tee(open.writer, 1),
      () => reader.teeSync(open.writer, 1),
      () => open.reader.tryTee(writer, 1),
      () => open.reader.tee(writer, 1),
      () => {
        writer.capacity = 4096;
      },
      () => writer.tryWrite('x'),
      () => writer.write('x'),
      () => writer.writeSync('x'),
      () => writer.tryWritev(['x']),
      () => writer.writev(['x']),
      () => writer.writevSync(['x']),
      () => writer.toWritable(),
      () => writer.toWeb(),
      () => writer.trySpliceFrom(1, 1),
      () => writer.spliceFrom(1, 1),
      () => writer.spliceFromSync(1, 1),
    ];
    for (const call of calls) {
      expect(await failureOf(call), String(call)).toMatchObject({
        name: 'IpcError',
        code: 'ERR_INTERPROC_CLOSED',
      });
    }
    expect([reader.closed, writer.closed]).toEqual([true, true]);
    reader.ref().unref();
  });
});

it('only factories make ends of pipes, and nothing makes a Fifo', () => {
  const illegal = expect.objectContaining({ code: 'ERR_ILLEGAL_CONSTRUCTOR' });
  for (const kind of [PipeReader, PipeWriter, Fifo]) expect(() => new (kind as Wrong)()).toThrow(illegal);
});

it('an end that nobody can reach any more is closed', async () => {
  const before = await openDescriptors();
  (() => {
    for (let i = 0; i < 20; i++) createPipe().writer.tryWrite('x');
  })();
  expect(await openDescriptors()).toEqual(before);
});
