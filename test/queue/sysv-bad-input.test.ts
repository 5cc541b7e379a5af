/** Wrong arguments of every call of SysvMessageQueue, and of the addon below it: clear errors, and nothing is moved. */
import { inspect } from 'node:util';
import { SysvMessageQueue } from 'interproc';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { failureOf, misuse, type Wrong } from '../support/failures.js';
import { messageKey } from '../support/names.js';
import { clean, runPeer } from '../support/peer.js';
import { makeQueue } from '../support/sysv.js';

let queue: SysvMessageQueue;
/** Of the kernel: what is in the queue. */
let before: unknown;

beforeEach(() => {
  queue = makeQueue();
  queue.sendSync(5, 'untouched');
  before = queue.stat();
});

afterEach(() => {
  if (!queue.closed) expect(queue.stat()).toEqual(before);
});

const typeError = (subject: string) => misuse('TypeError', 'ERR_INVALID_ARG_TYPE', subject);
const valueError = (subject: string) => misuse('TypeError', 'ERR_INVALID_ARG_VALUE', subject);
const rangeError = (subject: string) => misuse('RangeError', 'ERR_OUT_OF_RANGE', subject);

type Call = [title: string, call: (value: Wrong, ...more: Wrong[]) => unknown];

const never = messageKeyOfNobody();
/** A key that no object has: what is made under it by mistake shows in the list. */
function messageKeyOfNobody(): number {
  return 0x7e57_0000 + (process.pid & 0xffff);
}

const sending: Call[] = [
  ['trySend', (...args) => (queue.trySend as Wrong)(...args)],
  ['send', (...args) => (queue.send as Wrong)(...args)],
  ['sendSync', (...args) => (queue.sendSync as Wrong)(...args)],
];
const receiving: Call[] = [
  ['tryReceive', (options) => queue.tryReceive(options)],
  ['receive', (options) => queue.receive(options)],
  ['receiveSync', (options) => queue.receiveSync(options)],
];
const waiting: Call[] = [
  ['send', (options) => queue.send(1, 'x', options)],
  ['sendSync', (options) => queue.sendSync(1, 'x', options)],
  ...receiving.slice(1),
];
const making: Call[] = [
  ['create', (options) => SysvMessageQueue.create(never, options)],
  ['openOrCreate', (options) => SysvMessageQueue.openOrCreate(never, options)],
];
const keyed: Call[] = [
  ['create', (key) => SysvMessageQueue.create(key)],
  ['open', (key) => SysvMessageQueue.open(key)],
  ['openOrCreate', (key) => SysvMessageQueue.openOrCreate(key)],
];
const byId: Call[] = [
  ['fromId', (id) => SysvMessageQueue.fromId(id)],
  ['remove', (id) => SysvMessageQueue.remove(id)],
];

describe('a key and an id', () => {
  it.each(keyed)('a key is a 32-bit number, and not 0: %s', async (title, call) => {
    for (const key of [undefined, '1', 1n, true, {}, [], Symbol('x'), () => {}]) {
      expect(await failureOf(() => call(key)), inspect(key)).toEqual(typeError('"key" argument'));
    }
    for (const key of [0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 32, -(2 ** 31) - 1]) {
      expect(await failureOf(() => call(key)), inspect(key)).toEqual(rangeError('"key"'));
    }
    expect(await failureOf(() => call(0))).toEqual(valueError('IPC_PRIVATE'));
    if (title !== 'create') expect(await failureOf(() => call(null))).toEqual(valueError('fromId()'));
  });

  it.each(byId)('an id is a number from 0 on: %s', async (_, call) => {
    for (const id of [undefined, null, '1', 1n, {}, []])
      expect(await failureOf(() => call(id))).toEqual(typeError('"id" argument'));
    for (const id of [-1, 0.5, Number.NaN, 2 ** 31])
      expect(await failureOf(() => call(id))).toEqual(rangeError('"id"'));
    expect(await failureOf(() => call(0x7fff_ffff))).toMatchObject({
      name: 'IpcError',
      code: 'EINVAL',
      syscall: 'msgctl',
    });
  });
});

