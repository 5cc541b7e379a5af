/**
 * No wake-up of a semaphore is lost, and no permit is had twice: between handles, workers, processes and C programs, however
 * they wait, and whoever is killed meanwhile.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Semaphore, SharedMemory } from 'interproc';
import { afterAll, describe, expect, it } from 'vitest';
import { compile, startProgram } from '../interop/programs.js';
import { prefix, shmName } from '../support/names.js';
import { clean, startPeer } from '../support/peer.js';
import { closing } from '../support/sockets.js';
import { makeSemaphore } from '../support/sysv.js';
import { execArgv, withWorkers } from '../support/workers.js';

const folder = mkdtempSync(join(tmpdir(), prefix));
const inC = compile(new URL('turns.c', import.meta.url), folder);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** For the head of a script: ways to take a permit, by name. */
const ways = `
  const turn = () => new Promise(setImmediate);
  let state = 1;
  const random = (below) => (state = (state * 48271) % 2147483647) % below;
  const given = (promise, code) => promise.catch((error) => { if (error.code !== code) throw error; return null; });
  const takes = {
    acquire: (semaphore) => semaphore.acquire(),
    acquireSync: (semaphore) => semaphore.acquireSync(),
    async tryAcquire(semaphore) {
      for (;;) {
        const permit = semaphore.tryAcquire();
        if (permit !== null) return permit;
        await turn();
      }
    },
    async impatient(semaphore) {
      for (;;) {
        const permit = await given(semaphore.acquire({ timeout: random(4) / 8 }), 'ETIMEDOUT');
        if (permit !== null) return permit;
      }
    },
    async impatientSync(semaphore) {
      for (;;) {
        try {
          return semaphore.acquireSync({ timeout: random(4) / 8 });
        } catch (error) {
          if (error.code !== 'ETIMEDOUT') throw error;
        }
      }
    },
    async aborted(semaphore) {
      for (;;) {
        const controller = new AbortController();
        const acquiring = given(semaphore.acquire({ signal: controller.signal }), 'ABORT_ERR');
        for (let turns = random(9); turns > 0; turns--) await turn();
        controller.abort();
        const permit = await acquiring;
        if (permit !== null) return permit;
      }
    },
  };
  /** Adds 1 to a word so that whoever comes between is found out. */
  const count = async (semaphore, words, how, rounds) => {
    for (let round = 0; round < rounds; round++) {
      const permit = await takes[how](semaphore);
      const seen = words[0];
      if (round % 8 === 0) await turn();
      words[0] = seen + 1;
      permit.release();
    }
  };`;
const hows = ['acquire', 'acquireSync', 'tryAcquire', 'impatient', 'impatientSync', 'aborted'];

interface Counted {
  semaphore: Semaphore;
  memory: SharedMemory;
  /** What they have counted. */
  total(): number;
}

function counted(): Counted {
  const semaphore = makeSemaphore(1);
  const memory = closing(SharedMemory.create(shmName(), { size: 4096 }));
  return { semaphore, memory, total: () => new Int32Array(memory.buffer)[0] as number };
}

