/** What becomes of a lock whose holder dies: whoever is next has it, and is told; until the data is whole, or given up. */
import { readFileSync } from 'node:fs';
import { SharedMemory } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { compileConstructor, withConstructors } from '../support/constructor.js';
import { failureOf } from '../support/failures.js';
import { exclusive, type Kind, kinds, withLocks, word } from '../support/locks.js';
import { shmName } from '../support/names.js';
import { clean, type Peer, startPeer } from '../support/peer.js';
import { withWorkers } from '../support/workers.js';

const notRecoverable = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_NOT_RECOVERABLE' });
const bytes = 256;
const forms = ['sync', 'async', 'try'] as const;

/** Takes the lock at each of `offsets`, then does `end` when it is told. */
const holding = (end: string) => `${withLocks}
  const memory = SharedMemory.open(args[1]);
  const guards = args[2].map((offset) => exclusive(args[0], memory, offset).takeSync());
  await send('holds');
  await next();
  ${end}`;

const holdingInWorker = (end: string) => `${withWorkers}
  const worker = startWorker(\`
    const memory = SharedMemory.open(workerData[1]);
    globalThis.guards = workerData[2].map((offset) =>
      workerData[0] === 'Mutex' ? Mutex.at(memory, offset).lockSync() : RwLock.at(memory, offset).writeSync());
    parentPort.once('message', () => parentPort.close());
    say();\`, args);
  await reply(worker);
  await send('holds');
  await next();
  ${end}
  await send('ended');
  await next();`;

/** Waits for the lock at `args[2]`, then tells what it got and recovers it. */
const waiting = `${withLocks}
  const lock = exclusive(args[0], SharedMemory.open(args[1]), args[2]);
  await send('waits');
  const guard = await had(lock, args[3]);
  await send(guard.abandoned);
  guard.recovered();
  guard.unlock();`;

/** A holder of the locks at six offsets, and a process that waits in each way for one of the first three. */
async function holderAndWaiters(kind: Kind, memory: SharedMemory, source: string, more: unknown[] = []) {
  const offsets = [0, 1, 2, 3, 4, 5].map((index) => index * bytes);
  const holder = startPeer(source, { args: [kind, memory.name, offsets, ...more] });
  expect(await holder.next()).toBe('holds');
  const waiters = forms.map((form, index) =>
    startPeer(waiting, { args: [kind, memory.name, offsets[index], form] }),
  );
  for (const [index, waiter] of waiters.entries()) {
    expect(await waiter.next()).toBe('waits');
    if (forms[index] !== 'try') {
      await expect.poll(() => word(memory, index * bytes)[0]).toBeLessThan(0);
    }
  }
  return { holder, waiters };
}

/** Each who waited, and each who comes now, finds its lock abandoned, once. */
async function expectAbandoned(kind: Kind, memory: SharedMemory, waiters: Peer[]): Promise<void> {
  for (const waiter of waiters) expect(await waiter.next()).toBe(true);
  for (const waiter of waiters) expect(await waiter.exited).toMatchObject(clean);
  for (const [index, form] of forms.entries()) {
    const lock = exclusive(kind, memory, (3 + index) * bytes);
    expect(lock.holder).toMatchObject({ alive: false });
    const take = { sync: lock.takeSync, async: lock.take, try: lock.tryTake }[form];
    const guard = await take();
    expect(guard?.abandoned).toBe(true);
    expect(lock.holder).toEqual({ pid: process.pid, alive: true });
    guard?.recovered();
    expect(guard?.abandoned).toBe(true);
    guard?.unlock();
  }
  for (let index = 0; index < 6; index++) {
    const guard = exclusive(kind, memory, index * bytes).takeSync();
    expect(guard.abandoned).toBe(false);
    guard.unlock();
  }
}