describe('options', () => {
  it.each([...waiting, ...receiving, ...making])('are an object: %s', async (_, call) => {
    for (const options of [null, 1, 'x', true, [], () => {}, Symbol('x')]) {
      expect(await failureOf(() => call(options)), inspect(options)).toEqual(
        typeError('"options" argument must be of type object'),
      );
    }
  });

  it.each([...making, ['set', (change: Wrong) => queue.set(change)] as Call])(
    'mode, uid, gid and maxBytes are checked: %s',
    async (_, call) => {
      for (const key of ['mode', 'uid', 'gid', 'maxBytes']) {
        for (const value of ['1', null, 1n, {}])
          expect(await failureOf(() => call({ [key]: value })), key).toEqual(typeError(`${key}" property`));
        for (const value of [-1, 0.5, 2 ** 33, Number.NaN, ...(key === 'mode' ? [0o1000] : [])])
          expect(await failureOf(() => call({ [key]: value })), key).toEqual(
            rangeError(`${key}" is out of range`),
          );
      }
      expect(SysvMessageQueue.list().filter(({ key }) => key === never)).toEqual([]);
    },
  );

  it.each(waiting)('timeout is a number that is not negative: %s', async (_, call) => {
    for (const timeout of ['1', null, 1n, {}])
      expect(await failureOf(() => call({ timeout }))).toEqual(typeError('"options.timeout" property'));
    for (const timeout of [-1, Number.NaN, Number.NEGATIVE_INFINITY])
      expect(await failureOf(() => call({ timeout }))).toEqual(rangeError('"options.timeout"'));
  });

  it.each(waiting.filter(([title]) => !title.endsWith('Sync')))(
    'signal is an AbortSignal: %s',
    async (_, call) => {
      for (const signal of [null, 'x', {}, new AbortController(), new EventTarget()])
        expect(await failureOf(() => call({ signal }))).toEqual(typeError('"options.signal" property'));
    },
  );

  it.each(receiving)('type is a whole number, except goes with one above 0: %s', async (_, call) => {
    for (const type of ['1', null, {}, [1], true])
      expect(await failureOf(() => call({ type }))).toEqual(typeError('"options.type" property'));
    for (const type of [0.5, Number.NaN, 2 ** 53, -(2 ** 53), 2n ** 63n, -(2n ** 63n)])
      expect(await failureOf(() => call({ type })), String(type)).toEqual(rangeError('"options.type"'));
    for (const type of [undefined, 0, -1, 0n, -5n])
      expect(await failureOf(() => call({ type, except: true }))).toEqual(
        rangeError('> 0 where except is true'),
      );
  });

  it.each(receiving)('flags are booleans, size a number, into memory: %s', async (_, call) => {
    for (const flag of ['except', 'truncate', 'bigint'])
      for (const value of [1, 'true', null, {}])
        expect(await failureOf(() => call({ type: 1, [flag]: value }))).toEqual(
          typeError(`"options.${flag}" property`),
        );
    for (const size of ['1', null, 1n])
      expect(await failureOf(() => call({ size }))).toEqual(typeError('"options.size"'));
    for (const size of [-1, 0.5, 2 ** 31, Number.NaN])
      expect(await failureOf(() => call({ size }))).toEqual(rangeError('"options.size"'));
    for (const into of [null, 'x', [1], {}, 8])
      expect(await failureOf(() => call({ into }))).toEqual(typeError('"options.into" property'));
    const gone = new Uint8Array(8);
    structuredClone(gone, { transfer: [gone.buffer] });
    for (const into of [new Uint8Array(0), new ArrayBuffer(0), gone])
      expect(await failureOf(() => call({ into }))).toEqual(valueError('"options.into" property'));
  });
});

describe('a message', () => {
  it.each(sending)('has a type above 0: %s', async (_, call) => {
    for (const type of [undefined, null, '1', {}, [1], true, Symbol('x')])
      expect(await failureOf(() => call(type, 'x'))).toEqual(typeError('"type" argument'));
    for (const type of [0, -1, 0.5, Number.NaN, 2 ** 53, 0n, -1n, 2n ** 63n])
      expect(await failureOf(() => call(type, 'x'))).toEqual(rangeError('"type"'));
  });

  it.each(sending)('is text or bytes: %s', async (_, call) => {
    for (const data of [undefined, null, 1, true, {}, [1], Symbol('x'), () => {}])
      expect(await failureOf(() => call(1, data)), inspect(data)).toEqual(
        typeError('"data" argument must be of type string'),
      );
    const gone = new Uint8Array(8);
    structuredClone(gone, { transfer: [gone.buffer] });
    expect(await failureOf(() => call(1, gone))).toEqual(valueError('"data" argument must have its memory'));
  });

  it('is peeked at by a place from 0 on', () => {
    const peek = queue.peek.bind(queue) as Wrong;
    for (const index of ['1', null, 1n, {}]) expect(() => peek(index)).toThrow(typeError('"index" argument'));
    for (const index of [-1, 0.5, 2 ** 31]) expect(() => peek(index)).toThrow(rangeError('"index"'));
    for (const options of [null, 1, []]) expect(() => peek(0, options)).toThrow(typeError('"options"'));
    expect(() => peek(0, { bigint: 1 })).toThrow(typeError('"options.bigint"'));
    expect(peek(0x7fff_ffff)).toBeNull();
  });
});

describe('the constructor', () => {
  it('is not for users', () => {
    const Kind = SysvMessageQueue as Wrong;
    for (const args of [[], [Symbol('construct'), { id: 1, key: null, created: false }]])
      expect(() => new Kind(...args)).toThrow(
        misuse('TypeError', 'ERR_ILLEGAL_CONSTRUCTOR', 'SysvMessageQueue'),
      );
  });
});

