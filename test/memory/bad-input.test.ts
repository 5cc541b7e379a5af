/** Wrong types and numbers in every public call: Node's own errors for misuse, and nothing is left behind. */
import { inspect } from 'node:util';
import { ftok, MappedFile, SharedMemory, SysvSharedMemory } from 'interproc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failureOf, misuse, type Wrong } from '../support/failures.js';
import { type Holdings, holdings } from '../support/leaks.js';
import { prefix } from '../support/names.js';

// Never made: each call here fails before.
const name = `/${prefix}never`;
const path = `/tmp/${prefix}never`;
const key = 0x1234_5678;
const pageSize = 4096;
const maxSize = Number.MAX_SAFE_INTEGER;

let heldBefore: Holdings;
let memory: SharedMemory;
let segment: SysvSharedMemory;

beforeAll(async () => {
  memory = SharedMemory.anonymous({ size: pageSize });
  segment = SysvSharedMemory.create(null, { size: pageSize });
  segment.remove();
  heldBefore = await holdings();
});

afterAll(async () => {
  expect(await holdings()).toEqual(heldBefore);
  expect(memory.stat().size).toBe(pageSize);
  memory.close();
  segment.close();
  expect(SharedMemory.list().filter((entry) => entry.name === name)).toEqual([]);
  expect(SysvSharedMemory.list().filter((entry) => entry.key === key)).toEqual([]);
});

/** A call with one argument or option left open, which is called `subject` in messages. */
type Call = [title: string, subject: string, call: (value: Wrong) => unknown];

const creators: [title: string, call: (options: Wrong) => unknown][] = [
  ['SharedMemory.create', (options) => SharedMemory.create(name, options)],
  ['SharedMemory.openOrCreate', (options) => SharedMemory.openOrCreate(name, options)],
  ['SharedMemory.anonymous', (options) => SharedMemory.anonymous(options)],
  ['MappedFile.create', (options) => MappedFile.create(path, options)],
  ['MappedFile.openOrCreate', (options) => MappedFile.openOrCreate(path, options)],
  ['SysvSharedMemory.create', (options) => SysvSharedMemory.create(key, options)],
  ['SysvSharedMemory.openOrCreate', (options) => SysvSharedMemory.openOrCreate(key, options)],
];

const openers: [title: string, call: (options: Wrong) => unknown][] = [
  ['SharedMemory.open', (options) => SharedMemory.open(name, options)],
  ['SharedMemory.fromFd', (options) => SharedMemory.fromFd(memory.fd, options)],
  ['MappedFile.open', (options) => MappedFile.open(path, options)],
  ['SysvSharedMemory.open', (options) => SysvSharedMemory.open(key, options)],
  ['SysvSharedMemory.fromId', (options) => SysvSharedMemory.fromId(segment.id, options)],
];

const ranged: [title: string, call: (range: Wrong) => unknown][] = [
  ['map', (range) => memory.map(range)],
  ['lock', (range) => memory.lock(range)],
  ['unlock', (range) => memory.unlock(range)],
  ['advise', (range) => memory.advise('normal', range)],
  ['sync', (range) => memory.sync(range)],
  ['syncSync', (range) => memory.syncSync(range)],
  ['lock of a segment', (range) => segment.lock(range)],
  ['lock of a window', (range) => withWindow((window) => window.lock(range))],
];

function withWindow(use: (window: ReturnType<SharedMemory['map']>) => unknown): unknown {
  using window = memory.map();
  return use(window);
}

function option(
  of: [title: string, call: (options: Wrong) => unknown][],
  option: string,
  others: object = {},
): Call[] {
  return of.map(([title, call]) => [
    title,
    `options.${option}`,
    (value) => call({ ...others, [option]: value }),
  ]);
}

type Numeric = [...Call, least: number, most: number];

function within(least: number, most: number, calls: Call[]): Numeric[] {
  return calls.map((call) => [...call, least, most]);
}

