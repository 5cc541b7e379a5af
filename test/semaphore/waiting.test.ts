/** Waits on semaphores: how they end, what they keep alive, and that nothing of them is left. */
import { Semaphore, SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failureOf, misuse, type Wrong } from '../support/failures.js';
import { collectGarbage, holdings, openDescriptors } from '../support/leaks.js';
import { semaphoreName } from '../support/names.js';
import { clean, runPeer, startPeer } from '../support/peer.js';
import { threads, until } from '../support/pipes.js';
import { closing } from '../support/sockets.js';
import { makeSemaphore } from '../support/sysv.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('waits for a permit', () => {
  it('end in ETIMEDOUT or an AbortError at any time, and take nothing', async () => {
    const semaphore = makeSemaphore();
    for (let turns = 0; turns < 8; turns++) {
      const controller = new AbortController();
      const reason = new Error('enough');
      const waits = [1, 2, 3].map(() => failureOf(() => semaphore.acquire({ signal: controller.signal })));
      for (let at = 0; at < turns; at++) await turn();
      controller.abort(reason);
      for (const each of waits)
        expect(await each).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: reason });
      expect(await failureOf(() => semaphore.acquire({ signal: controller.signal }))).toMatchObject({
        code: 'ABORT_ERR',
      });
    }
    const timedOut = { name: 'IpcError', code: 'ETIMEDOUT', syscall: 'sem_wait' };
    for (const timeout of [0, 0.01, 1, 3]) {
      for (const each of [1, 2].map(() => failureOf(() => semaphore.acquire({ timeout }))))
        expect(await each).toMatchObject(timedOut);
      expect(() => semaphore.acquireSync({ timeout })).toThrow(expect.objectContaining(timedOut));
    }
    semaphore.release();
    expect(semaphore.value).toBe(1);
    (await semaphore.acquire({ timeout: 0 })).release();
    semaphore.acquireSync({ timeout: 0 }).release();
  });

  it('end when the semaphore is closed, and those of other handles go on', async () => {
    const keeper = makeSemaphore();
    const semaphore = Semaphore.open(keeper.name as string);
    const others = keeper.acquire();
    const waits = [
      semaphore.acquire(),
      semaphore.acquire({ timeout: 50_000 }),
      semaphore.acquire({ signal: new AbortController().signal }),
    ].map((each) => failureOf(() => each));
    await turn();
    semaphore.close();
    semaphore.close();
    for (const each of waits)
      expect(await each).toMatchObject({ name: 'IpcError', code: 'ERR_INTERPROC_CLOSED' });
    keeper.release();
    await others;
  });

  it('go on when the name is unlinked', async () => {
    const semaphore = makeSemaphore();
    const other = closing(Semaphore.open(semaphore.name as string));
    const waits = other.acquire();
    semaphore.unlink();
    await turn();
    semaphore.release();
    await waits;
  });

  it('refuse options that are wrong', async () => {
    const semaphore = makeSemaphore(1);
    for (const call of [
      semaphore.acquire.bind(semaphore),
      semaphore.acquireSync.bind(semaphore),
    ] as Wrong[]) {
      for (const options of [null, 1, 'x', []])
        expect(await failureOf(() => call(options))).toEqual(
          misuse('TypeError', 'ERR_INVALID_ARG_TYPE', '"options"'),
        );
      for (const timeout of ['1', null, 1n])
        expect(await failureOf(() => call({ timeout }))).toEqual(
          misuse('TypeError', 'ERR_INVALID_ARG_TYPE', '"options.timeout"'),
        );
      for (const timeout of [-1, Number.NaN])
        expect(await failureOf(() => call({ timeout }))).toEqual(
          misuse('RangeError', 'ERR_OUT_OF_RANGE', '"options.timeout"'),
        );
    }
    for (const signal of [null, {}, new AbortController()])
      expect(await failureOf(() => semaphore.acquire({ signal } as Wrong))).toEqual(
        misuse('TypeError', 'ERR_INVALID_ARG_TYPE', '"options.signal"'),
      );
    expect(semaphore.value).toBe(1);
  });
});

describe('threads and memory', () => {
  it('that waits have taken are gone a moment after the last of them', async () => {
    const all = Array.from({ length: 20 }, () => makeSemaphore());
    const before = threads();
    const waits = all.flatMap((each) => [1, 2, 3].map(() => failureOf(() => each.acquire())));
    await turn();
    await turn();
    for (const each of all) each.close();
    for (const each of waits) expect(await each).toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
    await until(() => threads() <= before);
  });

  it('of a semaphore that is dropped go with it', async () => {
    const name = semaphoreName();
    Semaphore.create(name, { initial: 1 }).close();
    const before = [await holdings(), await openDescriptors()];
    const use = async () => {
      const semaphore = Semaphore.open(name);
      const permit = await semaphore.acquire();
      await failureOf(() => semaphore.acquire({ timeout: 0 }));
      permit.release();
    };
    for (let each = 0; each < 10; each++) await use();
    await expect.poll(async () => [await holdings(), await openDescriptors()]).toEqual(before);
  });

  it('of one that is dropped while somebody waits on it stay until that is over', async () => {
    const keeper = makeSemaphore();
    const waits = Semaphore.open(keeper.name as string).acquire();
    for (let each = 0; each < 3; each++) await turn();
    await collectGarbage();
    keeper.release();
    await waits;
  });
});

