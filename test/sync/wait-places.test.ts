/** Where conditions, barriers, events and Onces may lie, and what becomes of them where others write into them. */
import { Barrier, Condition, MappedFile, Mutex, Once, SharedEvent, SharedMemory } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { failureOf, misuse, type Wrong } from '../support/failures.js';
import { shmName, tempPath } from '../support/names.js';
import { clean, startPeer } from '../support/peer.js';
import { waitKinds } from '../support/waits.js';
import { withWorkers } from '../support/workers.js';

const kinds = {
  Condition: {
    at: (memory: Wrong, offset: Wrong, options?: Wrong) => Condition.at(memory, offset, options),
    bytes: 1024,
  },
  Barrier: {
    at: (memory: Wrong, offset: Wrong, options?: Wrong) =>
      Barrier.at(memory, offset, { parties: 2, ...options }),
    bytes: 512,
  },
  SharedEvent: {
    at: (memory: Wrong, offset: Wrong, options?: Wrong) => SharedEvent.at(memory, offset, options),
    bytes: 16,
  },
  Once: {
    at: (memory: Wrong, offset: Wrong, options?: Wrong) => Once.at(memory, offset, options),
    bytes: 16,
  },
};

const make = () => {
  const memory = SharedMemory.create(shmName(), { size: 4096 });
  onTestFinished(() => memory.close());
  return memory;
};

describe.each(waitKinds)('a %s', (kind) => {
  const { at, bytes } = kinds[kind];
  const wrongType = (subject: string) => misuse('TypeError', 'ERR_INVALID_ARG_TYPE', subject);
  const outOfRange = misuse('RangeError', 'ERR_OUT_OF_RANGE', 'offset');

  it('takes the bytes that it says, at a multiple of 8', async () => {
    expect({ Condition, Barrier, SharedEvent, Once }[kind].byteLength).toBe(bytes);
    const memory = make();
    for (const offset of [-8, 4, 1, 4096, 4096 - bytes + 8, 0.5, Number.NaN])
      expect(await failureOf(() => at(memory, offset))).toEqual(outOfRange);
    for (const offset of [undefined, '0', 0n])
      expect(await failureOf(() => at(memory, offset))).toEqual(wrongType('offset'));
    const last = at(memory, 4096 - bytes);
    expect(last.offset).toBe(4096 - bytes);
    expect(last.closed).toBe(false);
    expect(at(memory, 4096 - bytes)).toBe(last);
  });

  it('lies in shared memory that can be written', async () => {
    for (const memory of [
      undefined,
      {},
      new ArrayBuffer(4096),
      Buffer.alloc(4096),
      { buffer: new ArrayBuffer(4096) },
    ])
      expect(await failureOf(() => at(memory, 0))).toEqual(wrongType('memory'));
    const memory = make();
    using view = SharedMemory.open(memory.name as string, { readOnly: true });
    expect(await failureOf(() => at(view, 0))).toMatchObject({ code: 'ERR_INTERPROC_READ_ONLY' });
    memory.close();
    expect(await failureOf(() => at(memory, 0))).toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
  });

  const ifItHasOwners = kind === 'SharedEvent' ? [] : [kind];
  it.each(ifItHasOwners)('agrees with others on whether it knows deaths', async () => {
    const memory = make();
    at(memory, 0, { recovery: true });
    expect(await failureOf(() => at(memory, 0, { recovery: false }))).toMatchObject({
      code: 'ERR_INTERPROC_MISMATCH',
      message: expect.stringContaining('{ recovery: true }'),
    });
    expect(await failureOf(() => at(memory, 0, { recovery: 'no' }))).toEqual(wrongType('options.recovery'));
  });

  it('is not taken for another kind, nor for other data, and lies apart from all others', async () => {
    const memory = make();
    const elsewhere = make();
    const kept = at(memory, 1024); // one that is collected takes no bytes any more
    // The same bytes, in another process.
    const { exited } = startPeer(
      `const memory = SharedMemory.open(args[0]);
      const others = {
        Condition: () => Condition.at(memory, 1024),
        Barrier: () => Barrier.at(memory, 1024, { parties: 2 }),
        SharedEvent: () => SharedEvent.at(memory, 1024),
        Once: () => Once.at(memory, 1024),
        Mutex: () => Mutex.at(memory, 1024),
        RwLock: () => RwLock.at(memory, 1024),
      };
      const kept = others[args[1]]();
      for (const [kind, open] of Object.entries(others)) {
        const code = kind === args[1] ? undefined : 'ERR_INTERPROC_OVERLAP';
        let failure;
        try { open(); } catch (error) { failure = error.code; }
        assert.equal(failure, code, kind);
      }
      assert.equal(kept.closed, false);`,
      { args: [memory.name, kind] },
    );
    expect(await exited).toMatchObject(clean);
    for (const other of waitKinds) {
      if (other === kind) continue;
      const { exited: refused } = startPeer(
        `const memory = SharedMemory.open(args[0]);
        const open = () => ${other}.at(memory, 1024, { parties: 2 });
        assert.throws(open, { code: 'ERR_INTERPROC_MISMATCH', message: /but a ${kind}/ });`,
        { args: [memory.name] },
      );
      expect(await refused).toMatchObject(clean);
    }
    for (const offset of [1024 - 8, 1024 + bytes - 8])
      expect(await failureOf(() => Mutex.at(memory, offset))).toMatchObject({
        code: 'ERR_INTERPROC_OVERLAP',
      });
    expect(kept.closed).toBe(false);
    new Int32Array(elsewhere.buffer)[1] = 77;
    expect(await failureOf(() => at(elsewhere, 0))).toMatchObject({
      code: 'ERR_INTERPROC_MISMATCH',
      message: expect.stringContaining('other data'),
    });
  });

  it('lies in a file, and behind the first megabyte', async () => {
    using file = MappedFile.create(tempPath(), { size: 3 << 20 });
    expect(at(file, (1 << 20) - 8).offset).toBe((1 << 20) - 8);
    expect(at(file, (3 << 20) - bytes).offset).toBe((3 << 20) - bytes);
  });
});

