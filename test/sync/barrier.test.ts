import { Barrier, SharedMemory } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { failureOf, misuse, type Wrong } from '../support/failures.js';
import { collectGarbage } from '../support/leaks.js';
import { turns } from '../support/locks.js';
import { shmName } from '../support/names.js';
import { clean, startPeer } from '../support/peer.js';

function make() {
  const name = shmName();
  const memory = SharedMemory.create(name, { size: 4096 });
  onTestFinished(() => memory.close());
  return { name, memory };
}

const until = (what: () => boolean) => expect.poll(what, { timeout: 20_000, interval: 2 }).toBe(true);
const timedOut = { code: 'ETIMEDOUT', syscall: 'wait' };

describe('a barrier', () => {
  it.each([
    ['one task each', [1, 1, 1, 1]],
    ['several tasks of a process', [3, 1, 2]],
    ['tasks of one process', [4]],
  ])('keeps its parties in step for many rounds, and tells one of them each time: %s', async (_, tasks) => {
    const { name, memory } = make();
    const parties = tasks.reduce((sum, each) => sum + each);
    const rounds = 300;
    // From word 1024 on: how many have come into a round, and how many were told in it.
    const source = `
      const [name, parties, tasks, rounds, blocks] = args;
      const memory = SharedMemory.open(name);
      const words = new Int32Array(memory.buffer);
      const barrier = Barrier.at(memory, 0, { parties });
      await send('there');
      await next();
      const came = (round) => 1024 + 2 * round;
      const task = async () => {
        for (let round = 0; round < rounds; round++) {
          Atomics.add(words, came(round), 1);
          const options = round % 2 === 0 ? undefined : { timeout: 1e6 };
          const isLast = blocks ? barrier.waitSync(options) : await barrier.wait(options);
          assert.equal(Atomics.load(words, came(round)), parties);
          if (isLast) Atomics.add(words, came(round) + 1, 1);
        }
      };
      await Promise.all(Array.from({ length: tasks }, task));
      barrier.leave();
      memory.close();`;
    memory.resize(4096 + 8 * rounds);
    const peers = tasks.map((count, i) =>
      startPeer(source, { args: [name, parties, count, rounds, count === 1 && i % 2 === 0] }),
    );
    for (const peer of peers) await peer.next();
    for (const peer of peers) peer.send('go');
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    const words = new Int32Array(memory.buffer, 4096);
    const expected = Array.from({ length: rounds }, () => [parties, 1]).flat();
    expect([...words]).toEqual(expected);
    expect(Barrier.at(memory, 0, { parties }).arrived).toBe(0);
  });

  it('of one party opens for everybody at once', async () => {
    const { memory } = make();
    const barrier = Barrier.at(memory, 0, { parties: 1 });
    expect(await barrier.wait()).toBe(true);
    expect(barrier.waitSync()).toBe(true);
    expect(barrier.waitSync({ timeout: 0 })).toBe(true);
    expect(await barrier.wait({ timeout: 0 })).toBe(true);
    expect(barrier.tryWait()).toBe(true);
  });

  it('opens for the one whose turn comes last, whoever waits before in the same thread', async () => {
    const { memory } = make();
    const barrier = Barrier.at(memory, 0, { parties: 3 });
    for (const pause of [0, 1, 60]) {
      const first = barrier.wait();
      await turns(pause);
      const second = barrier.wait({ timeout: 1e6 });
      await turns(pause);
      const third = barrier.wait();
      expect(await Promise.all([first, second, third])).toEqual([false, false, true]);
    }
  });

  it('tryWait() arrives only as the last one', async () => {
    const { memory } = make();
    const barrier = Barrier.at(memory, 0, { parties: 3 });
    expect([barrier.tryWait(), barrier.arrived]).toEqual([null, 0]);
    const waiting = [barrier.wait(), barrier.wait()];
    expect(barrier.arrived).toBe(2);
    expect(barrier.tryWait()).toBe(true);
    expect(await Promise.all(waiting)).toEqual([false, false]);
    expect([barrier.tryWait(), barrier.arrived]).toEqual([null, 0]);
  });

  it.each([{ timeout: 0 }, { timeout: 2 }, { timeout: 1e6, signal: AbortSignal.timeout(2) }])(
    'does not count who gave up: %j',
    async (options) => {
      const { memory } = make();
      const barrier = Barrier.at(memory, 0, { parties: 2 });
      for (let time = 0; time < 3; time++) {
        expect(await failureOf(() => barrier.wait(options))).toMatchObject({
          code: options.signal === undefined ? 'ETIMEDOUT' : 'ABORT_ERR',
        });
        expect(barrier.arrived).toBe(0);
      }
      if (options.signal === undefined) {
        expect(() => barrier.waitSync(options)).toThrow(expect.objectContaining(timedOut));
        expect(barrier.arrived).toBe(0);
      }
      // Nor in the middle of a line of waits.
      const patient = barrier.wait();
      expect(barrier.arrived).toBe(1);
      expect(barrier.tryWait()).toBe(true);
      expect(await patient).toBe(false);
    },
  );

  it('takes back an arrival in the middle of others', async () => {
    const { memory } = make();
    const barrier = Barrier.at(memory, 0, { parties: 4 });
    const abort = new AbortController();
    const first = barrier.wait();
    const given = failureOf(() => barrier.wait({ signal: abort.signal }));
    const last = barrier.wait();
    await turns(60);
    expect(barrier.arrived).toBe(3);
    abort.abort();
    expect(await given).toMatchObject({ code: 'ABORT_ERR' });
    expect(barrier.arrived).toBe(2);
    expect(barrier.tryWait()).toBeNull();
    const third = barrier.wait();
    expect(await barrier.wait()).toBe(true);
    expect(await Promise.all([first, last, third])).toEqual([false, false, false]);
  });

  it('has opened for one who is aborted in the tick in which the last one arrives', async () => {
    const { memory } = make();
    const barrier = Barrier.at(memory, 0, { parties: 2 });
    const other = SharedMemory.open(memory.name as string);
    onTestFinished(() => other.close());
    const there = Barrier.at(other, 0, { parties: 2 });
    for (const pause of [0, 60]) {
      const abort = new AbortController();
      const waiting = barrier.wait({ signal: abort.signal });
      await turns(pause);
      expect(there.tryWait()).toBe(true);
      abort.abort();
      expect(await waiting).toBe(false);
      expect(barrier.arrived).toBe(0);
    }
  });

  it('has two objects where a thread has its memory open twice', async () => {
    const { memory } = make();
    const again = SharedMemory.open(memory.name as string);
    const barriers = [memory, again].map((each) => Barrier.at(each, 0, { parties: 2 })) as [Barrier, Barrier];
    expect(barriers[0]).not.toBe(barriers[1]);
    expect(Barrier.at(memory, 0, { parties: 2 })).toBe(barriers[0]);
    for (let round = 0; round < 20; round++) {
      const waits = barriers.map((barrier) => barrier.wait());
      expect((await Promise.all(waits)).sort()).toEqual([false, true]);
    }
    // One goes without breaking anything.
    const waiting = failureOf(() => barriers[1].wait());
    again.close();
    expect(await waiting).toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
    expect([barriers[0].broken, barriers[0].arrived]).toEqual([false, 0]);
  });

  it('is no more that of a thread that leaves it', async () => {
    const { name, memory } = make();
    const barrier = Barrier.at(memory, 0, { parties: 2 });
    const waiting = failureOf(() => barrier.wait());
    barrier.leave();
    barrier.leave();
    const closed = { code: 'ERR_INTERPROC_CLOSED' };
    expect(await waiting).toMatchObject(closed);
    expect(barrier.closed).toBe(true);
    for (const call of [
      () => barrier.wait(),
      () => barrier.waitSync(),
      () => barrier.tryWait(),
      () => barrier.reset(),
      () => barrier.arrived,
      () => barrier.broken,
    ]) {
      expect(await failureOf(call)).toMatchObject(closed);
    }
    expect([barrier.parties, barrier.offset]).toEqual([2, 0]);
    // It may come back, in another object; and a process that has left it ends without harm.
    const back = Barrier.at(memory, 0, { parties: 2 });
    expect(back).not.toBe(barrier);
    const peer = startPeer(
      `const barrier = Barrier.at(SharedMemory.open(args[0]), 0, { parties: 2 });
      await barrier.wait({ timeout: 1 }).catch(() => {});
      barrier.leave();`,
      { args: [name] },
    );
    expect(await peer.exited).toMatchObject(clean);
    const round = back.wait();
    await turns(60);
    expect([back.tryWait(), await round, back.broken]).toEqual([true, false, false]);
  });

  it('that is collected has left it', async () => {
    const { memory } = make();
    const words = new Int32Array(memory.buffer);
    const entered = () => words.subarray(4, 128).filter((id) => id !== 0).length;
    const again = SharedMemory.open(memory.name as string);
    onTestFinished(() => again.close());
    const stays = Barrier.at(memory, 0, { parties: 2 });
    (() => Barrier.at(again, 0, { parties: 2 }))();
    expect(entered()).toBe(2);
    for (let round = 0; entered() > 1 && round < 100; round++) await collectGarbage();
    expect(entered()).toBe(1);
    expect(stays.tryWait()).toBeNull();
    expect(stays.broken).toBe(false);
  });

  it('that was collected is not broken by the end of its process', async () => {
    const { name, memory } = make();
    const barrier = Barrier.at(memory, 0, { parties: 2 });
    const entered = () => new Int32Array(memory.buffer).subarray(4, 128).filter((id) => id !== 0).length;
    const peer = startPeer(
      `(() => Barrier.at(SharedMemory.open(args[0]), 0, { parties: 2 }))();
      await send('there');
      const collecting = setInterval(gc, 5);
      await next();
      clearInterval(collecting);`,
      { args: [name], execArgv: ['--expose-gc'] },
    );
    await peer.next();
    await until(() => entered() === 1);
    peer.send('end');
    expect(await peer.exited).toMatchObject(clean);
    expect([barrier.tryWait(), barrier.broken]).toEqual([null, false]);
  });

  it('that somebody waits for is not collected', async () => {
    const { memory } = make();
    const again = SharedMemory.open(memory.name as string);
    onTestFinished(() => again.close());
    const waiting = (() => Barrier.at(again, 0, { parties: 2 }).unref().wait())();
    await turns(60);
    await collectGarbage();
    await collectGarbage();
    const barrier = Barrier.at(memory, 0, { parties: 2 });
    expect(barrier.arrived).toBe(1);
    expect(barrier.tryWait()).toBe(true);
    expect(await waiting).toBe(false);
  });

  it('is for as many parties as it was made for, 1 to 65,535', async () => {
    const { memory } = make();
    const at = (options: Wrong) => failureOf(() => Barrier.at(memory, 0, options));
    for (const parties of [0, -1, 65_536, 1.5, Number.NaN])
      expect(await at({ parties })).toEqual(misuse('RangeError', 'ERR_OUT_OF_RANGE', 'options.parties'));
    for (const options of [undefined, {}, { parties: '2' }, 2, null])
      expect(await at(options)).toEqual(misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'options'));
    expect(await at({ parties: 2, recovery: 1 })).toEqual(
      misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'options.recovery'),
    );
    const barrier = Barrier.at(memory, 0, { parties: 65_535 });
    expect(barrier.parties).toBe(65_535);
    const mismatch = { code: 'ERR_INTERPROC_MISMATCH' };
    expect(await at({ parties: 2 })).toMatchObject(mismatch);
    expect(await at({ parties: 65_535, recovery: false })).toMatchObject(mismatch);
    const again = SharedMemory.open(memory.name as string);
    onTestFinished(() => again.close());
    expect(() => Barrier.at(again, 0, { parties: 2 })).toThrow(expect.objectContaining(mismatch));
    // The one who was refused takes no part.
    expect(new Int32Array(memory.buffer).subarray(4, 128).filter((id) => id !== 0)).toHaveLength(1);
    expect(Barrier.at(again, 0, { parties: 65_535 }).parties).toBe(65_535);
  });

  it('has room for 124 processes and threads', async () => {
    const { memory } = make();
    const again = SharedMemory.open(memory.name as string);
    onTestFinished(() => again.close());
    Barrier.at(memory, 0, { parties: 2 });
    const slots = new Int32Array(memory.buffer).subarray(4, 128);
    const own = slots[0] as number;
    slots.fill(own);
    const open = () => Barrier.at(again, 0, { parties: 2 });
    expect(open).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_BUSY' }));
    slots[77] = 0;
    const barrier = open();
    expect(slots[77]).toBe(own);
    barrier.leave();
    expect(slots[77]).toBe(0);
    slots.fill(0, 1);
  });

  it('that is not broken is left alone by reset()', async () => {
    const { memory } = make();
    const barrier = Barrier.at(memory, 0, { parties: 2 });
    const waiting = barrier.wait();
    barrier.reset();
    expect(barrier.arrived).toBe(1);
    expect(barrier.tryWait()).toBe(true);
    expect(await waiting).toBe(false);
  });
});
