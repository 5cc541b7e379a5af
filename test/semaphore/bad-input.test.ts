/** Wrong arguments of sets, of named semaphores, and of the addon below them: clear errors, and nothing is changed. */
import { writeFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { Semaphore, SysvSemaphoreSet } from 'interproc';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { failureOf, misuse, type Wrong } from '../support/failures.js';
import { semaphoreName } from '../support/names.js';
import { clean, runPeer } from '../support/peer.js';
import { makeSet } from '../support/sysv.js';

const typeError = (subject: string) => misuse('TypeError', 'ERR_INVALID_ARG_TYPE', subject);
const valueError = (subject: string) => misuse('TypeError', 'ERR_INVALID_ARG_VALUE', subject);
const rangeError = (subject: string) => misuse('RangeError', 'ERR_OUT_OF_RANGE', subject);

type Call = [title: string, call: (value: Wrong, ...more: Wrong[]) => unknown];

/** A key that no object has: what is made under it by mistake shows in the list. */
const never = 0x7e58_0000 + (process.pid & 0xffff);
let set: SysvSemaphoreSet;
const values = [4, 5, 6];

beforeEach(() => {
  set = makeSet({ count: 3, initial: values });
});

afterEach(() => {
  expect(SysvSemaphoreSet.fromId(set.id).getAll()).toEqual(values);
  expect(SysvSemaphoreSet.list().filter(({ key }) => key === never)).toEqual([]);
});

const operating: Call[] = [
  ['tryOp', (operations) => set.tryOp(operations)],
  ['op', (operations) => set.op(operations)],
  ['opSync', (operations) => set.opSync(operations)],
];
const waiting: Call[] = [
  ['op', (options) => set.op({ index: 0, delta: -1 }, options)],
  ['opSync', (options) => set.opSync({ index: 0, delta: -1 }, options)],
  ['open', (options) => SysvSemaphoreSet.open(never, options)],
  ['openSync', (options) => SysvSemaphoreSet.openSync(never, options)],
];
const making: Call[] = [
  ['create', (options) => SysvSemaphoreSet.create(never, options)],
  ['openOrCreate', (options) => SysvSemaphoreSet.openOrCreate(never, options)],
];
const keyed: Call[] = [
  ['create', (key) => SysvSemaphoreSet.create(key, { count: 1 })],
  ['openOrCreate', (key) => SysvSemaphoreSet.openOrCreate(key, { count: 1 })],
  ['open', (key) => SysvSemaphoreSet.open(key)],
  ['openSync', (key) => SysvSemaphoreSet.openSync(key)],
  ['tryOpen', (key) => SysvSemaphoreSet.tryOpen(key)],
];

describe('a key and an id', () => {
  it.each(keyed)('a key is a 32-bit number, and not 0: %s', async (title, call) => {
    for (const key of [undefined, '1', 1n, true, {}, [], Symbol('x')])
      expect(await failureOf(() => call(key)), inspect(key)).toEqual(typeError('"key" argument'));
    for (const key of [0.5, Number.NaN, 2 ** 32, -(2 ** 31) - 1])
      expect(await failureOf(() => call(key)), inspect(key)).toEqual(rangeError('"key"'));
    expect(await failureOf(() => call(0))).toEqual(valueError('IPC_PRIVATE'));
    if (title !== 'create') expect(await failureOf(() => call(null))).toEqual(valueError('fromId()'));
    if (title.startsWith('open') && title !== 'openOrCreate')
      expect(await failureOf(() => call(never))).toMatchObject({ code: 'ENOENT', syscall: 'semget' });
  });

  it('an id is a number from 0 on', () => {
    for (const call of [SysvSemaphoreSet.fromId, SysvSemaphoreSet.remove] as Wrong[]) {
      for (const id of [undefined, null, '1', 1n, {}])
        expect(() => call(id)).toThrow(typeError('"id" argument'));
      for (const id of [-1, 0.5, Number.NaN, 2 ** 31]) expect(() => call(id)).toThrow(rangeError('"id"'));
      expect(() => call(0x7fff_ffff)).toThrow(expect.objectContaining({ name: 'IpcError', code: 'EINVAL' }));
    }
  });
});

describe('options', () => {
  it.each([...waiting, ...making])('are an object: %s', async (title, call) => {
    for (const options of [null, 1, 'x', true, [], () => {}])
      expect(await failureOf(() => call(options)), inspect(options)).toEqual(typeError('"options" argument'));
    if (/reate/.test(title)) expect(await failureOf(() => call(undefined))).toEqual(typeError('"options"'));
  });

  it.each(making)('count, initial, mode, uid and gid are checked: %s', async (_, call) => {
    for (const count of [undefined, null, '1', 1n])
      expect(await failureOf(() => call({ count }))).toEqual(typeError('count'));
    for (const count of [0, -1, 0.5, 2 ** 16, Number.NaN])
      expect(await failureOf(() => call({ count }))).toEqual(rangeError('count'));
    for (const initial of ['1', 1n, {}, [1, '2'], [1, null]])
      expect(await failureOf(() => call({ count: 2, initial }))).toEqual(typeError('"options.initial'));
    for (const initial of [-1, 0.5, 32_768, [0, -1], [0, 40_000]])
      expect(await failureOf(() => call({ count: 2, initial }))).toEqual(rangeError('"options.initial'));
    for (const initial of [[], [1], [1, 2, 3]])
      expect(await failureOf(() => call({ count: 2, initial }))).toEqual(valueError('must have 2 values'));
    for (const key of ['mode', 'uid', 'gid']) {
      for (const value of ['1', null, 1n])
        expect(await failureOf(() => call({ count: 1, [key]: value })), key).toEqual(
          typeError(`${key}" property`),
        );
      for (const value of [-1, 0.5, 2 ** 33])
        expect(await failureOf(() => call({ count: 1, [key]: value })), key).toEqual(
          rangeError(`${key}" is out`),
        );
    }
  });

  it.each(waiting)('timeout is a number that is not negative: %s', async (_, call) => {
    for (const timeout of ['1', null, 1n])
      expect(await failureOf(() => call({ timeout }))).toEqual(typeError('timeout'));
    for (const timeout of [-1, Number.NaN])
      expect(await failureOf(() => call({ timeout }))).toEqual(rangeError('timeout'));
  });

  it.each(waiting.filter(([title]) => !title.endsWith('Sync')))(
    'signal is an AbortSignal: %s',
    async (_, call) => {
      for (const signal of [null, 'x', {}, new AbortController()])
        expect(await failureOf(() => call({ signal }))).toEqual(typeError('"options.signal" property'));
    },
  );
});

describe('operations', () => {
  it.each(operating)('are objects, one or several: %s', async (_, call) => {
    for (const operation of [undefined, null, 1, 'x', true])
      expect(await failureOf(() => call(operation)), inspect(operation)).toEqual(
        typeError('"operations" argument'),
      );
    expect(await failureOf(() => call([]))).toEqual(valueError('must not be empty'));
    const fine = { index: 0, delta: 1 };
    for (const operation of [undefined, null, 1, 'x'])
      expect(await failureOf(() => call([fine, operation]))).toEqual(typeError('"operations[1]"'));
  });

  it.each(operating)('have an index of the set, a delta of 16 bits, and flags: %s', async (_, call) => {
    const fine = { index: 0, delta: 1 };
    for (const [key, types, ranges] of [
      ['index', ['0', null, undefined, 0n, {}], [-1, 3, 0.5, Number.NaN, 2 ** 16, 2 ** 32]],
      ['delta', ['0', null, undefined, 0n, {}], [-32_768, 32_768, 0.5, Number.NaN, 2 ** 16, 2 ** 32]],
      ['undo', [1, 'true', null, {}], []],
      ['noWait', [1, 'true', null, {}], []],
    ] as [string, unknown[], unknown[]][]) {
      for (const value of types) {
        expect(await failureOf(() => call({ ...fine, [key]: value })), key).toEqual(
          typeError(`operations.${key}"`),
        );
        expect(await failureOf(() => call([fine, { ...fine, [key]: value }]))).toEqual(
          typeError(`operations[1].${key}"`),
        );
      }
      for (const value of ranges) {
        expect(await failureOf(() => call({ ...fine, [key]: value })), key).toEqual(
          rangeError(`operations.${key}"`),
        );
        expect(await failureOf(() => call([fine, { ...fine, [key]: value }]))).toEqual(
          rangeError(`operations[1].${key}"`),
        );
      }
    }
  });

  it('that change while they are read do what was read first, or are misuse', () => {
    let times = 0;
    const changing = {
      index: 0,
      undo: false,
      get delta() {
        times++;
        return 0;
      },
    };
    expect(set.tryOp(changing)).toBe(false); // waits for zero
    expect(times).toBe(1);
    const shrinking = [
      { index: 0, delta: 0 },
      { index: 0, delta: 0 },
    ];
    Object.defineProperty(shrinking, 0, {
      get() {
        shrinking.length = 1;
        return { index: 0, delta: 0 };
      },
    });
    expect(() => set.tryOp(shrinking)).toThrow();
  });

  it('more than the kernel takes in one call are E2BIG', async () => {
    const many = Array.from({ length: 501 }, () => ({ index: 0, delta: 0 }));
    for (const [, call] of operating)
      expect(await failureOf(() => call(many))).toMatchObject({ code: 'E2BIG', syscall: 'semop' });
  });
});

describe('the other methods of a set', () => {
  it('check index and value', () => {
    const all = set as Wrong;
    for (const call of [all.get, all.waiting, all.lastPid, (index: Wrong) => all.set(index, 1)] as Wrong[]) {
      for (const index of [-1, 3, 0.5, Number.NaN])
        expect(() => call.call(all, index)).toThrow(rangeError('"index"'));
    }
    for (const index of ['0', null, undefined, 0n])
      expect(() => all.get(index)).toThrow(typeError('"index" argument'));
    for (const value of ['0', null, undefined, 0n])
      expect(() => all.set(0, value)).toThrow(typeError('"value" argument'));
    for (const value of [-1, 32_768, 0.5]) expect(() => all.set(0, value)).toThrow(rangeError('"value"'));
    for (const change of [null, undefined, 'x', [], true])
      expect(() => all.set(change)).toThrow(typeError('"options"'));
    for (const list of [[], [1], [1, 2, 3, 4]])
      expect(() => all.setAll(list)).toThrow(valueError('must have 3 values'));
    for (const list of [
      [1, 2, '3'],
      [1, 2, undefined],
    ])
      expect(() => all.setAll(list)).toThrow(typeError('"values[2]"'));
    for (const list of [
      [1, 2, -1],
      [1, 2, 32_768],
    ])
      expect(() => all.setAll(list)).toThrow(rangeError('"values[2]"'));
  });

  it('of a closed one all say so', async () => {
    const closed = expect.objectContaining({
      name: 'IpcError',
      code: 'ERR_INTERPROC_CLOSED',
      message: `The System V semaphore set with the id ${set.id} is closed`,
    });
    set.close();
    set.close();
    set[Symbol.dispose]();
    expect(set).toMatchObject({ closed: true, count: 3, key: null, created: true });
    const one = { index: 0, delta: 1 };
    const calls: Record<string, () => unknown> = {
      tryOp: () => set.tryOp(one),
      op: () => set.op(one),
      opSync: () => set.opSync(one),
      getAll: () => set.getAll(),
      setAll: () => set.setAll([1, 2, 3]),
      get: () => set.get(0),
      set: () => set.set(0, 1),
      waiting: () => set.waiting(0),
      lastPid: () => set.lastPid(0),
      stat: () => set.stat(),
      remove: () => set.remove(),
      linked: () => set.linked,
    };
    for (const [title, call] of Object.entries(calls)) expect(await failureOf(call), title).toEqual(closed);
    expect(() => set.set({ mode: 0o600 })).toThrow(closed);
    const known = [...Object.keys(calls), 'constructor', 'count'];
    expect(
      Reflect.ownKeys(SysvSemaphoreSet.prototype).filter((key) => !known.includes(key as string)),
    ).toEqual([]);
    set.ref().unref();
  });

  it('and its constructor is not for users', () => {
    const Kind = SysvSemaphoreSet as Wrong;
    for (const args of [[], [Symbol('construct'), { id: 1, key: null, created: false, count: 1 }]])
      expect(() => new Kind(...args)).toThrow(
        misuse('TypeError', 'ERR_ILLEGAL_CONSTRUCTOR', 'SysvSemaphoreSet'),
      );
  });
});

describe('a named semaphore', () => {
  const named: Call[] = [
    ['create', (name) => Semaphore.create(name, { initial: 0 })],
    ['openOrCreate', (name) => Semaphore.openOrCreate(name, { initial: 0 })],
    ['open', (name) => Semaphore.open(name)],
    ['unlink', (name) => Semaphore.unlink(name)],
  ];

  it.each(named)('has a name of one component: %s', (_, call) => {
    for (const name of [undefined, null, 1, {}, [], Symbol('x')])
      expect(() => call(name)).toThrow(typeError('"name"'));
    for (const name of ['', '/', 'a/b', '/a/b', '//a', 'a\0b', '..', '.'])
      expect(() => call(name), inspect(name)).toThrow(
        expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' }),
      );
    expect(() => call('x'.repeat(252))).toThrow(expect.objectContaining({ code: 'ENAMETOOLONG' }));
  });

  it('has options with a first value', () => {
    const name = semaphoreName();
    for (const make of [Semaphore.create, Semaphore.openOrCreate] as Wrong[]) {
      for (const options of [undefined, null, 1, [], 'x'])
        expect(() => make(name, options)).toThrow(typeError('"options"'));
      for (const initial of [undefined, null, '1', 1n])
        expect(() => make(name, { initial })).toThrow(typeError('initial'));
      for (const initial of [-1, 0.5, 2 ** 31, Number.NaN])
        expect(() => make(name, { initial })).toThrow(rangeError('"options.initial"'));
      for (const mode of [-1, 0o1000])
        expect(() => make(name, { initial: 1, mode })).toThrow(rangeError('"options.mode"'));
    }
    expect(() => Semaphore.open(name)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });

  it('is not what else lies there', () => {
    const name = semaphoreName();
    writeFileSync(`/dev/shm/sem.${name.slice(1)}`, 'short');
    expect(() => Semaphore.open(name)).toThrow(
      expect.objectContaining({ code: 'EINVAL', syscall: 'sem_open' }),
    );
    expect(() => Semaphore.create(name, { initial: 1 })).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    expect(Semaphore.list().find((each) => each.name === name)).toBeDefined();
  });
});

describe('the addon', () => {
  it('survives any arguments', async () => {
    const source = `
      import { createRequire } from 'node:module';
      const native = createRequire(args[0])('node-gyp-build')(args[1]);
      const names = Object.keys(native).filter((name) => /^(sysvSem|posixSem|call)/.test(name) && typeof native[name] === 'function' && !/Remove|Unlink|Create/.test(name));
      assert.ok(names.length >= 18);
      native.callInit(() => {});
      // Ids of no set, so that nobody else's is touched.
      const ids = [-1, 0x7fff_ffff, 2 ** 31, 1.5, NaN, '1', null, undefined, {}, 5n];
      const memory = SharedMemory.anonymous({ size: 4096 });
      const odd = [
        undefined, null, true, 0, -1, 1, 3, 4, 65_536, 2 ** 31, 2 ** 53, 1e308, NaN, Infinity, 1n, '', 'x', [], {}, () => {}, Symbol('x'), memory,
        new Uint8Array(0), new Uint8Array(5), new Uint8Array(6), new Uint8Array(12), new Uint8Array(131_072), new Uint8Array(393_222), new Float64Array(4),
        new ArrayBuffer(6), new DataView(new ArrayBuffer(9)), new Proxy({}, { get() { throw new Error('no'); } }),
      ];
      let state = args[2];
      const random = (below) => (state = (state * 48271) % 2147483647) % below;
      const pick = (list) => list[random(list.length)];
      let threw = 0;
      for (let round = 0; round < 30_000; round++) {
        const name = pick(names);
        const given = Array.from({ length: random(6) }, () => pick(odd));
        if (/^sysvSem/.test(name) && !/Open$/.test(name)) {
          const at = /Start$/.test(name) ? 1 : 0;
          if (given.length > at) given[at] = pick(ids);
        }
        if (name === 'callInit') given[0] = pick([null, {}, 1]);
        if (name === 'callWait' && given.length > 1) given[1] = pick([0, 1, 'x', -1]);
        if (name === 'sysvSemOperate' && given.length > 3) given[3] = pick([0, 1, 'x', -1, {}]);
        try { native[name](...given); } catch (error) { threw++; assert.ok(error instanceof Error); }
      }
      native.callKeep(false);
      assert.ok(threw > 10_000);
      for (const name of ['sysvSemCreate', 'posixSemCreate']) {
        for (let round = 0; round < 2000; round++) {
          const given = Array.from({ length: random(6) }, () => pick(odd));
          given[1] = pick([undefined, null, 'x', {}, -1, 2 ** 40, new Uint8Array(0), new Uint8Array(3)]); // never a value
          assert.throws(() => native[name](...given), Error);
        }
      }`;
    const args = [import.meta.url, new URL('../..', import.meta.url).pathname, 1 + (process.pid % 100_000)];
    expect(await runPeer(source, { args })).toMatchObject(clean);
  });
});