describe('a semaphore of one permit', () => {
  it('lets one in at a time, of many processes and C programs that take it in all ways', async () => {
    const { semaphore, memory, total } = counted();
    const [rounds, roundsInC] = [150, 3000];
    const source = `${ways}
      const [semaphore, memory, how, rounds] = args;
      await count(Semaphore.open(semaphore), new Int32Array(SharedMemory.open(memory).buffer), how, rounds);`;
    const peers = hows.map((how) => startPeer(source, { args: [semaphore.name, memory.name, how, rounds] }));
    const programs = [1, 2].map(() => startProgram(inC, ['count', semaphore.name, memory.name, roundsInC]));
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    for (const program of programs) await program.ended();
    expect(total()).toBe(hows.length * rounds + 2 * roundsInC);
    expect(semaphore.value).toBe(1);
  });

  it('lets one in at a time, of workers and of many handles in each', async () => {
    const { semaphore, memory, total } = counted();
    const rounds = 60;
    const source = `${withWorkers}
      const workers = [['acquireSync'], ['acquire', 'impatient', 'aborted'], ['acquire', 'tryAcquire', 'aborted']].map((hows) =>
        startWorker(args[2] + \`
          const { hows, semaphore, memory, rounds } = workerData;
          const words = new Int32Array(SharedMemory.open(memory).buffer);
          const shared = Semaphore.open(semaphore);
          // Each way with a handle of its own, and with one that all have.
          await Promise.all(hows.flatMap((how) => [
            count(Semaphore.open(semaphore), words, how, rounds),
            ...(hows.length > 1 ? [count(shared, words, how, rounds)] : []),
          ]));\`, { hows, semaphore: args[0], memory: args[1], rounds: args[3] }));
      for (const [code] of await Promise.all(workers.map((each) => once(each, 'exit')))) assert.equal(code, 0);`;
    const peer = startPeer(source, { args: [semaphore.name, memory.name, ways, rounds], execArgv });
    expect(await peer.exited).toMatchObject(clean);
    expect(total()).toBe(13 * rounds);
    expect(semaphore.value).toBe(1);
  });

  it('is still usable when processes that waited for it were killed', async () => {
    const { semaphore, memory, total } = counted();
    const rounds = 200;
    const source = `${ways}
      const [semaphore, memory, how, rounds] = args;
      await count(Semaphore.open(semaphore), new Int32Array(SharedMemory.open(memory).buffer), how, rounds);`;
    // These wait, and are killed while the permit is out.
    const victim = `
      const semaphore = Semaphore.open(args[0]);
      await send('waits');
      args[1] === 'acquireSync' ? semaphore.acquireSync() : await Promise.all([semaphore.acquire(), Semaphore.open(args[0]).acquire()]);`;
    for (const how of ['acquire', 'acquireSync']) {
      const permit = semaphore.acquireSync();
      const victims = [1, 2, 3].map(() => startPeer(victim, { args: [semaphore.name, how] }));
      for (const each of victims) expect(await each.next()).toBe('waits');
      for (const each of victims) each.process.kill('SIGKILL');
      for (const each of victims) expect(await each.exited).toMatchObject({ signal: 'SIGKILL', stderr: '' });
      permit.release();
      const before = total();
      const peers = ['acquire', 'acquireSync'].map((each) =>
        startPeer(source, { args: [semaphore.name, memory.name, each, rounds] }),
      );
      for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
      expect(total() - before).toBe(2 * rounds);
    }
    expect(semaphore.value).toBe(1);
  });
});

describe('a wake-up', () => {
  /** Asks and waits for the answer, each in turn. */
  async function play(first: Semaphore, second: Semaphore, how: string, rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      first.release();
      if (how === 'acquireSync') second.acquireSync();
      else if (how === 'acquire') await second.acquire();
      else {
        for (;;) {
          const taken = await second.acquire({ timeout: (round % 3) / 16 }).catch((error) => {
            if (error.code !== 'ETIMEDOUT') throw error;
            return null;
          });
          if (taken !== null) break;
        }
      }
    }
  }

  it.each(
    ['answer', 'hasty'].flatMap((inTheProgram) =>
      ['acquire', 'acquireSync', 'impatient'].map((here) => [inTheProgram, here] as const),
    ),
  )('is lost neither way between glibc and us: %s there, %s here', async (mode, how) => {
    const [first, second] = [makeSemaphore(), makeSemaphore()];
    const rounds = 600;
    const program = startProgram(inC, [mode, first.name, second.name, rounds]);
    await play(first, second, how, rounds);
    await program.ended();
    expect([first.value, second.value]).toEqual([0, 0]);
  });

  it('is lost neither way between two processes', async () => {
    const [first, second] = [makeSemaphore(), makeSemaphore()];
    const source = `
      const [first, second] = args.slice(0, 2).map((name) => Semaphore.open(name));
      for (let round = 0; round < args[2]; round++) {
        round % 2 === 0 ? await first.acquire() : first.acquireSync();
        second.release();
      }`;
    const peer = startPeer(source, { args: [first.name, second.name, 600] });
    await play(first, second, 'acquire', 300);
    await play(first, second, 'acquireSync', 300);
    expect(await peer.exited).toMatchObject(clean);
    expect([first.value, second.value]).toEqual([0, 0]);
  });

  it('of many at once reaches as many: in C programs, processes and handles together', async () => {
    const [first, second] = [makeSemaphore(), makeSemaphore()];
    const source = `
      const [first, second] = args.slice(0, 2).map((name) => Semaphore.open(name));
      const handles = [first, Semaphore.open(args[0]), Semaphore.open(args[0])];
      await Promise.all(handles.map(async (each) => {
        for (let round = 0; round < args[2]; round++) {
          await each.acquire();
          second.release();
        }
      }));`;
    const rounds = 40;
    const peers = [1, 2].map(() => startPeer(source, { args: [first.name, second.name, rounds] }));
    const programs = [1, 2].map(() => startProgram(inC, ['answer', first.name, second.name, rounds]));
    const others = 8 * rounds;
    const own = closing(Semaphore.open(first.name as string));
    const ours = Array.from({ length: 100 }, () => own.acquire());
    for (let given = 0; given < others + ours.length; given += 7)
      first.release(Math.min(7, others + ours.length - given));
    await Promise.all(ours);
    for (let got = 0; got < others; got++) got % 2 === 0 ? await second.acquire() : second.acquireSync();
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    for (const program of programs) await program.ended();
    expect([first.value, second.value]).toEqual([0, 0]);
  });
});