/** What any word may say: all kinds of counts and flags, ids of the living and of nobody. */
const hostile = `
  let state = args[1];
  const random = (below) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >>> 8) % below;
  };
  const scribble = (words, from, to) => {
    const any = [0, 1, 2, 3, -1, 0x10000, 0x10001, 0xffff, 0x7fff0000, 0x80000000 | 0, 0x3fffffff, 0x40000000, random(2 ** 31) | 0];
    for (let word = from; word < to; word++) {
      // Where these say that something else lies there, calls end early.
      if (word === from + 1 || (args[3] === 'Barrier' && word === from + 3)) continue;
      if (random(3) === 0) Atomics.store(words, word, any[random(any.length)]);
    }
  };`;
const calls = {
  Condition: `
    const mutex = Mutex.at(memory, 0);
    const open = () => Condition.at(memory, 1024);
    const held = await mutex.lock();
    const calls = [
      (it) => it.wait(held, { timeout: 1 }), (it) => it.waitSync(held, { timeout: 1 }), (it) => it.notifyOne(), (it) => it.notifyAll(),
      (it) => it.wait(held, { timeout: 0 }), (it) => it.waiting,
    ];`,
  Barrier: `
    const open = () => Barrier.at(memory, 1024, { parties: 2 });
    const calls = [
      (it) => it.wait({ timeout: 1 }), (it) => it.waitSync({ timeout: 1 }), (it) => it.tryWait(), (it) => it.reset(), (it) => it.arrived,
      (it) => it.leave(),
    ];`,
  SharedEvent: `
    const open = () => SharedEvent.at(memory, 1024, { autoReset: true });
    const calls = [
      (it) => it.wait({ timeout: 1 }), (it) => it.waitSync({ timeout: 1 }), (it) => it.tryWait(), (it) => it.set(), (it) => it.clear(),
      (it) => it.isSet,
    ];`,
  Once: `
    const open = () => Once.at(memory, 1024);
    const calls = [
      (it) => it.run(() => {}, { timeout: 1 }), (it) => it.runSync(() => {}, { timeout: 1 }), (it) => it.tryRun(() => {}), (it) => it.done,
    ];`,
};

describe.each(waitKinds)('a %s into which somebody writes anything', (kind) => {
  it.each([
    ['at times', 21],
    ['all the time', 22],
  ])('ends every call in a result or an error, and no process: %s', async (when, seed) => {
    const { bytes } = kinds[kind];
    const words = [256, 256 + bytes / 4];
    const source = `${withWorkers}
      ${hostile}
      const codes = /^(ETIMEDOUT|ERR_INTERPROC_(BUSY|CORRUPT|MISMATCH|BROKEN|NOT_RECOVERABLE|DEADLOCK|CLOSED|NOT_HELD))$/;
      const memory = SharedMemory.open(args[0]);
      const there = new Int32Array(memory.buffer);
      ${calls[kind]}
      if (args[2] === 'all the time') {
        const worker = startWorker(\`
          const args = workerData;
          ${hostile}
          const words = new Int32Array(SharedMemory.open(args[0]).buffer);
          say();
          for (;;) scribble(words, ${words[0]}, ${words[1]});\`, args);
        await reply(worker);
      }
      open();
      const kind = there[${words[0]} + 1];
      let ended = 0;
      for (let round = 0; round < 300; round++) {
        try {
          const it = open();
          if (args[2] === 'at times') scribble(there, ${words[0]}, ${words[1]});
          if (random(20) === 0) there[${words[0]} + 1] = random(2 ** 31);
          await calls[random(calls.length)](it);
          ended++;
        } catch (error) {
          if (!codes.test(error.code)) throw error;
        }
        if (random(10) === 0) there.fill(0, ${words[0]}, ${words[1]});
        there[${words[0]} + 1] = kind;
        if (args[3] === 'Barrier') there[${words[0]} + 3] = 2;
      }
      assert.ok(ended > 20, 'most calls have ended in errors: ' + ended);
      process.exit(0);`;
    const peer = startPeer(source, { args: [make().name, seed, when, kind], execArgv: ['--expose-gc'] });
    expect(await peer.exited).toMatchObject(clean);
  });
});
