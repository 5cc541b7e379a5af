/** What the others hear when a party of a barrier dies, and how they go on. */
import { Barrier, SharedMemory, SysvSharedMemory } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { failureOf } from '../support/failures.js';
import { turns } from '../support/locks.js';
import { shmName, sysvKey } from '../support/names.js';
import { clean, type Peer, startPeer } from '../support/peer.js';
import { withWorkers } from '../support/workers.js';

function make(parties: number) {
  const name = shmName();
  const memory = SharedMemory.create(name, { size: 4096 });
  onTestFinished(() => memory.close());
  return { name, memory, barrier: Barrier.at(memory, 0, { parties }) };
}

type Made = ReturnType<typeof make>;

const broken = { name: 'IpcError', code: 'ERR_INTERPROC_BROKEN' };
const untilArrived = ({ barrier }: Made, count: number) =>
  expect.poll(() => barrier.arrived, { timeout: 20_000, interval: 2 }).toBe(count);

/** A party that does what `then` says, having told that it takes part. */
const party = ({ name, barrier }: Made, then: string) =>
  startPeer(
    `const barrier = hold(Barrier.at(SharedMemory.open(args[0]), 0, { parties: args[1] }));
    await send('there');
    ${then}`,
    { args: [name, barrier.parties] },
  );

/** One that waits, and tells how that ended. */
const waiter = (made: Made, call: string) =>
  party(
    made,
    `let result;
    try {
      result = await barrier.${call};
    } catch (error) {
      result = error.code;
    }
    await send(result);
    await next();
    barrier.leave();`,
  );

async function kill(peer: Peer): Promise<void> {
  peer.process.kill('SIGKILL');
  await peer.exited;
}

const deaths: Record<string, (made: Made) => Promise<void>> = {
  waiting: async (made) => {
    const victim = party(made, 'barrier.wait();');
    await victim.next();
    await untilArrived(made, 3);
    await kill(victim);
  },
  blocked: async (made) => {
    const victim = party(made, 'barrier.waitSync();');
    await victim.next();
    await untilArrived(made, 3);
    await kill(victim);
  },
  'before it has arrived': async (made) => {
    const victim = party(made, 'setInterval(() => {}, 1e6);');
    await victim.next();
    await kill(victim);
  },
  'by coming to its end': async (made) => {
    expect(await party(made, '').exited).toMatchObject(clean);
  },
  'by throwing': async (made) => {
    expect(await party(made, 'throw new Error("bug");').exited).toMatchObject({ code: 1 });
  },
  'as a worker that is terminated': async ({ name }) => {
    const peer = startPeer(
      `${withWorkers}
      const source = 'Barrier.at(SharedMemory.open(workerData), 0, { parties: 4 }); say(); setInterval(() => {}, 1e6);';
      const worker = startWorker(source, args[0]);
      await reply(worker);
      await worker.terminate();
      await send('terminated');
      await next();`,
      { args: [name], execArgv: ['--expose-gc'] },
    );
    await peer.next();
  },
};

describe.each(Object.entries(deaths))('a party that dies %s', (_, die) => {
  it('breaks the barrier for all, however they wait', async () => {
    const made = make(4);
    const peers = [waiter(made, 'wait()'), waiter(made, 'waitSync()')];
    for (const peer of peers) await peer.next();
    await untilArrived(made, 2);
    await die(made);
    for (const peer of peers) {
      expect(await peer.next()).toBe('ERR_INTERPROC_BROKEN');
      peer.send('end');
    }
    const { barrier } = made;
    expect(barrier.broken).toBe(true);
    for (const call of [
      () => barrier.wait(),
      () => barrier.wait({ timeout: 0 }),
      () => barrier.waitSync(),
      () => barrier.waitSync({ timeout: 0 }),
      () => barrier.tryWait(),
    ])
      expect(await failureOf(call)).toMatchObject(broken);
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
  });
});