describe.each(kinds)('%s: when its holder', (kind) => {
  const memoryOfTest = () => {
    const memory = SharedMemory.create(shmName(), { size: 4096 });
    onTestFinished(() => memory.close());
    return memory;
  };

  it('is killed, all who wait and all who come later are told, each once', async () => {
    const memory = memoryOfTest();
    const { holder, waiters } = await holderAndWaiters(kind, memory, holding(''));
    holder.process.kill('SIGKILL');
    await holder.exited;
    await expectAbandoned(kind, memory, waiters);
  });

  it.each([
    ['calls process.exit()', holding('process.exit();')],
    ['comes to its end', holding('')],
    ['throws', holding('process.on("uncaughtException", () => process.exit(0)); throw new Error();')],
  ])('%s without unlocking, it is abandoned', async (_, source) => {
    const memory = memoryOfTest();
    const { holder, waiters } = await holderAndWaiters(kind, memory, source);
    holder.send('end');
    expect(await holder.exited).toMatchObject(clean);
    await expectAbandoned(kind, memory, waiters);
  });

  it.each([
    ['is terminated', 'await worker.terminate();'],
    ['comes to its end', "worker.postMessage('end'); await once(worker, 'exit');"],
  ])('is a worker that %s, it is abandoned, though the process lives', async (_, end) => {
    const memory = memoryOfTest();
    const { holder, waiters } = await holderAndWaiters(kind, memory, holdingInWorker(end));
    holder.send('end');
    expect(await holder.next()).toBe('ended');
    await expectAbandoned(kind, memory, waiters);
    holder.send('end');
    expect(await holder.exited).toMatchObject(clean);
  });

  it('becomes another program (execve), it is abandoned', async () => {
    const memory = memoryOfTest();
    const library = compileConstructor('execlp("sleep", "sleep", "1000", (char*)0);');
    const source = `${withConstructors} ${holding('load(args[3]);')}`;
    const { holder, waiters } = await holderAndWaiters(kind, memory, source, [library]);
    holder.send('exec');
    await expectAbandoned(kind, memory, waiters);
    expect(readFileSync(`/proc/${holder.process.pid}/comm`, 'utf8')).toBe('sleep\n');
  });

  it('is killed that has forked, the child keeps nothing', async () => {
    const memory = memoryOfTest();
    const library = compileConstructor(
      'pid_t child = fork(); if (child == 0) { for (int fd = 0; fd < 4; fd++) close(fd); for (;;) pause(); } printf("%d\\n", (int)child); fflush(stdout);',
    );
    const end = 'load(args[3]); await send("forked"); await next();';
    const { holder, waiters } = await holderAndWaiters(kind, memory, `${withConstructors} ${holding(end)}`, [
      library,
    ]);
    let child = 0;
    holder.process.stdout?.on('data', (text) => {
      child ||= Number(text);
    });
    onTestFinished(() => {
      if (child > 0) process.kill(child, 'SIGKILL');
    });
    holder.send('fork');
    expect(await holder.next()).toBe('forked');
    await expect.poll(() => child).toBeGreaterThan(0);
    holder.process.kill('SIGKILL');
    await expectAbandoned(kind, memory, waiters);
    expect(process.kill(child, 0)).toBe(true);
  });

  it('has dropped it, and all else that it has of the memory, it is abandoned once that is collected', async () => {
    const memory = memoryOfTest();
    const source = `${withLocks}
      (() => { exclusive(args[0], SharedMemory.open(args[1])).takeSync(); })();
      await send('dropped');
      next().then(() => process.exit());
      for (;;) {
        gc();
        await turns(1);
      }`;
    const peer = startPeer(source, { args: [kind, memory.name], execArgv: ['--expose-gc'] });
    expect(await peer.next()).toBe('dropped');
    const guard = await exclusive(kind, memory).take();
    expect(guard.abandoned).toBe(true);
    guard.recovered();
    guard.unlock();
    peer.send('end');
    expect(await peer.exited).toMatchObject(clean);
  });

  it('dies one after the other, each next one is told until one says recovered()', async () => {
    const memory = memoryOfTest();
    const source = `${withLocks}
      const guard = exclusive(args[0], SharedMemory.open(args[1])).takeSync();
      await send(guard.abandoned);
      await next();`;
    for (const abandoned of [false, true, true]) {
      const peer = startPeer(source, { args: [kind, memory.name] });
      expect(await peer.next()).toBe(abandoned);
      peer.process.kill('SIGKILL');
      await peer.exited;
    }
    const lock = exclusive(kind, memory);
    const guard = lock.takeSync();
    expect(guard.abandoned).toBe(true);
    guard.recovered();
    guard.unlock();
    const next = await lock.take();
    expect(next.abandoned).toBe(false);
    next.unlock();
  });
});

