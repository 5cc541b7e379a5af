/** Permits of a semaphore: how they are given back, how many, and in which order they are had. */
import { Semaphore } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failureOf, misuse, systemError, type Wrong } from '../support/failures.js';
import { semaphoreName } from '../support/names.js';
import { clean, startPeer } from '../support/peer.js';
import { closing } from '../support/sockets.js';
import { makeSemaphore } from '../support/sysv.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a permit', () => {
  it('is given back once, however often that is said', async () => {
    const semaphore = makeSemaphore(3);
    const permits = [semaphore.tryAcquire(), semaphore.acquireSync(), await semaphore.acquire()];
    expect(semaphore.value).toBe(0);
    for (const [at, permit] of permits.entries()) {
      expect(permit?.released).toBe(false);
      permit?.release();
      permit?.release();
      permit?.[Symbol.dispose]();
      expect(permit?.released).toBe(true);
      expect(semaphore.value).toBe(at + 1);
    }
  });

  it('is given back at the end of its block, also when that throws', async () => {
    const semaphore = makeSemaphore(1);
    await expect(
      (async () => {
        using permit = await semaphore.acquire();
        expect([semaphore.value, permit.released]).toEqual([0, false]);
        throw new Error('in the middle');
      })(),
    ).rejects.toThrow('in the middle');
    expect(semaphore.value).toBe(1);
    for (const round of [1, 2, 3]) {
      using _ = round % 2 === 0 ? semaphore.acquireSync() : await semaphore.acquire();
      expect(semaphore.tryAcquire()).toBeNull();
    }
    expect(semaphore.value).toBe(1);
  });

  it('that is forgotten stays taken', async () => {
    const semaphore = makeSemaphore(2);
    semaphore.acquireSync();
    (await semaphore.acquire()) satisfies unknown;
    expect(semaphore.tryAcquire()).toBeNull();
    semaphore.release(2);
    expect(semaphore.value).toBe(2);
  });

  it('of a semaphore that was closed meanwhile can not be given back by it', () => {
    const keeper = makeSemaphore(1);
    const semaphore = Semaphore.open(keeper.name as string);
    const permit = semaphore.acquireSync();
    semaphore.close();
    expect(() => permit.release()).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_CLOSED' }));
    expect(keeper.value).toBe(0);
    keeper.release();
  });
});