describe('a death', () => {
  it('is noticed by tryWait() alone', async () => {
    const made = make(3);
    await (deaths['before it has arrived'] as (made: Made) => Promise<void>)(made);
    expect(made.barrier.broken).toBe(false);
    expect(() => made.barrier.tryWait()).toThrow(expect.objectContaining(broken));
    expect(made.barrier.broken).toBe(true);
  });

  it.each(['wait', 'waitSync', 'tryWait'] as const)(
    'of one who has arrived is noticed by the last one to arrive, in %s()',
    async (call) => {
      const made = make(2);
      const victim = party(made, 'barrier.wait();');
      await victim.next();
      await untilArrived(made, 1);
      await kill(victim);
      expect(await failureOf(() => made.barrier[call]())).toMatchObject(broken);
    },
  );

  it('that nobody has noticed yet is told to all who wait, when it is reset', async () => {
    const made = make(3);
    const peers = [waiter(made, 'wait()'), waiter(made, 'waitSync()')];
    for (const peer of peers) await peer.next();
    await untilArrived(made, 2);
    for (const peer of peers) peer.process.kill('SIGSTOP');
    await (deaths['before it has arrived'] as (made: Made) => Promise<void>)(made);
    made.barrier.reset();
    expect([made.barrier.broken, made.barrier.arrived]).toEqual([false, 0]);
    for (const peer of peers) {
      peer.process.kill('SIGCONT');
      expect(await peer.next()).toBe('ERR_INTERPROC_BROKEN');
      peer.send('end');
      expect(await peer.exited).toMatchObject(clean);
    }
  });

  it.each(['wait()', 'waitSync()'])(
    'after a round is nothing to one who has been in it and wakes up late, in %s',
    async (call) => {
      const made = make(3);
      const late = waiter(made, call);
      const victim = party(made, 'barrier.wait(); setInterval(() => {}, 1e6);');
      await Promise.all([late.next(), victim.next()]);
      await untilArrived(made, 2);
      late.process.kill('SIGSTOP');
      expect(made.barrier.tryWait()).toBe(true);
      await kill(victim);
      expect(await failureOf(() => made.barrier.wait())).toMatchObject(broken);
      late.process.kill('SIGCONT');
      expect(await late.next()).toBe(false);
      late.send('end');
      expect(await late.exited).toMatchObject(clean);
    },
  );
});

describe('reset() of a broken barrier', () => {
  const breakIt = async (made: Made) => {
    const victim = party(made, 'setInterval(() => {}, 1e6);');
    await victim.next();
    await kill(victim);
    expect(() => made.barrier.tryWait()).toThrow(expect.objectContaining(broken));
  };

  it('lets those who are left and those who come go on, as often as need be', async () => {
    const made = make(3);
    const survivor = party(
      made,
      `for (let life = 0; life < 3; life++) {
        await assert.rejects(barrier.wait(), { code: 'ERR_INTERPROC_BROKEN' });
        await send('broken');
        await next();
        await barrier.wait();
      }
      barrier.leave();`,
    );
    await survivor.next();
    for (let life = 0; life < 3; life++) {
      await untilArrived(made, 1);
      await breakIt(made);
      await survivor.next();
      made.barrier.reset();
      expect([made.barrier.broken, made.barrier.arrived]).toEqual([false, 0]);
      survivor.send('go on');
      const replacement = party(made, 'await barrier.wait(); barrier.leave();');
      await replacement.next();
      await made.barrier.wait();
      expect(await replacement.exited).toMatchObject(clean);
    }
    expect(await survivor.exited).toMatchObject(clean);
  });

  it.each(['wait()', 'waitSync()'])(
    'is not taken for its opening by one who wakes up late, in %s',
    async (call) => {
      const made = make(3);
      const late = waiter(made, call);
      await late.next();
      await untilArrived(made, 1);
      late.process.kill('SIGSTOP');
      await breakIt(made);
      made.barrier.reset();
      late.process.kill('SIGCONT');
      expect(await late.next()).toBe('ERR_INTERPROC_BROKEN');
      late.send('end');
      expect(await late.exited).toMatchObject(clean);
    },
  );

  it('is not taken for its opening by one who wakes up many rounds later', async () => {
    const made = make(2);
    const late = waiter(made, 'wait()');
    await late.next();
    await untilArrived(made, 1);
    late.process.kill('SIGSTOP');
    await breakIt(made);
    made.barrier.reset();
    for (let round = 0; round < 5; round++) await Promise.all([made.barrier.wait(), made.barrier.wait()]);
    late.process.kill('SIGCONT');
    expect(await late.next()).toBe('ERR_INTERPROC_BROKEN');
    late.send('end');
    expect(await late.exited).toMatchObject(clean);
  });

  it('takes the arrivals of the broken round back', async () => {
    const made = make(3);
    const waiting = failureOf(() => made.barrier.wait());
    await breakIt(made);
    made.barrier.reset();
    expect(await waiting).toMatchObject(broken);
    expect(made.barrier.arrived).toBe(0);
    const next = [made.barrier.wait(), made.barrier.wait()];
    await turns(60);
    expect(made.barrier.tryWait()).toBe(true);
    expect(await Promise.all(next)).toEqual([false, false]);
  });
});