describe('a number', () => {
  const numbers: Numeric[] = [
    ...within(1, maxSize, option(creators, 'size')),
    ['resize', 'size', (value) => memory.resize(value), 1, maxSize],
    ...within(0, 0o777, option(creators, 'mode', { size: 1 })),
    ...within(0, 0xffff_fffe, option(creators, 'uid', { size: 1 })),
    ...within(0, 0xffff_fffe, option(creators, 'gid', { size: 1 })),
    ['set', 'options.mode', (mode) => segment.set({ mode }), 0, 0o777],
    ['set', 'options.uid', (uid) => segment.set({ uid }), 0, 0xffff_fffe],
    ['set', 'options.gid', (gid) => segment.set({ gid }), 0, 0xffff_fffe],
    ['SharedMemory.fromFd', 'fd', (fd) => SharedMemory.fromFd(fd), 0, 0x7fff_ffff],
    ['SysvSharedMemory.fromId', 'id', (id) => SysvSharedMemory.fromId(id), 0, 0x7fff_ffff],
    ['SysvSharedMemory.remove', 'id', (id) => SysvSharedMemory.remove(id), 0, 0x7fff_ffff],
    [
      'SysvSharedMemory.create',
      'key',
      (value) => SysvSharedMemory.create(value, { size: 1 }),
      -0x8000_0000,
      0xffff_ffff,
    ],
    ['SysvSharedMemory.open', 'key', (value) => SysvSharedMemory.open(value), -0x8000_0000, 0xffff_ffff],
    [
      'SysvSharedMemory.openOrCreate',
      'key',
      (value) => SysvSharedMemory.openOrCreate(value, { size: 1 }),
      -0x8000_0000,
      0xffff_ffff,
    ],
    ['ftok', 'projectId', (value) => ftok('/tmp', value), -0x8000_0000, 0xffff_ffff],
    ...within(0, pageSize, option(ranged, 'offset')),
    ...within(0, pageSize, option(ranged, 'length')),
  ];

  it.each(numbers)('of a wrong type is a TypeError: %s, %s', async (_, subject, call) => {
    for (const value of ['4096', true, 1n, {}, [1], Symbol('1'), () => 1]) {
      expect(await failureOf(() => call(value)), inspect(value)).toEqual(
        misuse(
          'TypeError',
          'ERR_INVALID_ARG_TYPE',
          `"${subject}" ${subject.includes('.') ? 'property' : 'argument'} must be of type number`,
        ),
      );
    }
  });

  it.each(numbers)('that is none, or no whole one, is a RangeError: %s, %s', async (_, subject, call) => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0.5, 1.5, -0.1]) {
      expect(await failureOf(() => call(value)), String(value)).toEqual(
        misuse(
          'RangeError',
          'ERR_OUT_OF_RANGE',
          `"${subject}" is out of range. It must be an integer. Received ${value}`,
        ),
      );
    }
  });

  it.each(numbers)(
    'below the least or above the most is a RangeError: %s, %s',
    async (_, subject, call, least, most) => {
      const values = [least - 1, most + 1, -Number.MAX_VALUE, Number.MAX_VALUE];
      for (const value of values) {
        expect(await failureOf(() => call(value)), String(value)).toEqual(
          misuse(
            'RangeError',
            'ERR_OUT_OF_RANGE',
            `"${subject}" is out of range. It must be >= ${least} && <= ${most}`,
          ),
        );
      }
    },
  );

  const required = numbers.filter(([, subject]) => !/mode|uid|gid|offset|length/.test(subject));
  it.each(required)('that must be there is a TypeError where it is not: %s, %s', (_, subject, call) => {
    expect(() => call(undefined)).toThrow(misuse('TypeError', 'ERR_INVALID_ARG_TYPE', `"${subject}"`));
  });

  it('0 is no System V key, as C would take it for none', () => {
    for (const zero of [0, -0, 2 ** 32 - 2 ** 32]) {
      const refused = misuse('TypeError', 'ERR_INVALID_ARG_VALUE', '"key" argument must not be 0');
      expect(() => SysvSharedMemory.create(zero, { size: 1 })).toThrow(refused);
      expect(() => SysvSharedMemory.open(zero)).toThrow(refused);
      expect(() => SysvSharedMemory.openOrCreate(zero, { size: 1 })).toThrow(refused);
    }
  });

  it('null is no key that leads to a segment', () => {
    const refused = misuse(
      'TypeError',
      'ERR_INVALID_ARG_VALUE',
      '"key" argument must not be null here: fromId()',
    );
    expect(() => SysvSharedMemory.open(null as Wrong)).toThrow(refused);
    expect(() => SysvSharedMemory.openOrCreate(null as Wrong, { size: 1 })).toThrow(refused);
  });

  it('of bytes to a window is a multiple of 8', () => {
    for (const offset of [1, 4, 7, pageSize - 1]) {
      expect(() => memory.map({ offset })).toThrow(
        misuse('RangeError', 'ERR_OUT_OF_RANGE', 'It must be a multiple of 8'),
      );
    }
  });

  it('of a range that ends behind the end is out of range', async () => {
    for (const [title, call] of ranged) {
      expect(await failureOf(() => call({ offset: 8, length: pageSize - 7 })), title).toEqual(
        misuse(
          'RangeError',
          'ERR_OUT_OF_RANGE',
          `"options.length" is out of range. It must be >= 0 && <= ${pageSize - 8}`,
        ),
      );
    }
  });
});

