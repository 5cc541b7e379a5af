/** Operations on System V sets as a whole: all or nothing, in order, whoever else operates meanwhile. */
import { type SemaphoreOperation, SysvSemaphoreSet } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failureOf, systemError } from '../support/failures.js';
import { clean, startPeer } from '../support/peer.js';
import { until } from '../support/pipes.js';
import { makeSet } from '../support/sysv.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const less = { index: 0, delta: -1 };
const more = { index: 0, delta: 1 };
const zero = { index: 0, delta: 0 };

describe('several operations', () => {
  it('are done as one or not at all: what moves between semaphores is never seen on its way', async () => {
    const count = 6;
    const sum = 60;
    const set = makeSet({ count, initial: Array(count).fill(sum / count) });
    const source = `
      const set = SysvSemaphoreSet.fromId(args[0]);
      const [, seed, rounds, sum] = args;
      let state = seed;
      const random = (below) => (state = (state * 48271) % 2147483647) % below;
      const turn = () => new Promise(setImmediate);
      // From some to others, as much as is taken. Some are asked for twice.
      const move = () => {
        const operations = [];
        let moved = 0;
        for (let takes = 1 + random(3); takes > 0; takes--) {
          const delta = 1 + random(8);
          operations.push({ index: random(set.count), delta: -delta });
          moved += delta;
        }
        for (; moved > 0; ) {
          const delta = 1 + random(moved);
          operations.push({ index: random(set.count), delta });
          moved -= delta;
        }
        return operations;
      };
      const given = (promise) => promise.catch((error) => { if (!/ETIMEDOUT|ABORT_ERR/.test(error.code)) throw error; });
      let done = 0;
      for (let round = 0; round < rounds; round++) {
        const how = random(5);
        if (how === 0) done += set.tryOp(move());
        if (how === 1) { try { set.opSync(move(), { timeout: random(3) / 4 }); } catch (error) { assert.equal(error.code, 'ETIMEDOUT'); } }
        if (how === 2) await given(set.op(move(), { timeout: random(3) / 4 }));
        if (how === 3) {
          const controller = new AbortController();
          const all = [1, 2, 3].map(() => given(set.op(move(), { signal: controller.signal })));
          for (let turns = random(6); turns > 0; turns--) await turn();
          controller.abort();
          await Promise.all(all);
        }
        const values = set.getAll();
        assert.equal(values.reduce((a, b) => a + b), sum, values.join());
      }
      assert.ok(done > 0);`;
    const peers = [1, 2, 3].map((seed) => startPeer(source, { args: [set.id, seed * 7919, 500, sum] }));
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    expect(set.getAll().reduce((a, b) => a + b)).toBe(sum);
    expect(set.waiting(0)).toEqual({ forIncrease: 0, forZero: 0 });
  });

  it('wait until all can be done at once, and take nothing before', async () => {
    const set = makeSet({ count: 3, initial: [1, 0, 1] });
    const waits = set.op([
      { index: 0, delta: -1 },
      { index: 1, delta: -1 },
      { index: 2, delta: 0 },
    ]);
    await until(() => set.waiting(1).forIncrease === 1);
    expect(set.getAll()).toEqual([1, 0, 1]);
    set.opSync({ index: 1, delta: 1 });
    await until(() => set.waiting(2).forZero === 1);
    expect(set.getAll()).toEqual([1, 1, 1]);
    expect(set.tryOp({ index: 2, delta: -1 })).toBe(true);
    await waits;
    expect(set.getAll()).toEqual([0, 0, 0]);
  });
});