describe('a closed queue', () => {
  it('says so in every method, and is closed again and again', async () => {
    const closed = expect.objectContaining({
      name: 'IpcError',
      code: 'ERR_INTERPROC_CLOSED',
      message: `The System V message queue with the id ${queue.id} is closed`,
    });
    queue.close();
    queue.close();
    queue[Symbol.dispose]();
    expect(queue).toMatchObject({
      closed: true,
      key: null,
      created: true,
      id: (before as { id: number }).id,
    });
    const calls: Record<string, () => unknown> = {
      trySend: () => queue.trySend(1, 'x'),
      send: () => queue.send(1, 'x'),
      sendSync: () => queue.sendSync(1, 'x'),
      tryReceive: () => queue.tryReceive(),
      receive: () => queue.receive(),
      receiveSync: () => queue.receiveSync(),
      peek: () => queue.peek(),
      stat: () => queue.stat(),
      set: () => queue.set({}),
      remove: () => queue.remove(),
      linked: () => queue.linked,
    };
    for (const [title, call] of Object.entries(calls)) expect(await failureOf(call), title).toEqual(closed);
    const known = [...Object.keys(calls), 'constructor', Symbol.asyncIterator];
    expect(
      Reflect.ownKeys(SysvMessageQueue.prototype).filter((key) => !known.includes(key as string)),
    ).toEqual([]);
    const loop = queue[Symbol.asyncIterator]();
    expect(await loop.next()).toEqual({ done: true, value: undefined });
    queue.ref().unref();
    const again = SysvMessageQueue.fromId(queue.id);
    expect(again.stat()).toEqual(before);
  });
});

describe('the addon', () => {
  it('survives any arguments', async () => {
    const source = `
      import { createRequire } from 'node:module';
      const native = createRequire(args[0])('node-gyp-build')(args[1]);
      const names = Object.keys(native).filter((name) => /^sysvMq/.test(name) && name !== 'sysvMqRemove');
      assert.ok(names.length >= 8);
      native.callInit(() => {});
      // Ids of no queue, so that nobody else's is touched.
      const ids = [-1, 0x7fff_ffff, 2 ** 31, 1.5, NaN, '1', null, undefined, {}, 5n];
      const odd = [
        undefined, null, true, 0, -1, 1, 7, 255, 2 ** 31, 2 ** 53, -(2 ** 53), 1e308, NaN, Infinity, 1n, 2n ** 63n, -(2n ** 64n), '', 'x', [], {},
        () => {}, Symbol('x'), new Uint8Array(0), new Uint8Array(7), new Uint8Array(8), new Uint8Array(100_000), new Float64Array(4), new ArrayBuffer(8),
        new DataView(new ArrayBuffer(9)), new Proxy({}, { get() { throw new Error('no'); } }),
      ];
      let state = args[2];
      const random = (below) => (state = (state * 48271) % 2147483647) % below;
      const pick = (list) => list[random(list.length)];
      let threw = 0;
      for (let round = 0; round < 40_000; round++) {
        const name = pick(names);
        const given = Array.from({ length: random(9) }, () => pick(odd));
        const at = /Start$/.test(name) ? 1 : 0;
        if (name === 'sysvMqGet') given[0] = pick(['x', null, {}, 0.5, 2n]);
        else if (given.length > at) given[at] = pick(ids);
        // It would wait that long.
        if (/^sysvMq(Send|Receive)$/.test(name) && given.length > 4) given[name === 'sysvMqSend' ? 4 : 6] = pick([0, 1, 'x', -1, {}]);
        if (name === 'sysvMqReceiveStart' && given.length > 5) given[4] = pick([0, 1, 8192, -1, 'x', {}, NaN]);
        try { native[name](...given); } catch (error) { threw++; assert.ok(error instanceof Error); }
      }
      assert.ok(threw > 20_000);`;
    const args = [import.meta.url, new URL('../..', import.meta.url).pathname, 1 + (process.pid % 100_000)];
    expect(await runPeer(source, { args })).toMatchObject(clean);
  });

  it('keeps what it is given apart from the memory of the caller', async () => {
    // Native calls with less memory than they are told of would write beyond it.
    const { native } = (await import(
      new URL('../../dist/internal/native.js', import.meta.url).href
    )) as Wrong;
    const own = makeQueue();
    own.sendSync(1, Buffer.alloc(100, 7));
    const memory = new Uint8Array(64).fill(1);
    expect(() => native.sysvMqReceive(own.id, 0, 0, memory.subarray(0, 16), 100, undefined)).toThrow(
      expect.objectContaining({ code: 'E2BIG' }),
    );
    expect(native.sysvMqReceive(own.id, 0, 2, memory.subarray(0, 16), 100, undefined)).toBe(8);
    expect([...memory.subarray(16)]).toEqual(Array(48).fill(1));
    expect(() => native.sysvMqReceive(own.id, 0, 0, memory.subarray(0, 7), 0, undefined)).toThrow(TypeError);
  });
});

describe('keys that nobody has', () => {
  it('open nothing', () => {
    const key = messageKey();
    expect(() => SysvMessageQueue.open(key)).toThrow(
      expect.objectContaining({ code: 'ENOENT', syscall: 'msgget' }),
    );
    expect(SysvMessageQueue.list().some((each) => each.key === key)).toBe(false);
  });
});