describe('a barrier whose parties of an earlier run are all dead', () => {
  const dead = async (then: string) => {
    const made = make(2);
    const victim = party(made, then);
    await victim.next();
    if (then.includes('wait')) await untilArrived(made, 1);
    await kill(victim);
    return made;
  };

  it.each([
    ['waiting', 'barrier.wait();'],
    ['before they had arrived', 'setInterval(() => {}, 1e6);'],
  ])('starts afresh: they died %s', async (_, then) => {
    const { barrier, memory, name } = await dead(then);
    barrier.leave();
    const again = Barrier.at(memory, 0, { parties: 2 });
    expect([again.broken, again.arrived]).toEqual([false, 0]);
    const waiting = again.wait();
    const peer = startPeer(
      `const barrier = Barrier.at(SharedMemory.open(args[0]), 0, { parties: 2 });
      assert.equal(barrier.arrived, 1);
      assert.equal(barrier.waitSync(), true);
      barrier.leave();`,
      { args: [name] },
    );
    expect(await waiting).toBe(false);
    expect(await peer.exited).toMatchObject(clean);
  });

  it('starts afresh where it was broken', async () => {
    const { barrier, memory } = await dead('barrier.wait();');
    expect(() => barrier.tryWait()).toThrow(expect.objectContaining(broken));
    barrier.leave();
    expect(Barrier.at(memory, 0, { parties: 2 }).broken).toBe(false);
  });

  it('does so once, whoever open it at the same time: no arrival is lost', async () => {
    const { name, barrier } = make(4);
    barrier.leave();
    const source = `${withWorkers}
      const [name, rounds, parties] = [...args, 4];
      const memory = SharedMemory.open(name);
      const words = new Int32Array(memory.buffer);
      const gate = new Int32Array(new SharedArrayBuffer(8));
      const worker = \`
        const { name, gate, rounds, parties } = workerData;
        for (let round = 0; round < rounds; round++) {
          Atomics.wait(gate, 0, round);
          const memory = SharedMemory.open(name);
          const barrier = Barrier.at(memory, 0, { parties });
          barrier.waitSync();
          memory.close();
          Atomics.add(gate, 1, 1);
        }\`;
      const workers = Array.from({ length: parties }, () => startWorker(worker, { name, gate, rounds, parties }));
      for (const each of workers) each.on('error', (error) => { throw error; });
      for (let round = 0; round < rounds; round++) {
        // What those leave who were killed; nobody has such ids.
        words[0] = (round << 16) | (round % 3) | (round % 4 === 0 ? 0x80000000 : 0);
        for (let slot = 0; slot < round % 5; slot++) words[4 + 7 * slot] = 1 + slot;
        gate[1] = 0;
        Atomics.store(gate, 0, round + 1);
        Atomics.notify(gate, 0);
        while (Atomics.load(gate, 1) < parties) await new Promise((later) => setImmediate(later));
      }`;
    const made = startPeer(source, { args: [name, 150], execArgv: ['--expose-gc'] });
    expect(await made.exited).toMatchObject(clean);
  });
});

describe('a barrier that knows no deaths', () => {
  it('lies in a System V segment', async () => {
    const segment = SysvSharedMemory.create(sysvKey(), { size: 4096 });
    onTestFinished(() => {
      segment.remove();
      segment.close();
    });
    expect(() => Barrier.at(segment, 0, { parties: 2 })).toThrow(
      expect.objectContaining({ code: 'ERR_INTERPROC_NO_LIVENESS' }),
    );
    const barrier = Barrier.at(segment, 0, { parties: 2, recovery: false });
    const peer = startPeer(
      `const barrier = Barrier.at(SysvSharedMemory.open(args[0]), 0, { parties: 2, recovery: false });
      for (let round = 0; round < 50; round++) await (round % 2 ? barrier.wait() : barrier.waitSync());`,
      { args: [segment.key] },
    );
    for (let round = 0; round < 50; round++) await barrier.wait();
    expect(await peer.exited).toMatchObject(clean);
    // Nobody knows that it has ended.
    await expect(barrier.wait({ timeout: 5 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    expect(barrier.broken).toBe(false);
  });
});
