/** Nobody starves: who waits gets the lock, however greedily others take it. Counted, not timed: a watchdog ends what starves. */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { RwLock, SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { exclusive, type Kind, kinds, turns, withLocks } from '../support/locks.js';
import { shmName } from '../support/names.js';
import { clean, type Peer, startPeer } from '../support/peer.js';

const rounds = 20;
/** Where peers look whether they should go on. */
const stopAt = 4092;
const countAt = 4088;

function arena() {
  const memory = SharedMemory.create(shmName(), { size: 4096 });
  const words = new Int32Array(memory.buffer);
  return {
    memory,
    async stop(peers: Peer[]) {
      Atomics.store(words, stopAt / 4, 1);
      for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
      memory.close();
    },
  };
}

const greedySource = `${withLocks}
  const memory = SharedMemory.open(args[1]);
  const words = new Int32Array(memory.buffer);
  const going = () => Atomics.load(words, ${stopAt / 4}) === 0;
  const lock = exclusive(args[0], memory);
  await send('greedy');`;

const greedy: Record<string, string> = {
  'blocks for it in a loop': 'while (going()) lock.takeSync().unlock();',
  'awaits it in a loop': 'while (going()) (await lock.take()).unlock();',
  'has two tasks that await it':
    'const task = async () => { while (going()) { const held = await lock.take(); await turns(1); held.unlock(); } }; await Promise.all([task(), task()]);',
  'takes it at once, and keeps it for a while':
    'while (going()) { const held = lock.takeSync(); for (let end = performance.now() + 0.2; performance.now() < end; ); held.unlock(); }',
};

/** Runs what follows on that processor, where there are several: on one, who is woken may go before who wakes. */
const onCpu = (cpu: number): string[] =>
  spawnSync('taskset', ['-c', '0,1', 'true']).status === 0 && availableParallelism() > 1
    ? ['taskset', '-c', String(cpu)]
    : [];
/** Leaves the lock for about a microsecond, in which nobody who is woken comes to take it unless it is kept for him. */
const hoggish = `while (going()) {
  const held = lock.takeSync();
  Atomics.add(words, ${countAt / 4}, 1);
  for (const end = performance.now() + 3; performance.now() < end; );
  held.unlock();
}`;
/**
 * So often may it come first in one round: from when the other process begins to wait until it has slept for once, if it has
 * no processor meanwhile. Then it is once or twice; without fairness it is hundreds of times in some round.
 */
const turnsOfHog = 150;

const patientSource = (take: string) => `${withLocks}
  const lock = exclusive(args[0], SharedMemory.open(args[1]));
  for (let round = 0; round < ${rounds}; round++) (${take}).unlock();
  await send('had it');`;

/** Sends how many turns the hog had while it waited, in the worst of its rounds. */
const countingSource = (make: string, take: string) => `${withLocks}
  const memory = SharedMemory.open(args[1]);
  const words = new Int32Array(memory.buffer);
  const count = () => Atomics.load(words, ${countAt / 4});
  const lock = ${make};
  const seen = [];
  while (count() === 0);
  for (let round = 0; round < ${rounds}; round++) {
    const before = count();
    (${take}).unlock();
    seen.push(count() - before);
  }
  await send(Math.max(...seen));`;

const startGreedy = async (
  kind: Kind,
  name: string | null,
  loop: string,
  wrapper: string[] = [],
): Promise<Peer> => {
  const peer = startPeer(greedySource + loop, { args: [kind, name], wrapper });
  expect(await peer.next()).toBe('greedy');
  return peer;
};

describe.each(kinds)('%s: a process that waits', (kind) => {
  it.each(Object.entries(greedy))('gets it again and again beside one that %s', async (_, loop) => {
    const { memory, stop } = arena();
    const other = await startGreedy(kind, memory.name, loop);
    const patient = ['lock.takeSync()', 'await lock.take()'].map((take) =>
      startPeer(patientSource(take), { args: [kind, memory.name] }),
    );
    for (const peer of patient) expect(await peer.next()).toBe('had it');
    for (let round = 0; round < rounds; round++) (await exclusive(kind, memory).take()).unlock();
    await stop([other, ...patient]);
  });

  it.each([
    ['lock.takeSync()', 'blocks for it', hoggish],
    ['await lock.take()', 'blocks for it', hoggish],
    [
      'lock.takeSync()',
      'only tries',
      hoggish
        .replace('takeSync()', 'tryTake()')
        .replace('Atomics', 'if (held === null) continue;\n  Atomics'),
    ],
  ])(
    'gets it after a few turns of one that leaves it for an instant only: %s, beside one that %s',
    async (take, _, loop) => {
      const { memory, stop } = arena();
      const hog = await startGreedy(kind, memory.name, loop, onCpu(0));
      const source = countingSource('exclusive(args[0], memory)', take);
      const patient = startPeer(source, { args: [kind, memory.name], wrapper: onCpu(1) });
      expect(await patient.next()).toBeLessThan(turnsOfHog);
      await stop([hog, patient]);
    },
  );

  it('gets it in a process that is greedy itself, in the order in which its tasks came', async () => {
    const memory = SharedMemory.anonymous({ size: 4096 });
    const lock = exclusive(kind, memory);
    let greedily = true;
    const task = (async () => {
      while (greedily) {
        const held = await lock.take();
        await turns(1);
        held.unlock();
      }
    })();
    for (let round = 0; round < rounds; round++) (await lock.take()).unlock();
    greedily = false;
    await task;
    memory.close();
  });
});

describe('RwLock', () => {
  /** Two that never both leave at once, unless a writer makes them. */
  const reading = (how: 'sync' | 'async') =>
    how === 'async'
      ? `const rw = RwLock.at(memory, 0);
         const task = async () => { while (going()) { const held = await rw.read(); await turns(2); held.unlock(); } };
         await Promise.all([task(), task(), task()]);`
      : `const rw = RwLock.at(memory, 0);
         while (going()) { const held = rw.readSync(); for (let end = performance.now() + 0.3; performance.now() < end; ); held.unlock(); }`;

  it.each(['sync', 'async'] as const)(
    'lets a writer in beside readers that overlap all the time (%s)',
    async (how) => {
      const { memory, stop } = arena();
      const readers = [
        await startGreedy('RwLock', memory.name, reading(how)),
        await startGreedy('RwLock', memory.name, reading(how)),
      ];
      const patient = startPeer(patientSource('lock.takeSync()'), { args: ['RwLock', memory.name] });
      for (let round = 0; round < rounds; round++) (await RwLock.at(memory, 0).write()).unlock();
      expect(await patient.next()).toBe('had it');
      await stop([...readers, patient]);
    },
  );

  it.each(['lock.readSync()', 'await lock.read()'])(
    'lets a reader in beside writers that follow each other: %s',
    async (take) => {
      const { memory, stop } = arena();
      const writers = [
        await startGreedy('RwLock', memory.name, greedy['blocks for it in a loop'] as string),
        await startGreedy(
          'RwLock',
          memory.name,
          greedy['takes it at once, and keeps it for a while'] as string,
        ),
      ];
      const source = `
      const lock = RwLock.at(SharedMemory.open(args[0]), 0);
      for (let round = 0; round < ${rounds}; round++) (${take}).unlock();
      await send('had it');`;
      const patient = startPeer(source, { args: [memory.name] });
      for (let round = 0; round < rounds; round++) (await RwLock.at(memory, 0).read()).unlock();
      expect(await patient.next()).toBe('had it');
      await stop([...writers, patient]);
    },
  );

  it.each(['lock.readSync()', 'await lock.read()'])(
    'lets a reader in after a few turns of a writer that leaves it for an instant only: %s',
    async (take) => {
      const { memory, stop } = arena();
      const hog = await startGreedy('RwLock', memory.name, hoggish, onCpu(0));
      const source = countingSource('RwLock.at(memory, 0)', take);
      const patient = startPeer(source, { args: ['RwLock', memory.name], wrapper: onCpu(1) });
      expect(await patient.next()).toBeLessThan(turnsOfHog);
      await stop([hog, patient]);
    },
  );

  it('serves readers and writers of one process in the order in which they came', async () => {
    const memory = SharedMemory.anonymous({ size: 4096 });
    const lock = RwLock.at(memory, 0);
    const came: string[] = [];
    const use = async (name: string, how: 'read' | 'write') => {
      const held = await lock[how]();
      came.push(name);
      await turns(1);
      held.unlock();
    };
    const first = lock.writeSync();
    const all = [
      use('r1', 'read'),
      use('r2', 'read'),
      use('w1', 'write'),
      use('r3', 'read'),
      use('w2', 'write'),
    ];
    first.unlock();
    await Promise.all(all);
    expect(came).toEqual(['r1', 'r2', 'w1', 'r3', 'w2']);
    const reading = lock.readSync();
    const writes = use('w3', 'write');
    const later = use('r4', 'read');
    expect(lock.tryRead()).toBe(null);
    await turns(100);
    reading.unlock();
    await Promise.all([writes, later]);
    expect(came.slice(5)).toEqual(['w3', 'r4']);
    memory.close();
  });

  it('lets readers in again that waited behind a writer who gives up', async () => {
    const { memory, stop } = arena();
    const reader = await startGreedy(
      'RwLock',
      memory.name,
      'const held = RwLock.at(memory, 0).readSync(); await send("reads"); await next(); held.unlock();',
    );
    expect(await reader.next()).toBe('reads');
    using again = SharedMemory.open(memory.name as string);
    const controller = new AbortController();
    const [writing, other] = [RwLock.at(memory, 0), RwLock.at(again, 0)];
    const written = writing.write({ signal: controller.signal }).catch((error) => error.code);
    await expect.poll(() => writing.writer?.pid).toBe(process.pid);
    const read = other.read();
    await turns(50);
    expect(other.tryRead()).toBe(null);
    controller.abort();
    expect(await written).toBe('ABORT_ERR');
    (await read).unlock();
    expect(writing.writer).toBe(null);
    writing.readSync().unlock();
    reader.send('go');
    await stop([reader]);
  });
});
