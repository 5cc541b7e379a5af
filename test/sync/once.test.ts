import { Once, SharedMemory, SysvSharedMemory } from 'interproc';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { failureOf, misuse, type Wrong } from '../support/failures.js';
import { turns } from '../support/locks.js';
import { shmName, sysvKey } from '../support/names.js';
import { clean, type Peer, startPeer } from '../support/peer.js';
import { withWorkers } from '../support/workers.js';

function make() {
  const name = shmName();
  const memory = SharedMemory.create(name, { size: 4096 });
  onTestFinished(() => memory.close());
  return { name, memory, once: Once.at(memory, 0) };
}

type Made = ReturnType<typeof make>;

const ways = ['run', 'runSync', 'tryRun'] as const;
const fresh = { abandoned: false };
/** The words of the object: who does it. */
const isWaitedFor = ({ memory }: Made) =>
  expect.poll(() => new Int32Array(memory.buffer)[0], { timeout: 20_000, interval: 2 }).toBeLessThan(0);

/** A peer that begins, and does what `work` says; `send` and `next` are at hand. */
const runner = ({ name }: Made, work: string) =>
  startPeer(
    `const once = Once.at(SharedMemory.open(args[0]), 0);
    try {
      await send({ ran: await once.run(async (state) => { await send(state); ${work} }) });
    } catch (error) {
      await send({ error: error.message });
    }`,
    { args: [name] },
  );

async function kill(peer: Peer): Promise<void> {
  peer.process.kill('SIGKILL');
  await peer.exited;
}

