/** Mutual exclusion: what processes, workers and tasks do under a lock, by all its calls and at random, adds up. */
import { RwLock, SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { kinds, withLocks, word } from '../support/locks.js';
import { shmName } from '../support/names.js';
import { clean, startPeer } from '../support/peer.js';
import { withWorkers } from '../support/workers.js';

/** Of the data under the lock, in words: two that a writer changes one after the other, and what all have counted. */
const data = 512;

/**
 * For a script: `seeded(seed)`, and `contend(lock, memory, seed, rounds)`, which takes the lock in all ways, gives up at
 * random, and gives how often it had it.
 */
const contending = `
  const seeded = (seed) => {
    let state = seed | 0;
    return (below) => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
    };
  };
  const expectedEnds = ['ETIMEDOUT', 'ABORT_ERR', 'ERR_INTERPROC_BUSY', 'ERR_INTERPROC_DEADLOCK'];
  const given = async (call) => {
    try { return await call(); } catch (error) {
      if (!expectedEnds.includes(error.code)) throw error;
      return null;
    }
  };
  const turns = async (count) => { while (count-- > 0) await new Promise(setImmediate); };
  const taking = ({ take, tryTake, takeSync }, random) => [
    () => take(),
    () => take({ timeout: random(30) / 10 }),
    () => {
      const controller = new AbortController();
      const taken = take({ signal: controller.signal });
      setImmediate(() => random(2) === 0 ? controller.abort() : turns(random(5)).then(() => controller.abort()));
      return taken;
    },
    () => tryTake(),
    () => takeSync({ timeout: random(30) / 10 }),
    () => takeSync({ timeout: random(3) === 0 ? Infinity : 5 }),
  ];
  /** Plain words: nothing but the lock keeps them together. */
  const write = async (words, random) => {
    assert.equal(words[${data}], words[${data} + 1]);
    const next = words[${data}] + 1;
    words[${data}] = next;
    if (random(3) === 0) await turns(1);
    assert.equal(words[${data}], next);
    words[${data} + 1] = next;
  };
  const read = async (words, random) => {
    const there = words[${data}];
    assert.equal(words[${data} + 1], there);
    if (random(3) === 0) await turns(1);
    assert.equal(words[${data}], there);
    assert.equal(words[${data} + 1], there);
  };
  const contend = async (forms, memory, seed, rounds) => {
    const words = new Int32Array(memory.buffer);
    let count = 0;
    const task = async (number) => {
      const random = seeded(seed * 100 + number);
      for (let round = 0; round < rounds; round++) {
        const { reads, ...form } = forms[random(forms.length)];
        const calls = taking(form, random);
        const guard = await given(calls[random(calls.length)]);
        if (guard === null) { await turns(1); continue; }
        assert.equal(guard.abandoned, false);
        await (reads ? read : write)(words, random);
        if (!reads) count++;
        guard.unlock();
      }
    };
    await Promise.all([task(1), task(2), task(3)]);
    return count;
  };
  const formsOf = (kind, memory) => {
    if (kind === 'Mutex') {
      const lock = Mutex.at(memory, 0);
      return [{ take: (o) => lock.lock(o), tryTake: () => lock.tryLock(), takeSync: (o) => lock.lockSync(o) }];
    }
    const lock = RwLock.at(memory, 0);
    const writes = { take: (o) => lock.write(o), tryTake: () => lock.tryWrite(), takeSync: (o) => lock.writeSync(o) };
    const reads = { reads: true, take: (o) => lock.read(o), tryTake: () => lock.tryRead(), takeSync: (o) => lock.readSync(o) };
    return [writes, reads, reads];
  };`;

const rounds = 250;

describe.each(kinds)('%s: what is counted under it', (kind) => {
  it.each([1, 2])(
    'adds up, between processes and their workers, in all ways and with those who give up (seed %i)',
    async (seed) => {
      using memory = SharedMemory.create(shmName(), { size: 4096 });
      const source = `${withWorkers} ${contending}
      const [kind, name, seed, rounds, code] = args;
      const worker = startWorker("import assert from 'node:assert/strict';" + code + \`
        const [kind, name, seed, rounds] = workerData;
        const memory = SharedMemory.open(name);
        const count = await contend(formsOf(kind, memory), memory, seed, rounds);
        parentPort.postMessage(count);\`, [kind, name, seed + 50, rounds]);
      const memory = SharedMemory.open(name);
      const theirs = reply(worker);
      const own = await contend(formsOf(kind, memory), memory, seed, rounds);
      await send(own + await theirs);`;
      const peers = [0, 1, 2].map((index) =>
        startPeer(source, { args: [kind, memory.name, seed * 10 + index, rounds, contending] }),
      );
      const counts = await Promise.all(peers.map((peer) => peer.next()));
      for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
      const sum = counts.reduce((all, count) => all + count, 0);
      expect(sum).toBeGreaterThan(100);
      expect([...new Int32Array(memory.buffer, data * 4, 2)]).toEqual([sum, sum]);
      expect((word(memory)[0] as number) & 0x3fff_ffff).toBe(0);
      if (kind === 'RwLock') expect(RwLock.at(memory, 0).readers).toBe(0);
    },
  );

  it('adds up between processes that do nothing else than block for it', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const source = `${withLocks}
      const memory = SharedMemory.open(args[1]);
      const words = new Int32Array(memory.buffer);
      const { takeSync } = exclusive(args[0], memory);
      await send('there');
      await next();
      for (let count = 0; count < 20_000; count++) {
        const guard = takeSync();
        words[${data}]++;
        guard.unlock();
      }`;
    const peers = [0, 1, 2].map(() => startPeer(source, { args: [kind, memory.name] }));
    for (const peer of peers) expect(await peer.next()).toBe('there');
    for (const peer of peers) peer.send('go');
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    expect(new Int32Array(memory.buffer)[data]).toBe(60_000);
  });
});
