/** Workers and processes that end while they hold or wait for locks: they end at once, and leave nothing behind. */
import { SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { exclusive, kinds, withLocks, word } from '../support/locks.js';
import { shmName } from '../support/names.js';
import { clean, runPeer, startPeer } from '../support/peer.js';
import { execArgv, withWorkers } from '../support/workers.js';

const ways = [
  ['blocked in it', 'lock.takeSync();'],
  ['awaiting it', 'for (let count = 0; count < 50; count++) lock.take(); setInterval(() => {}, 1e6);'],
  ['trying it', 'for (;;) { lock.tryTake(); }'],
];

describe.each(kinds)('%s: a worker', (kind) => {
  it('contends with its own process and other workers as if it were a process', async () => {
    const source = `${withWorkers} ${withLocks}
      const memory = SharedMemory.anonymous({ size: 4096 });
      const lock = exclusive(args[0], memory);
      const guard = lock.takeSync();
      const words = new Int32Array(memory.buffer);
      const workers = [0, 1].map(() => startWorker(args[1] + \`
        const lock = exclusive(workerData.kind, SharedMemory.fromFd(workerData.fd));
        parentPort.postMessage(lock.tryTake() === null);
        const guard = lock.takeSync();
        parentPort.postMessage(!guard.abandoned);
        guard.unlock();\`, { kind: args[0], fd: memory.fd }));
      assert.deepEqual(await Promise.all(workers.map(reply)), [true, true]);
      const replies = workers.map(reply);
      while (words[0] >= 0) await turns(1);
      guard.unlock();
      assert.deepEqual(await Promise.all(replies), [true, true]);
      const last = await lock.take();
      assert.equal(last.abandoned, false);
      last.unlock();`;
    expect(await runPeer(source, { args: [kind, withLocks], execArgv })).toMatchObject(clean);
  });

  it.each(ways)(
    'is terminated while %s, and leaves no thread, descriptor or turn behind',
    async (_, wait) => {
      const source = `${withWorkers} ${withLocks}
      const memory = SharedMemory.anonymous({ size: 4096 });
      const lock = exclusive(args[0], memory);
      let before;
      for (let round = 0; round < 6; round++) {
        if (round === 2) {
          await settle();
          before = [fds(), threads()];
        }
        const guard = lock.takeSync();
        const workers = [0, 1].map(() => startWorker(args[1] + \`
          const lock = exclusive(workerData.kind, SharedMemory.fromFd(workerData.fd));
          parentPort.postMessage('waits');
          \` + args[2], { kind: args[0], fd: memory.fd }));
        await Promise.all(workers.map(reply));
        if (round % 2 === 0) guard.unlock();
        await Promise.all(workers.map((worker) => worker.terminate()));
        if (round % 2 === 1) guard.unlock();
        // It may have been taken in between: by who is dead now.
        const next = await lock.take();
        next.recovered();
        next.unlock();
      }
      await settle();
      while (threads() > before[1]) await new Promise(setImmediate);
      assert.deepEqual([fds(), threads()], before);
      memory.close();`;
      expect(await runPeer(source, { args: [kind, withLocks, wait], execArgv })).toMatchObject(clean);
    },
  );

  it.each(ways)('does not keep process.exit() from ending the process while %s', async (_, wait) => {
    const source = `${withWorkers} ${withLocks}
      const memory = SharedMemory.anonymous({ size: 4096 });
      const guard = exclusive(args[0], memory).takeSync();
      const worker = startWorker(args[1] + \`
        const lock = exclusive(workerData.kind, SharedMemory.fromFd(workerData.fd));
        parentPort.postMessage('waits');
        \` + args[2], { kind: args[0], fd: memory.fd });
      await reply(worker);
      process.exit(7);`;
    const exit = await runPeer(source, { args: [kind, withLocks, wait], execArgv });
    expect(exit).toMatchObject({ code: 7, signal: null, stderr: '' });
  });

  it('that comes to its end though it waits, unref()ed, takes no turn with it', async () => {
    const source = `${withWorkers} ${withLocks}
      const memory = SharedMemory.anonymous({ size: 4096 });
      const lock = exclusive(args[0], memory);
      const guard = lock.takeSync();
      const worker = startWorker(args[1] + \`
        const memory = SharedMemory.fromFd(workerData.fd);
        const waiting = exclusive(workerData.kind, memory);
        waiting.lock.unref();
        waiting.take();
        parentPort.postMessage('waits');\`, { kind: args[0], fd: memory.fd });
      const exit = once(worker, 'exit');
      await reply(worker);
      await exit;
      guard.unlock();
      const later = lock.takeSync();
      assert.equal(later.abandoned, false);
      later.unlock();`;
    expect(await runPeer(source, { args: [kind, withLocks], execArgv })).toMatchObject(clean);
  });
});

describe.each(kinds)('%s: a process', (kind) => {
  it.each([
    ['exits while it awaits it', 'lock.take(); lock.take({ timeout: 1e6 }); process.exit(7);'],
    [
      'throws while it awaits it',
      'lock.take(); process.on("uncaughtException", () => process.exit(7)); throw new Error();',
    ],
    ['exits holding it', 'other.takeSync(); process.exit(7);'],
    [
      'takes it in its exit handler',
      'process.on("exit", () => { other.takeSync().unlock(); }); process.exit(7);',
    ],
  ])('%s, and ends at once', async (_, end) => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const guard = exclusive(kind, memory).takeSync();
    const source = `${withLocks}
      const memory = SharedMemory.open(args[1]);
      const [lock, other] = [exclusive(args[0], memory), exclusive(args[0], memory, 1024)];
      ${end}`;
    const exit = await runPeer(source, { args: [kind, memory.name] });
    expect(exit).toMatchObject({ code: 7, signal: null, stderr: '' });
    guard.unlock();
    const next = exclusive(kind, memory).takeSync();
    expect(next.abandoned).toBe(false);
    next.unlock();
  });

  it('that is killed while it waits has taken no turn with it: the next one is served', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const lock = exclusive(kind, memory);
    const source = `${withLocks}
      const lock = exclusive(args[0], SharedMemory.open(args[1]));
      await send('waits');
      const guard = await had(lock, args[2]);
      if (guard.abandoned) guard.recovered(); // the one before had it already
      await send('had it');
      guard.unlock();`;
    for (const how of ['sync', 'async']) {
      const guard = lock.takeSync();
      const [victim, next] = [0, 1].map(() => startPeer(source, { args: [kind, memory.name, how] }));
      if (victim === undefined || next === undefined) throw new Error('no peers');
      expect(await victim.next()).toBe('waits');
      await expect.poll(() => word(memory)[0]).toBeLessThan(0);
      expect(await next.next()).toBe('waits');
      // Woken, or not yet: both must do.
      guard.unlock();
      victim.process.kill('SIGKILL');
      await victim.exited;
      expect(await next.next()).toBe('had it');
      expect(await next.exited).toMatchObject(clean);
      const last = await lock.take();
      last.recovered();
      last.unlock();
    }
  });

  it('that blocks is not disturbed by signals that Node handles, and hears of them once it has the lock', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const guard = exclusive(kind, memory).takeSync();
    const peer = startPeer(
      `${withLocks}
      const lock = exclusive(args[0], SharedMemory.open(args[1]));
      process.on('SIGUSR2', () => console.log('signal'));
      await send('blocks');
      const guard = lock.takeSync();
      console.log('has it');
      guard.unlock();
      await turns(50);`,
      { args: [kind, memory.name] },
    );
    expect(await peer.next()).toBe('blocks');
    await expect.poll(() => word(memory)[0]).toBeLessThan(0);
    for (let count = 0; count < 20; count++) peer.process.kill('SIGUSR2');
    guard.unlock();
    const exit = await peer.exited;
    expect(exit).toMatchObject(clean);
    expect(exit.stdout).toMatch(/^has it\n(signal\n)+$/);
  });
});