describe('an operation', () => {
  it('that waits for zero goes on at zero, and one that is at zero already at once', async () => {
    const set = makeSet({ initial: 2 });
    expect(set.tryOp(zero)).toBe(false);
    const waits = [set.op(zero), set.op(zero)];
    await until(() => set.waiting(0).forZero === 1); // the others stand behind it
    set.opSync(less);
    expect(set.waiting(0).forZero).toBe(1);
    set.opSync(less);
    await Promise.all(waits);
    expect(set.tryOp(zero)).toBe(true);
    await set.op(zero);
    set.opSync(zero);
    // A lock by two operations: nobody, and then I.
    expect(set.tryOp([zero, more])).toBe(true);
    expect(set.tryOp([zero, more])).toBe(false);
  });

  it('of several who wait for the same is done for each in turn', async () => {
    const set = makeSet();
    const order: number[] = [];
    const waits = Array.from({ length: 20 }, (_, at) => set.op(less).then(() => order.push(at)));
    expect(set.tryOp(less)).toBe(false);
    set.opSync({ index: 0, delta: 8 });
    expect(set.tryOp(less)).toBe(false); // others were first
    await waits[7];
    set.opSync({ index: 0, delta: 12 });
    await Promise.all(waits);
    expect(order).toEqual(Array.from({ length: 20 }, (_, at) => at));
    expect(set.get(0)).toBe(0);
    expect(set.tryOp(more)).toBe(true);
    expect(set.tryOp(less)).toBe(true);
  });

  it('beside others that differ is done when its own can be', async () => {
    const set = makeSet({ count: 2 });
    const waits = [
      set.op({ index: 0, delta: -5 }),
      set.op({ index: 1, delta: -1 }),
      set.op({ index: 0, delta: -2 }),
    ];
    await until(() => set.waiting(0).forIncrease === 2 && set.waiting(1).forIncrease === 1);
    set.opSync({ index: 1, delta: 1 });
    await waits[1];
    set.opSync({ index: 0, delta: 2 });
    await waits[2];
    set.opSync({ index: 0, delta: 5 });
    await waits[0];
    expect(set.getAll()).toEqual([0, 0]);
  });

  it('that may not wait is EAGAIN where it can not be done, false where that is what was asked', async () => {
    const set = makeSet({ count: 2, initial: [0, 1] });
    const failure = systemError('EAGAIN', 'semop');
    const noWait: SemaphoreOperation = { ...less, noWait: true };
    expect(set.tryOp(noWait)).toBe(false);
    expect(await failureOf(() => set.op(noWait))).toEqual(failure);
    expect(await failureOf(() => set.opSync(noWait))).toEqual(failure);
    // It counts for itself only: the other one waits.
    const mixed: SemaphoreOperation[] = [
      { index: 0, delta: -1 },
      { index: 1, delta: -1, noWait: true },
    ];
    const waits = set.op(mixed);
    await until(() => set.waiting(0).forIncrease === 1);
    set.setAll([0, 0]);
    expect(await failureOf(() => set.op(mixed, { timeout: 1 }))).toMatchObject({ code: 'ETIMEDOUT' });
    set.opSync(more);
    expect(await failureOf(() => waits)).toEqual(failure);
    expect(set.getAll()).toEqual([1, 0]);
    set.opSync(noWait);
    expect(set.getAll()).toEqual([0, 0]);
  });

  it('is refused by those that block while others wait for the same, and only then', async () => {
    const set = makeSet({ count: 2, initial: [0, 1] });
    const waits = set.op(less);
    expect(() => set.opSync(less, { timeout: 1000 })).toThrow(
      expect.objectContaining({
        code: 'ERR_INTERPROC_BUSY',
        message: expect.stringContaining(`id ${set.id}`),
      }),
    );
    set.opSync({ index: 1, delta: -1 });
    expect(() => set.opSync({ index: 0, delta: -2 }, { timeout: 1 })).toThrow(
      expect.objectContaining({ code: 'ETIMEDOUT', syscall: 'semop' }),
    );
    set.opSync(more);
    await waits;
    expect(set.getAll()).toEqual([0, 0]);
  });

  it('that gives too much is ERANGE, at once and from a wait, and nothing is done', async () => {
    const set = makeSet({ count: 2, initial: [32_767, 0] });
    const failure = systemError('ERANGE', 'semop');
    const both = [{ index: 1, delta: 1 }, more];
    for (const call of [() => set.tryOp(both), () => set.op(both), () => set.opSync(both)])
      expect(await failureOf(call)).toEqual(failure);
    const waits = failureOf(() => set.op([{ index: 1, delta: -1 }, more]));
    await until(() => set.waiting(1).forIncrease === 1);
    set.opSync({ index: 1, delta: 1 });
    expect(await waits).toEqual(failure);
    expect(set.getAll()).toEqual([32_767, 1]);
  });
});

describe('operations that race with an abort', () => {
  it('are done or not, and the promise tells which', async () => {
    const set = makeSet();
    for (let round = 0; round < 300; round++) {
      const controller = new AbortController();
      const waits = failureOf(() => set.op(less, { signal: controller.signal }));
      for (let turns = round % 6; turns > 0; turns--) await turn();
      set.setAll([1]);
      if (round % 3 === 0) for (let spin = 0; spin < 20_000; spin++);
      controller.abort();
      const failure = await waits;
      if (failure !== undefined) expect(failure).toMatchObject({ code: 'ABORT_ERR' });
      expect(set.get(0)).toBe(failure === undefined ? 0 : 1);
      set.setAll([0]);
    }
  });

  it('or with close() are, too', async () => {
    const keeper = makeSet();
    for (let round = 0; round < 200; round++) {
      const set = SysvSemaphoreSet.fromId(keeper.id);
      const waits = failureOf(() => set.op(less));
      for (let turns = round % 6; turns > 0; turns--) await turn();
      keeper.setAll([1]);
      set.close();
      const failure = await waits;
      if (failure !== undefined) expect(failure).toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
      expect(keeper.get(0)).toBe(failure === undefined ? 0 : 1);
      keeper.setAll([0]);
    }
  });
});