describe('a flag', () => {
  const flags: Call[] = [
    ...option(
      creators.filter(([title]) => !title.startsWith('Sysv')),
      'reserve',
      { size: 1 },
    ),
    ...option(creators, 'sharedArrayBuffer', { size: 1 }),
    ...option(openers, 'readOnly'),
    ...option(openers, 'sharedArrayBuffer'),
    ['resize', 'options.reserve', (reserve) => memory.resize(1, { reserve })],
    ['lock', 'options.onFault', (onFault) => memory.lock({ onFault })],
  ];

  it.each(flags)('is true or false, and nothing like it: %s, %s', (_, subject, call) => {
    for (const value of ['true', '', 0, 1, null, {}, Symbol('true')]) {
      expect(() => call(value), inspect(value)).toThrow(
        misuse('TypeError', 'ERR_INVALID_ARG_TYPE', `"${subject}" property must be of type boolean`),
      );
    }
  });
});

describe('options', () => {
  const refused = misuse('TypeError', 'ERR_INVALID_ARG_TYPE', '"options" argument must be of type object');

  it.each([
    ...creators,
    ...openers,
    ...ranged,
    ['resize', (options: Wrong) => memory.resize(1, options)] as const,
    ['set', (options: Wrong) => segment.set(options)] as const,
  ])('are an object: %s', async (_, call) => {
    for (const value of [null, 4096, 'size', true, [], () => {}, Symbol('options')]) {
      expect(await failureOf(() => call(value)), inspect(value)).toEqual(refused);
    }
  });

  it.each([...creators, ['set', (options: Wrong) => segment.set(options)] as const])(
    'must be there: %s',
    (_, call) => {
      expect(() => call(undefined)).toThrow(refused);
    },
  );

  it('are checked by openOrCreate also where the object exists and they are not needed', () => {
    using named = SharedMemory.create(name, { size: pageSize });
    using file = MappedFile.create(path, { size: pageSize });
    using keyed = SysvSharedMemory.create(key, { size: pageSize });
    try {
      for (const [title, call] of creators.filter(([each]) => each.endsWith('openOrCreate'))) {
        expect(() => call({ size: -1 }), title).toThrow(
          misuse('RangeError', 'ERR_OUT_OF_RANGE', 'options.size'),
        );
        expect(() => call({ size: '1' }), title).toThrow(
          misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'options.size'),
        );
        expect(() => call({ size: 1, mode: -1 }), title).toThrow(
          misuse('RangeError', 'ERR_OUT_OF_RANGE', 'options.mode'),
        );
        expect(() => call({ size: 1, uid: 0.5 }), title).toThrow(
          misuse('RangeError', 'ERR_OUT_OF_RANGE', 'options.uid'),
        );
      }
    } finally {
      named.unlink();
      file.unlink();
      keyed.remove();
    }
  });
});
