/** What becomes of a condition, of its notifications and of its mutex when a process or thread dies over it. */
import { Condition, type LockOptions, Mutex, SharedMemory, SysvSharedMemory } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { failureOf } from '../support/failures.js';
import { shmName, sysvKey } from '../support/names.js';
import { clean, type Peer, startPeer } from '../support/peer.js';
import { withWorkers } from '../support/workers.js';

const conditionAt = 1024;

function make() {
  const name = shmName();
  const memory = SharedMemory.create(name, { size: 4096 });
  onTestFinished(() => memory.close());
  return { name, mutex: Mutex.at(memory, 0), condition: Condition.at(memory, conditionAt), memory };
}

type Made = ReturnType<typeof make>;

const untilWaiting = ({ mutex, condition }: Made, count: number) =>
  expect
    .poll(() => [condition.waiting, mutex.holder], { timeout: 20_000, interval: 2 })
    .toEqual([count, null]);

const head = `
  const memory = SharedMemory.open(args[0]);
  const mutex = Mutex.at(memory, 0);
  const condition = Condition.at(memory, ${conditionAt});`;

const how = ['wait', 'waitSync'];

/** A peer that locks, waits, and tells what its guard says then. */
const waiter = ({ name }: Made, call: string) =>
  startPeer(
    `${head}
    const held = await mutex.lock();
    await condition.${call}(held);
    const { abandoned } = held;
    held.recovered();
    held.unlock();
    await send({ abandoned });`,
    { args: [name] },
  );

async function kill(peer: Peer): Promise<void> {
  peer.process.kill('SIGKILL');
  await peer.exited;
}

describe.each(how)('a waiter in %s', (call) => {
  it.each(how)('that died asleep eats no notification: one in %s gets it', async (other) => {
    const made = make();
    const victims = [waiter(made, call), waiter(made, call)];
    await untilWaiting(made, 2);
    const survivor = waiter(made, other);
    await untilWaiting(made, 3);
    await Promise.all(victims.map(kill));
    // It goes to the first slot.
    expect(made.condition.notifyOne()).toBe(1);
    expect(await survivor.next()).toEqual({ abandoned: false });
    expect(await survivor.exited).toMatchObject(clean);
  });

  it('that died after it was notified, before it was back, hands it on', async () => {
    const made = make();
    const victim = waiter(made, call);
    await untilWaiting(made, 1);
    victim.process.kill('SIGSTOP');
    const survivor = waiter(made, call);
    await untilWaiting(made, 2);
    expect(made.condition.notifyOne()).toBe(1);
    await kill(victim);
    expect(await survivor.next()).toEqual({ abandoned: false });
    expect(await survivor.exited).toMatchObject(clean);
    expect(made.condition.waiting).toBe(0);
  });

  it('that died is counted no more once somebody has looked, and its place is free', async () => {
    const made = make();
    const victim = waiter(made, call);
    await untilWaiting(made, 1);
    await kill(victim);
    const held = await made.mutex.lock();
    const waiting = failureOf(() => made.condition.wait(held, { timeout: 1e6 }));
    await expect.poll(() => made.condition.waiting, { timeout: 20_000, interval: 2 }).toBe(1);
    expect(new Int32Array(made.memory.buffer, conditionAt)[8]).toBe(0);
    expect(made.condition.notifyAll()).toBe(1);
    expect(await waiting).toBeUndefined();
    held.unlock();
  });

  it('gets a mutex that was abandoned meanwhile, and is told so', async () => {
    const made = make();
    const survivor = waiter(made, call);
    await untilWaiting(made, 1);
    const victim = startPeer(
      `${head} mutex.lockSync(); condition.notifyOne(); await send('held'); setInterval(() => {}, 1e6);`,
      { args: [made.name] },
    );
    await victim.next();
    await kill(victim);
    expect(await survivor.next()).toEqual({ abandoned: true });
    made.mutex.lockSync().unlock();
    expect(await survivor.exited).toMatchObject(clean);
  });

  it('learns that its mutex is not recoverable, and does not have it', async () => {
    const made = make();
    const survivor = startPeer(
      `${head}
      const held = await mutex.lock();
      try {
        await condition.${call}(held);
      } catch (error) {
        await send([error.code, held.released]);
      }`,
      { args: [made.name] },
    );
    await untilWaiting(made, 1);
    const victim = startPeer(`${head} mutex.lockSync(); await send('held'); setInterval(() => {}, 1e6);`, {
      args: [made.name],
    });
    await victim.next();
    await kill(victim);
    made.mutex.lockSync().unlock(); // without recovered()
    expect(made.condition.notifyOne()).toBe(1);
    expect(await survivor.next()).toEqual(['ERR_INTERPROC_NOT_RECOVERABLE', true]);
    expect(await survivor.exited).toMatchObject(clean);
    expect(made.condition.waiting).toBe(0);
    const repaired = made.mutex.tryRepair();
    repaired?.recovered();
    repaired?.unlock();
  });

  it('in a worker that is terminated after it was notified hands it on', async () => {
    const made = make();
    const victim = startPeer(
      `${withWorkers}
      const worker = startWorker(\`
        const memory = SharedMemory.open(workerData);
        const mutex = Mutex.at(memory, 0), condition = Condition.at(memory, ${conditionAt});
        const held = mutex.lockSync();
        condition.wait(held);
        say();
        for (;;);\`, args[0]);
      await reply(worker);
      await send('waiting');
      await next();
      await worker.terminate();
      await send('terminated');
      await next();`,
      { args: [made.name], execArgv: ['--expose-gc'] },
    );
    await victim.next();
    await untilWaiting(made, 1);
    const survivor = waiter(made, call);
    await untilWaiting(made, 2);
    expect(made.condition.notifyOne()).toBe(1);
    victim.send('terminate');
    await victim.next();
    expect(await survivor.next()).toEqual({ abandoned: false });
    victim.send('end');
    expect(await victim.exited).toMatchObject(clean);
  });
});