describe('what is to be done once', () => {
  it.each(ways)('is done by the first who comes, in %s()', async (way) => {
    const { once } = make();
    const work = vi.fn();
    expect(once.done).toBe(false);
    expect(await once[way](work)).toBe(true);
    expect(work.mock.calls).toEqual([[fresh]]);
    expect(once.done).toBe(true);
    for (const other of ways) expect(await once[other](work)).toBe(false);
    expect(work).toHaveBeenCalledTimes(1);
  });

  it('is done by one of many processes and tasks, and all others wait for it', async () => {
    const { name, memory, once } = make();
    const source = `
      const memory = SharedMemory.open(args[0]);
      const words = new Int32Array(memory.buffer);
      await send('there');
      await next();
      for (let at = 0; at < 30; at++) {
        const once = Once.at(memory, 16 * at);
        let ran;
        if (args[1] === 'runSync') {
          ran = [once.runSync(() => {
            Atomics.add(words, 512 + at, 1);
            for (let i = 0; i < 1e4; i++);
            words[600 + at]++;
          })];
        } else {
          const work = async () => {
            Atomics.add(words, 512 + at, 1);
            await new Promise((later) => setTimeout(later, at % 3));
            words[600 + at]++;
          };
          ran = await Promise.all([once.run(work), once.run(work, { timeout: 1e6 }), once.run(work)]);
        }
        assert.ok(once.done);
        assert.equal(words[600 + at], 1);
        Atomics.add(words, 700 + at, ran.filter(Boolean).length);
      }`;
    const peers = ['run', 'runSync', 'run', 'runSync'].map((way) => startPeer(source, { args: [name, way] }));
    for (const peer of peers) await peer.next();
    for (const peer of peers) peer.send('go');
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    const words = new Int32Array(memory.buffer);
    for (const from of [512, 600, 700])
      expect([...words.subarray(from, from + 30)]).toEqual(Array(30).fill(1));
    expect(once.done).toBe(true);
  });

  it('is waited for while another process does it, in all ways', async () => {
    const made = make();
    const first = runner(made, 'await next();');
    await first.next();
    const blocked = startPeer(
      `const once = Once.at(SharedMemory.open(args[0]), 0);
      assert.equal(once.tryRun(() => assert.fail()), null);
      assert.throws(() => once.runSync(() => assert.fail(), { timeout: 1 }), { code: 'ETIMEDOUT' });
      await send('there');
      assert.equal(once.runSync(() => assert.fail()), false);`,
      { args: [made.name] },
    );
    await blocked.next();
    const { once } = made;
    const fail = () => expect.unreachable();
    const waits = [once.run(fail), once.run(fail, { timeout: 1e6 })];
    await isWaitedFor(made);
    await turns(60);
    expect(once.tryRun(fail)).toBeNull();
    expect(once.done).toBe(false);
    first.send('end');
    expect(await first.next()).toEqual({ ran: true });
    expect(await Promise.all(waits)).toEqual([false, false]);
    expect(await blocked.exited).toMatchObject(clean);
    // Nothing is left to wait for.
    expect(once.runSync(fail, { timeout: 0 })).toBe(false);
    expect(await once.run(fail, { timeout: 0, signal: AbortSignal.abort() })).toBe(false);
  });

  it.each(ways)('is not done by work that throws in %s(): the next one does it', async (way) => {
    const { once } = make();
    const bug = new Error('bug');
    const fails = () => {
      throw bug;
    };
    expect(await failureOf(() => once[way](fails))).toBe(bug);
    expect(await failureOf(() => once.run(() => Promise.reject(bug)))).toBe(bug);
    expect(once.done).toBe(false);
    const work = vi.fn();
    expect(await once[way](work)).toBe(true);
    expect(work.mock.calls).toEqual([[fresh]]);
  });

  it('is done by one who waits, of any process, when work throws', async () => {
    const made = make();
    const first = runner(made, 'await next(); throw new Error("bug");');
    await first.next();
    const order: number[] = [];
    const waits = [0, 1].map((i) => made.once.run(() => void order.push(i)));
    await isWaitedFor(made);
    first.send('throw');
    expect(await first.next()).toEqual({ error: 'bug' });
    expect(await Promise.all(waits)).toEqual([true, false]);
    expect(order).toEqual([0]);
  });

  it('goes on over awaits: other tasks of the thread wait meanwhile', async () => {
    const { once } = make();
    let finish = () => {};
    const first = once.run(() => new Promise<void>((resolve) => (finish = resolve)));
    await turns(5);
    const second = once.run(() => expect.unreachable());
    await turns(60);
    expect(once.done).toBe(false);
    finish();
    expect(await Promise.all([first, second])).toEqual([true, false]);
  });

  it('is done by one region object of a thread that has its memory open twice, and waited for by the other', async () => {
    const { once, memory } = make();
    const again = SharedMemory.open(memory.name as string);
    onTestFinished(() => again.close());
    const other = Once.at(again, 0);
    let finish = () => {};
    const running = once.run(() => new Promise<void>((resolve) => (finish = resolve)));
    const waiting = other.run(() => expect.unreachable());
    await turns(60);
    expect(other.tryRun(() => expect.unreachable())).toBeNull();
    finish();
    expect(await Promise.all([running, waiting])).toEqual([true, false]);
    expect(other.done).toBe(true);
  });

  it('is done by another one where a wait is aborted in the tick in which its turn comes', async () => {
    for (const pause of [0, 60]) {
      const { once } = make();
      let fail = (_: Error) => {};
      const bug = new Error('bug');
      const first = failureOf(() => once.run(() => new Promise<void>((_, reject) => (fail = reject))));
      const abort = new AbortController();
      await turns(5);
      const work = vi.fn();
      const second = failureOf(() => once.run(work, { signal: abort.signal }));
      const third = once.run(work);
      await turns(pause);
      fail(bug);
      await Promise.resolve();
      abort.abort();
      expect(await first).toBe(bug);
      const failure = await second;
      if (failure !== undefined) expect(failure).toMatchObject({ code: 'ABORT_ERR' });
      expect(await third).toBe(failure !== undefined);
      expect(work).toHaveBeenCalledTimes(1);
    }
  });

  it('is not waited for by a thread that does it: that would never end', async () => {
    const { once } = make();
    const deadlock = { code: 'ERR_INTERPROC_DEADLOCK' };
    const fail = () => expect.unreachable();
    for (const way of ways) {
      await expect(
        (async () =>
          once[way](() => {
            expect(() => once.runSync(fail)).toThrow(expect.objectContaining(deadlock));
            expect(() => once.runSync(fail, { timeout: 1 })).toThrow(expect.objectContaining(deadlock));
            expect(once.tryRun(fail)).toBeNull();
            throw new Error('not yet');
          }))(),
      ).rejects.toThrow('not yet');
    }
    expect(await once.run(() => {})).toBe(true);
  });

  it('keeps its memory from being closed, from the moment that it is begun', async () => {
    const { once, memory } = make();
    const busy = { code: 'ERR_INTERPROC_BUSY' };
    let finish = () => {};
    const running = once.run(() => new Promise<void>((resolve) => (finish = resolve)));
    expect(() => memory.close()).toThrow(expect.objectContaining(busy)); // it is not called yet
    await turns(5);
    expect(() => memory.close()).toThrow(expect.objectContaining(busy));
    finish();
    expect(await running).toBe(true);
    memory.close();
    expect(once.closed).toBe(true);
    for (const call of [() => once.done, ...ways.map((way) => () => once[way](() => {}))])
      expect(await failureOf(call)).toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
  });

  it('leaves its memory free to be closed where it was done already, or work has thrown', async () => {
    const { once, memory } = make();
    await failureOf(() => once.run(() => Promise.reject(new Error('bug'))));
    const waits = [once.run(() => {}), once.run(() => expect.unreachable())];
    await Promise.all(waits);
    memory.close();
  });

  it('is a function', async () => {
    const { once } = make();
    for (const way of ways)
      for (const work of [undefined, null, 'work', {}] as Wrong[])
        expect(await failureOf(() => once[way](work))).toEqual(
          misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'work'),
        );
  });
});