describe('a process', () => {
  const pending: Record<string, string> = {
    'waits on one semaphore': 'for (let each = 0; each < 30; each++) all[0].acquire().catch(() => {});',
    'waits on many semaphores': 'for (const each of all) each.acquire().catch(() => {});',
    'waits with a timeout': 'for (const each of all) each.acquire({ timeout: 1e9 }).catch(() => {});',
  };
  const head = `
    const memory = SharedMemory.anonymous({ size: 8192 });
    const all = Array.from({ length: 200 }, (_, at) => Semaphore.at(memory, at * 32, { initial: 0 }));`;

  it.each(Object.entries(pending))(
    'with %s ends at once by process.exit(), with its code',
    async (_, call) => {
      const source = `${head} ${call}
      setImmediate(() => process.exit(7));`;
      expect(await runPeer(source)).toMatchObject({ ...clean, code: 7 });
    },
  );

  it.each(Object.entries(pending))('with %s stays alive, unless they are unref()ed', async (_, call) => {
    const stays = `${head} ${call}
      process.on('exit', () => { process.exitCode ??= 3; });
      setTimeout(() => { process.exitCode = 7; process.exit(); }, 50).unref();`;
    const ends = await Promise.all([
      runPeer(stays),
      runPeer(`${head} ${call} for (const each of all) each.unref();`),
      runPeer(
        `${head} for (const each of all) each.unref(); ${call} for (const each of all) each.ref().unref();`,
      ),
    ]);
    expect(ends[0]).toMatchObject({ ...clean, code: 7 });
    expect(ends[1]).toMatchObject(clean);
    expect(ends[2]).toMatchObject(clean);
  });

  it('that waits ends when its permit has come', async () => {
    const semaphore = makeSemaphore();
    const source = `
      const semaphore = Semaphore.open(args[0]);
      semaphore.unref().acquire().then(() => console.log('came'));
      semaphore.ref();
      await send('waits');`;
    const peer = startPeer(source, { args: [semaphore.name] });
    expect(await peer.next()).toBe('waits');
    semaphore.release();
    expect(await peer.exited).toMatchObject({ ...clean, stdout: 'came\n' });
  });

  it('that waits uses no processor', async () => {
    const source = `${head}
      import { readdirSync, readFileSync } from 'node:fs';
      const idle = readdirSync('/proc/self/task');
      const turns = async (count) => { while (count-- > 0) await new Promise(setImmediate); };
      const waits = all.map((each) => each.acquire());
      await turns(300); // those that look awake first
      const ours = () => readdirSync('/proc/self/task').filter((task) => !idle.includes(task));
      while (ours().length < 2) await turns(1);
      const status = (task) => { try { return readFileSync('/proc/self/task/' + task + '/status', 'utf8'); } catch { return 'State:\\tX'; } };
      while (!ours().every((task) => /State:\\tS/.test(status(task)))) await turns(1);
      const switches = () => ours().map((task) => (status(task).match(/ctxt_switches:\\t\\d+/g) ?? []).join());
      // A thread that has just been given more to wait for may be on its way yet. Without futex_waitv each looks every second.
      let calm = 0;
      for (let before = switches().join(); calm < 3; ) {
        await turns(1000);
        const now = switches().join();
        calm = now === before ? calm + 1 : 0;
        before = now;
      }
      for (const each of all) each.release();
      await Promise.all(waits);`;
    expect(await runPeer(source)).toMatchObject(clean);
  });
});

describe('a closed semaphore', () => {
  it('says so in every method, and is closed again and again', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const named = makeSemaphore(1);
    const unnamed = Semaphore.at(memory, 0, { initial: 1 });
    for (const semaphore of [named, unnamed]) {
      semaphore.close();
      semaphore.close();
      semaphore[Symbol.dispose]();
      const closed = expect.objectContaining({
        name: 'IpcError',
        code: 'ERR_INTERPROC_CLOSED',
        message: semaphore === named ? `The semaphore '${named.name}' is closed` : 'The semaphore is closed',
      });
      const calls: Record<string, () => unknown> = {
        value: () => semaphore.value,
        linked: () => semaphore.linked,
        unlink: () => semaphore.unlink(),
        acquire: () => semaphore.acquire(),
        tryAcquire: () => semaphore.tryAcquire(),
        acquireSync: () => semaphore.acquireSync(),
        release: () => semaphore.release(),
      };
      for (const [title, call] of Object.entries(calls)) expect(await failureOf(call), title).toEqual(closed);
      const known = ['constructor', 'name', 'created', 'closed', 'close', 'ref', 'unref', Symbol.dispose];
      expect(
        Reflect.ownKeys(Semaphore.prototype).filter(
          (key) => !known.includes(key as string) && !((key as string) in calls),
        ),
      ).toEqual([]);
      semaphore.ref().unref();
      expect(semaphore.closed).toBe(true);
    }
  });
});

describe('the constructor', () => {
  it('is not for users, nor that of permits', () => {
    const semaphore = makeSemaphore(1);
    const Kind = Semaphore as Wrong;
    for (const args of [[], [Symbol('construct'), {}]])
      expect(() => new Kind(...args)).toThrow(misuse('TypeError', 'ERR_ILLEGAL_CONSTRUCTOR', 'Semaphore'));
    expect(semaphore.value).toBe(1);
  });
});