describe.each(kinds)('%s: unlocked without recovered() when it was abandoned', (kind) => {
  it('is not recoverable for anybody, waiting or new, in any process, until tryRepair()', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const lock = exclusive(kind, memory);
    const holder = startPeer(holding(''), { args: [kind, memory.name, [0]] });
    expect(await holder.next()).toBe('holds');
    holder.process.kill('SIGKILL');
    await holder.exited;
    const guard = lock.takeSync();
    expect(guard.abandoned).toBe(true);
    expect(lock.lock.tryRepair()).toBe(null);

    const refused = `${withLocks}
      const lock = exclusive(args[0], SharedMemory.open(args[1]));
      await send('waits');
      await assert.rejects(had(lock, args[2]), { code: 'ERR_INTERPROC_NOT_RECOVERABLE' });
      for (const how of ['sync', 'async', 'try']) {
        await assert.rejects(had(lock, how), { code: 'ERR_INTERPROC_NOT_RECOVERABLE' });
      }`;
    const peers = forms.map((form) => startPeer(refused, { args: [kind, memory.name, form] }));
    for (const peer of peers) expect(await peer.next()).toBe('waits');
    await expect.poll(() => word(memory)[0]).toBeLessThan(0);
    const own = [failureOf(() => lock.take()), failureOf(() => lock.take({ timeout: 1e6 }))];
    guard.unlock();
    for (const failure of own) expect(await failure).toEqual(notRecoverable);
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    expect(() => lock.takeSync()).toThrow(notRecoverable);
    expect(() => lock.tryTake()).toThrow(notRecoverable);
    expect(await failureOf(() => lock.take())).toEqual(notRecoverable);
    expect(lock.holder).toBe(null);

    const repairing = lock.lock.tryRepair();
    expect(repairing?.abandoned).toBe(true);
    expect(lock.holder).toEqual({ pid: process.pid, alive: true });
    repairing?.unlock();
    expect(() => lock.takeSync()).toThrow(notRecoverable);
    const repaired = lock.lock.tryRepair();
    expect(lock.lock.tryRepair()).toBe(null);
    const waited = lock.take();
    repaired?.recovered();
    repaired?.unlock();
    const normal = await waited;
    expect(normal.abandoned).toBe(false);
    normal.unlock();
    expect(lock.lock.tryRepair()).toBe(null);
  });

  it('is what it was when the repairer dies: abandoned for the next one', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const lock = exclusive(kind, memory);
    const [state, , , writing] = [0, 1, 2, 3];
    word(memory)[state] = 0x3fff_ffff;
    word(memory)[writing] = kind === 'RwLock' ? 1 : 0;
    const peer = startPeer(
      `${withLocks}
      const guard = exclusive(args[0], SharedMemory.open(args[1])).lock.tryRepair();
      await send(guard.abandoned);
      await next();`,
      { args: [kind, memory.name] },
    );
    expect(await peer.next()).toBe(true);
    expect(lock.tryTake()).toBe(null);
    peer.process.kill('SIGKILL');
    const guard = await lock.take();
    expect(guard.abandoned).toBe(true);
    guard.recovered();
    guard.unlock();
  });
});