describe('work whose process dies', () => {
  it.each(ways)('is done again by the next one, who is told, in %s()', async (way) => {
    const made = make();
    const first = runner(made, 'await next();');
    expect(await first.next()).toEqual(fresh);
    await kill(first);
    const work = vi.fn();
    expect(await made.once[way](work)).toBe(true);
    expect(work.mock.calls).toEqual([[{ abandoned: true }]]);
    expect(made.once.done).toBe(true);
  });

  it.each(['run', 'runSync'])('is done by one of those who wait, in %s()', async (way) => {
    const made = make();
    const first = runner(made, 'await next();');
    await first.next();
    const second = startPeer(
      `const once = Once.at(SharedMemory.open(args[0]), 0);
      let state;
      const ran = await once.${way}((told) => { state = told; });
      await send({ ran, state });`,
      { args: [made.name] },
    );
    await isWaitedFor(made);
    await kill(first);
    expect(await second.next()).toEqual({ ran: true, state: { abandoned: true } });
    expect(await second.exited).toMatchObject(clean);
    expect(made.once.done).toBe(true);
  });

  it('stays abandoned while those who do it again throw or die', async () => {
    const made = make();
    const abandoned = { abandoned: true };
    const first = runner(made, 'await next();');
    await first.next();
    await kill(first);
    const bug = new Error('bug');
    for (const way of ways) {
      const work = vi.fn(() => {
        throw bug;
      });
      expect(await failureOf(() => made.once[way](work))).toBe(bug);
      expect(work.mock.calls).toEqual([[abandoned]]);
    }
    const second = runner(made, 'await next();');
    expect(await second.next()).toEqual(abandoned);
    const waiting = made.once.run((state) => expect(state).toEqual(abandoned));
    await isWaitedFor(made);
    await kill(second);
    expect(await waiting).toBe(true);
    expect(made.once.done).toBe(true);
  });

  it.each(['terminate()', 'process.exit()'])('is abandoned in a worker, too: %s', async (end) => {
    const made = make();
    const peer = startPeer(
      `${withWorkers}
      const worker = startWorker(\`
        Once.at(SharedMemory.open(workerData), 0).run(async () => {
          say();
          ${end === 'terminate()' ? 'await new Promise((later) => setTimeout(later, 1e6));' : 'setTimeout(() => process.exit(), 5); await new Promise((later) => setTimeout(later, 1e6));'}
        });\`, args[0]);
      const ended = once(worker, 'exit');
      await reply(worker);
      ${end === 'terminate()' ? 'await worker.terminate();' : 'await ended;'}
      await send('over');
      await next();`,
      { args: [made.name], execArgv: ['--expose-gc'] },
    );
    expect(await peer.next()).toBe('over');
    const work = vi.fn();
    expect(made.once.tryRun(work)).toBe(true);
    expect(work.mock.calls).toEqual([[{ abandoned: true }]]);
    peer.send('end');
    expect(await peer.exited).toMatchObject(clean);
  });
});

describe('what is done once and knows no deaths', () => {
  it('lies in a System V segment', async () => {
    const segment = SysvSharedMemory.create(sysvKey(), { size: 4096 });
    onTestFinished(() => {
      segment.remove();
      segment.close();
    });
    expect(() => Once.at(segment, 0)).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_NO_LIVENESS' }));
    const once = Once.at(segment, 0, { recovery: false });
    const peer = startPeer(
      `const once = Once.at(SysvSharedMemory.open(args[0]), 0, { recovery: false });
      await once.run(async () => { await send('running'); await next(); });`,
      { args: [segment.key] },
    );
    await peer.next();
    const waiting = once.run(() => expect.unreachable());
    await turns(60);
    peer.send('end');
    expect(await waiting).toBe(false);
    expect(await peer.exited).toMatchObject(clean);
    const dying = startPeer(
      `const once = Once.at(SysvSharedMemory.open(args[0]), 16, { recovery: false });
      once.runSync(() => process.kill(process.pid, 'SIGKILL'));`,
      { args: [segment.key] },
    );
    await dying.exited;
    const lost = Once.at(segment, 16, { recovery: false });
    expect(lost.tryRun(() => {})).toBeNull();
    await expect(lost.run(() => {}, { timeout: 5 })).rejects.toMatchObject({
      code: 'ETIMEDOUT',
      syscall: 'run',
    });
  });
});