describe('release', () => {
  it('of several lets as many go on, of all who wait', async () => {
    const semaphore = makeSemaphore();
    const handles = [1, 2, 3].map(() => closing(Semaphore.open(semaphore.name as string)));
    let over = 0;
    const waits = handles.flatMap((each) =>
      [each.acquire(), each.acquire()].map((wait) => wait.then(() => ++over)),
    );
    await turn();
    for (const [count, sum] of [
      [1, 1],
      [3, 4],
      [2, 6],
    ] as const) {
      semaphore.release(count);
      while (over < sum) await turn();
      for (let turns = 0; turns < 20; turns++) await turn();
      expect([over, semaphore.value]).toEqual([sum, 0]);
    }
    await Promise.all(waits);
  });

  it('of several reaches processes that block', async () => {
    const semaphore = makeSemaphore();
    const done = makeSemaphore();
    const source = `
      const [semaphore, done] = args.map((name) => Semaphore.open(name));
      await send('there');
      semaphore.acquireSync();
      done.release();`;
    const peers = [1, 2, 3, 4].map(() => startPeer(source, { args: [semaphore.name, done.name] }));
    for (const peer of peers) expect(await peer.next()).toBe('there');
    semaphore.release(3);
    for (let each = 0; each < 3; each++) done.acquireSync();
    expect([semaphore.value, done.value]).toEqual([0, 0]);
    semaphore.release();
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    expect(done.value).toBe(1);
  });

  it('above the highest value is EOVERFLOW, and gives nothing', () => {
    const semaphore = makeSemaphore(Semaphore.maxValue - 2);
    const failure = systemError('EOVERFLOW', 'sem_post', semaphore.name as string);
    expect(() => semaphore.release(3)).toThrow(failure);
    expect(semaphore.value).toBe(Semaphore.maxValue - 2);
    semaphore.release(2);
    expect(semaphore.value).toBe(2_147_483_647);
    expect(() => semaphore.release()).toThrow(failure);
    expect(() => semaphore.release(Semaphore.maxValue)).toThrow(failure);
    const permit = semaphore.acquireSync();
    semaphore.release();
    expect(() => permit.release()).toThrow(failure);
    expect(semaphore.value).toBe(2_147_483_647);
  });

  it('takes a whole number above 0', () => {
    const semaphore = makeSemaphore(5);
    const release = semaphore.release.bind(semaphore) as Wrong;
    for (const count of [null, '1', 1n, {}, []])
      expect(() => release(count)).toThrow(misuse('TypeError', 'ERR_INVALID_ARG_TYPE', '"count" argument'));
    for (const count of [0, -1, 0.5, 2 ** 31, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => release(count)).toThrow(misuse('RangeError', 'ERR_OUT_OF_RANGE', '"count"'));
    expect(semaphore.value).toBe(5);
  });

  it('inside of a loop of awaits lets the event loop have its turns', async () => {
    const semaphore = makeSemaphore(1);
    let turns = 0;
    const counting = setInterval(() => turns++, 1);
    while (turns < 3) (await semaphore.acquire()).release();
    clearInterval(counting);
  });
});

describe('those who wait', () => {
  it('get their permits in the order in which they asked, and nobody comes in between', async () => {
    const semaphore = makeSemaphore();
    const order: number[] = [];
    const waits = Array.from({ length: 30 }, (_, at) => semaphore.acquire().then(() => order.push(at)));
    semaphore.release(10);
    expect(semaphore.tryAcquire()).toBeNull();
    expect(() => semaphore.acquireSync({ timeout: 1000 })).toThrow(
      expect.objectContaining({
        code: 'ERR_INTERPROC_BUSY',
        message: expect.stringContaining(semaphore.name as string),
      }),
    );
    await waits[9];
    semaphore.release(20);
    await Promise.all(waits);
    expect(order).toEqual(Array.from({ length: 30 }, (_, at) => at));
    expect(semaphore.value).toBe(0);
  });

  it('and give up take nothing, and leave what came for them to others', async () => {
    const semaphore = makeSemaphore();
    const other = closing(Semaphore.open(semaphore.name as string));
    for (let round = 0; round < 300; round++) {
      const controller = new AbortController();
      const first = failureOf(() => semaphore.acquire({ signal: controller.signal }));
      const second = other.acquire({ timeout: 50_000 });
      for (let turns = round % 5; turns > 0; turns--) await turn();
      semaphore.release();
      controller.abort();
      const failure = await first;
      if (failure === undefined) semaphore.release();
      else expect(failure).toMatchObject({ code: 'ABORT_ERR' });
      await second;
      expect(semaphore.value).toBe(0);
    }
  });

  it('and whose semaphore is closed leave what came for them to others', async () => {
    const keeper = makeSemaphore();
    for (let round = 0; round < 200; round++) {
      const closed = Semaphore.open(keeper.name as string);
      const first = failureOf(() => closed.acquire());
      const second = keeper.acquire({ timeout: 50_000 });
      for (let turns = round % 5; turns > 0; turns--) await turn();
      keeper.release();
      closed.close();
      if ((await first) === undefined) keeper.release();
      await second;
      expect(keeper.value).toBe(0);
    }
  });

  it('may do so for one that another makes anew under the name only if they open it', async () => {
    const name = semaphoreName();
    using first = Semaphore.create(name, { initial: 0 });
    first.unlink();
    expect(() => first.unlink()).toThrow(systemError('ENOENT', 'sem_unlink'));
    using second = Semaphore.create(name, { initial: 1 });
    expect([first.linked, second.linked]).toEqual([false, true]);
    expect(first.tryAcquire()).toBeNull();
    const waits = first.acquire();
    second.release();
    await turn();
    first.release();
    await waits;
    expect([first.value, second.value]).toEqual([0, 2]);
  });
});