describe('a guard whose mutex was abandoned', () => {
  const abandon = async (made: Made) => {
    const victim = startPeer(`${head} mutex.lockSync(); await send('held'); setInterval(() => {}, 1e6);`, {
      args: [made.name],
    });
    await victim.next();
    await kill(victim);
  };

  it('that waits before it has recovered() gives it up for good', async () => {
    const made = make();
    await abandon(made);
    const held = await made.mutex.lock();
    await expect(made.condition.wait(held, { timeout: 1 })).rejects.toMatchObject({
      code: 'ERR_INTERPROC_NOT_RECOVERABLE',
    });
    expect(held.released).toBe(true);
    expect(made.condition.waiting).toBe(0);
  });

  it('says after a wait what holds since: nobody has died any more', async () => {
    const made = make();
    await abandon(made);
    const held = await made.mutex.lock();
    expect(held.abandoned).toBe(true);
    held.recovered();
    await failureOf(() => made.condition.wait(held, { timeout: 1 }));
    expect(held.abandoned).toBe(false);
    held.unlock();
    made.mutex.lockSync().unlock();
  });
});

describe('a condition that knows no deaths', () => {
  const options: LockOptions = { recovery: false };

  it('lies in a System V segment, with its mutex', async () => {
    const segment = SysvSharedMemory.create(sysvKey(), { size: 4096 });
    onTestFinished(() => {
      segment.remove();
      segment.close();
    });
    expect(() => Condition.at(segment, conditionAt)).toThrow(
      expect.objectContaining({ code: 'ERR_INTERPROC_NO_LIVENESS' }),
    );
    const mutex = Mutex.at(segment, 0, options);
    const condition = Condition.at(segment, conditionAt, options);
    const peer = startPeer(
      `const memory = SysvSharedMemory.open(args[0]);
      const mutex = Mutex.at(memory, 0, { recovery: false });
      const condition = Condition.at(memory, ${conditionAt}, { recovery: false });
      const held = mutex.lockSync();
      condition.waitSync(held);
      await send('waitSync');
      await condition.wait(held);
      await send('wait');
      held.unlock();`,
      { args: [segment.key] },
    );
    for (const call of ['waitSync', 'wait']) {
      await expect.poll(() => condition.waiting, { timeout: 20_000, interval: 2 }).toBe(1);
      const held = await mutex.lock();
      expect(condition.notifyOne()).toBe(1);
      held.unlock();
      expect(await peer.next()).toBe(call);
    }
    expect(await peer.exited).toMatchObject(clean);
  });

  it('may go with a mutex that knows them', async () => {
    const made = make();
    const plain = Condition.at(made.memory, 2048, options);
    const held = await made.mutex.lock();
    const waiting = plain.wait(held);
    expect(plain.notifyOne()).toBe(1);
    await waiting;
    held.unlock();
  });
});
