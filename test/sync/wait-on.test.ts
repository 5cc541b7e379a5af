import { truncateSync } from 'node:fs';
import {
  MappedFile,
  type MappedRegion,
  SharedMemory,
  SysvSharedMemory,
  waitOn,
  waitOnSync,
  wake,
} from 'interproc';
import { describe, expect, it } from 'vitest';
import { collectGarbage, holdings } from '../support/leaks.js';
import { shmName, tempPath } from '../support/names.js';
import { clean, runPeer, startPeer } from '../support/peer.js';

/** Wakes until somebody was asleep: a wait that was just begun may be on its way to sleep. */
async function wakeSomebody(memory: MappedRegion<boolean>, offset: number, count?: number): Promise<number> {
  for (;;) {
    const woken = wake(memory, offset, count);
    if (woken > 0) return woken;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('waiting on a word', () => {
  const kinds: Record<string, () => MappedRegion> = {
    'a named object': () => SharedMemory.create(shmName(), { size: 8192 }),
    'anonymous memory': () => SharedMemory.anonymous({ size: 8192 }),
    'a file': () => MappedFile.create(tempPath(), { size: 8192 }),
    'a window': () => SharedMemory.anonymous({ size: 16_384 }).map({ offset: 4104 }),
    'a System V segment': () => {
      const segment = SysvSharedMemory.create(null, { size: 8192 });
      segment.remove();
      return segment;
    },
  };

  it.each(Object.entries(kinds))('ends when it is changed and woken: %s', async (_, make) => {
    using memory = make();
    const words = new Int32Array(memory.buffer);
    const waited = waitOn(memory, 4096, 0);
    words[1024] = 1;
    wake(memory, 4096);
    await waited;
  });

  it('ends at once where the word differs already', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    new Int32Array(memory.buffer)[1] = -1;
    await waitOn(memory, 4, 0);
    waitOnSync(memory, 4, 0);
    await waitOn(memory, 4, 5, { timeout: 0 });
    // -1 and 0xffffffff are the same 32 bits.
    await expect(waitOn(memory, 4, 0xffff_ffff, { timeout: 0 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  });

  it('works between processes, both ways, awaited and blocking', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const words = new Int32Array(memory.buffer);
    const rounds = 300;
    const source = (waiting: string) => `
      const memory = SharedMemory.open(args[0]);
      const words = new Int32Array(memory.buffer);
      for (let round = 1; round <= args[1]; round++) {
        while (Atomics.load(words, 0) < round) ${waiting}(memory, 0, round - 1);
        Atomics.store(words, 1, round);
        wake(memory, 4);
      }`;
    for (const waiting of ['await waitOn', 'waitOnSync']) {
      words.fill(0);
      const { exited } = startPeer(source(waiting), { args: [memory.name, rounds] });
      for (let round = 1; round <= rounds; round++) {
        Atomics.store(words, 0, round);
        wake(memory, 0);
        while (Atomics.load(words, 1) < round) await waitOn(memory, 4, round - 1);
      }
      expect(await exited).toMatchObject(clean);
    }
  });

  it('works through a read-only opening, which goes on following the object', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    using reader = SharedMemory.open(memory.name as string, { readOnly: true });
    const [written, seen] = [new Int32Array(memory.buffer), new Int32Array(reader.buffer)];
    for (let round = 1; round <= 20; round++) {
      const waited = waitOn(reader, 0, round - 1);
      written[0] = round;
      wake(memory, 0);
      await waited;
      expect(Atomics.load(seen, 0)).toBe(round);
    }
    const waited = waitOn(memory, 4, 0);
    written[1] = 1;
    wake(reader, 4);
    await waited;
  });

  it('wakes as many as asked for, and says how many slept', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    expect(wake(memory, 0)).toBe(0);
    let over = 0;
    const waits = Array.from({ length: 5 }, () => waitOn(memory, 0, 0).then(() => over++));
    expect(await wakeSomebody(memory, 0, 1)).toBe(1);
    await Promise.race(waits);
    expect(over).toBe(1);
    new Int32Array(memory.buffer)[0] = 1;
    wake(memory, 0);
    await Promise.all(waits);
  });

  it('passes a wake on that reached a wait which was just aborted', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const words = new Int32Array(memory.buffer);
    for (let round = 0; round < 200; round++) {
      const controller = new AbortController();
      words[0] = 0;
      const first = waitOn(memory, 0, 0, { signal: controller.signal }).catch((error) => error.code);
      const second = waitOn(memory, 0, 0);
      words[0] = 1;
      wake(memory, 0, 1);
      controller.abort();
      expect([undefined, 'ABORT_ERR']).toContain(await first);
      await second;
    }
  });

  it('ends in ETIMEDOUT, or in an AbortError with its cause, and leaves nothing behind', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    await expect(waitOn(memory, 0, 0, { timeout: 0.5 })).rejects.toMatchObject({
      name: 'IpcError',
      code: 'ETIMEDOUT',
    });
    await expect(waitOn(memory, 0, 0, { timeout: 0 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    expect(() => waitOnSync(memory, 0, 0, { timeout: 1 })).toThrow(
      expect.objectContaining({ code: 'ETIMEDOUT' }),
    );
    expect(() => waitOnSync(memory, 0, 0, { timeout: 0 })).toThrow(
      expect.objectContaining({ code: 'ETIMEDOUT' }),
    );
    const controller = new AbortController();
    const waited = waitOn(memory, 0, 0, { signal: controller.signal });
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(waited).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: reason });
    await expect(waitOn(memory, 0, 0, { signal: controller.signal })).rejects.toMatchObject({
      code: 'ABORT_ERR',
    });
    expect(memory.closed).toBe(false);
  });

  it('ends when the memory is closed, and goes on when it is resized', async () => {
    const memory = SharedMemory.create(shmName(), { size: 8192 });
    const closing = waitOn(memory, 0, 0);
    const lost = waitOn(memory, 4096, 0);
    memory.resize(4096);
    await expect(lost).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
    memory.resize(8192);
    const moved = waitOn(memory, 4, 0);
    memory.resize(12_288);
    new Int32Array(memory.buffer)[1] = 1;
    wake(memory, 4);
    await moved;
    memory.close();
    await expect(closing).rejects.toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
    expect(() => wake(memory, 0)).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_CLOSED' }));
    expect(() => waitOnSync(memory, 0, 0)).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_CLOSED' }));
    await expect(waitOn(memory, 0, 0)).rejects.toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
  });

  it('passes a wake on that reached a wait whose memory was closed at once', async () => {
    for (let round = 0; round < 100; round++) {
      using memory = SharedMemory.anonymous({ size: 4096 });
      const closing = SharedMemory.fromFd(memory.fd);
      new Int32Array(closing.buffer); // exposed, so that closing covers it
      const first = waitOn(closing, 0, 0).catch((error) => error.code);
      const second = waitOn(memory, 0, 0);
      new Int32Array(memory.buffer)[0] = 1;
      wake(memory, 0, 1);
      closing.close();
      expect([undefined, 'ERR_INTERPROC_CLOSED']).toContain(await first);
      await second;
    }
  });

  it('works for each of two evaluations of the package over one addon', async () => {
    const source = `
      const again = await import(import.meta.resolve('interproc') + '?again');
      const memory = SharedMemory.anonymous({ size: 4096 });
      const same = again.SharedMemory.fromFd(memory.fd);
      const words = new Int32Array(memory.buffer);
      const first = waitOn(memory, 0, 0);
      const second = again.waitOn(same, 4, 0);
      assert.notEqual(again.waitOn, waitOn);
      words[0] = 1;
      wake(memory, 0);
      await first;
      words[1] = 1;
      again.wake(same, 4);
      await second;`;
    expect(await runPeer(source)).toMatchObject(clean);
  });

  it.each([
    ['waitOn', false],
    ['waitOn', true],
    ['waitOnSync', false],
    ['waitOnSync', true],
    ['wake', false],
    ['wake', true],
  ])('says so when the word was truncated away: %s (read-only: %s)', async (use, readOnly) => {
    const path = tempPath();
    MappedFile.create(path, { size: 8192 }).close();
    using file = MappedFile.open(path, { readOnly });
    truncateSync(path, 0);
    const truncated = { code: 'ERR_INTERPROC_TRUNCATED' };
    if (use === 'wake') expect(() => wake(file, 4096)).toThrow(expect.objectContaining(truncated));
    if (use === 'waitOnSync') {
      expect(() => waitOnSync(file, 4096, 0)).toThrow(expect.objectContaining(truncated));
    }
    if (use === 'waitOn') await expect(waitOn(file, 4096, 0)).rejects.toMatchObject(truncated);
  });

  it('refuses what is no memory, no offset of a word in it, and no 32-bit value', async () => {
    using memory = SharedMemory.anonymous({ size: 100 });
    const bad: [unknown[], string][] = [
      [[new ArrayBuffer(8), 0, 0], 'ERR_INVALID_ARG_TYPE'],
      [[null, 0, 0], 'ERR_INVALID_ARG_TYPE'],
      [[memory, '0', 0], 'ERR_INVALID_ARG_TYPE'],
      ...[-4, 2, 97, 100, 0.5, Number.NaN, 2 ** 60].map((offset): [unknown[], string] => [
        [memory, offset, 0],
        'ERR_OUT_OF_RANGE',
      ]),
    ];
    const badWaits: [unknown[], string][] = [
      ...bad,
      [[memory, 0, 0n], 'ERR_INVALID_ARG_TYPE'],
      [[memory, 0, 2 ** 32], 'ERR_OUT_OF_RANGE'],
      [[memory, 0, 1, { timeout: -1 }], 'ERR_OUT_OF_RANGE'],
      [[memory, 0, 1, { timeout: Number.NaN }], 'ERR_OUT_OF_RANGE'],
      [[memory, 0, 1, { timeout: '1' }], 'ERR_INVALID_ARG_TYPE'],
    ];
    for (const [args, code] of badWaits) {
      await expect((waitOn as any)(...args), String(args)).rejects.toMatchObject({ code });
      expect(() => (waitOnSync as any)(...args), String(args)).toThrow(expect.objectContaining({ code }));
    }
    await expect((waitOn as any)(memory, 0, 1, { signal: {} })).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    });
    for (const [args, code] of bad)
      expect(() => (wake as any)(args[0], args[1])).toThrow(expect.objectContaining({ code }));
    for (const count of [-1, 1.5, 2 ** 31])
      expect(() => wake(memory, 0, count)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }));
  });

  it('leaks no descriptor and no mapping', async () => {
    const before = await holdings();
    await (async () => {
      const memory = SharedMemory.anonymous({ size: 4096 });
      const waits = Array.from({ length: 200 }, (_, at) => waitOn(memory, at * 4, 0).catch(() => {}));
      memory.close();
      await Promise.all(waits);
    })();
    await expect.poll(holdings).toEqual(before);
  });
});

describe('a wait that is over', () => {
  it('is forgotten, however it ended: the memory holds on to nothing of it', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const remembered: WeakRef<AbortSignal>[] = [];
    const use = async (
      expected: number,
      offset: number,
      how: 'differs' | 'woken' | 'aborted' | 'refused',
    ) => {
      const controller = new AbortController();
      remembered.push(new WeakRef(controller.signal));
      const waited = waitOn(memory, offset, expected, { signal: controller.signal });
      if (how === 'woken') {
        new Int32Array(memory.buffer)[offset / 4] = 9;
        wake(memory, offset);
      }
      if (how === 'aborted') controller.abort();
      await waited.catch(() => {});
      controller.abort(); // too late for anybody
    };
    await use(1, 0, 'differs');
    await use(0, 4, 'woken');
    await use(0, 8, 'aborted');
    await use(0, 4096, 'refused');
    await expect
      .poll(async () => {
        await collectGarbage();
        return remembered.filter((each) => each.deref() !== undefined).length;
      })
      .toBe(0);
  });
});

describe('a process with waits pending', () => {
  const many = process.env.INTERPROC_NO_FUTEX_WAITV ? 500 : 10_000;

  it(`may have ${many} of them, and uses no CPU meanwhile`, async () => {
    const source = `
      import { readdirSync, readFileSync } from 'node:fs';
      const memory = SharedMemory.anonymous({ size: 1 << 20 });
      const words = new Int32Array(memory.buffer);
      const idle = readdirSync('/proc/self/task');
      const waits = Array.from({ length: args[0] }, (_, at) => waitOn(memory, at * 4, 0));
      const threads = readdirSync('/proc/self/task').filter((task) => !idle.includes(task));
      const turns = async (count) => { while (count-- > 0) await new Promise(setImmediate); };
      const status = (task) => readFileSync('/proc/self/task/' + task + '/status', 'utf8');
      const asleep = () => threads.every((task) => /State:\\tS/.test(status(task)));
      while (!asleep()) await turns(1);
      const switches = () => threads.map((task) => status(task).match(/ctxt_switches:\\t\\d+/g).join());
      const before = switches();
      await turns(2000);
      assert.deepEqual(switches(), before); // none of them ran
      for (let at = 0; at < args[0]; at++) { words[at] = 1; wake(memory, at * 4); }
      await Promise.all(waits);`;
    expect(await runPeer(source, { args: [many] })).toMatchObject(clean);
  });

  it('is kept alive by them, and ends when the last is over', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const peer = startPeer(
      `waitOn(SharedMemory.open(args[0]), 0, 0).then(() => console.log('woken'));
       await send('waiting');`,
      { args: [memory.name] },
    );
    expect(await peer.next()).toBe('waiting');
    new Int32Array(memory.buffer)[0] = 1;
    wake(memory, 0);
    expect(await peer.exited).toMatchObject({ ...clean, stdout: 'woken\n' });
  });

  it('ends at once on process.exit, also while workers block', async () => {
    const source = `
      import { Worker } from 'node:worker_threads';
      const memory = SharedMemory.anonymous({ size: 4096 });
      for (let at = 0; at < 300; at++) waitOn(memory, 0, 0);
      const worker = new Worker(\`
        import { parentPort, workerData } from 'node:worker_threads';
        import { SharedMemory, waitOnSync } from 'interproc';
        const memory = SharedMemory.fromFd(workerData);
        parentPort.postMessage('blocking');
        waitOnSync(memory, 0, 0);\`, { eval: true, workerData: memory.fd });
      worker.once('message', () => process.exit(7));`;
    expect(await runPeer(source)).toMatchObject({ code: 7, signal: null, stderr: '' });
  });

  it('keeps no thread of a worker that was terminated, awaiting or blocked', async () => {
    const source = `
      import { readdirSync } from 'node:fs';
      import { Worker } from 'node:worker_threads';
      const memory = SharedMemory.anonymous({ size: 4096 });
      const threads = () => readdirSync('/proc/self/task').length;
      let before;
      for (const how of ['await Promise.all', 'block', 'await Promise.all']) {
        const worker = new Worker(\`
          import { parentPort, workerData } from 'node:worker_threads';
          import { SharedMemory, waitOn, waitOnSync } from 'interproc';
          const memory = SharedMemory.fromFd(workerData.fd);
          const waits = Array.from({ length: 300 }, (_, at) => waitOn(memory, at * 4, 0));
          parentPort.postMessage('waiting');
          workerData.how === 'block' ? waitOnSync(memory, 0, 0) : await Promise.all(waits);\`, { eval: true, workerData: { fd: memory.fd, how } });
        await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
        await worker.terminate();
        before ??= threads();
      }
      // Threads leave in their own time, and no more than one worker's may be on their way.
      while (threads() > before) await new Promise(setImmediate);
      new Int32Array(memory.buffer).fill(1);`;
    expect(await runPeer(source)).toMatchObject(clean);
  });

  it('refuses a wait past 500 where the kernel has no futex_waitv, and says why', async () => {
    const source = `
      const memory = SharedMemory.anonymous({ size: 8192 });
      const words = new Int32Array(memory.buffer);
      const waits = Array.from({ length: 500 }, (_, at) => waitOn(memory, at * 4, 0));
      await assert.rejects(waitOn(memory, 4000, 0), { code: 'ENOSYS', syscall: 'futex_waitv', message: /Linux 5.16.* 500 / });
      words[0] = 1;
      wake(memory, 0);
      await waits[0];
      const controller = new AbortController();
      const aborted = waitOn(memory, 4000, 0, { signal: controller.signal });
      controller.abort();
      await assert.rejects(aborted, { code: 'ABORT_ERR' });
      await assert.rejects(waitOn(memory, 4000, 0, { timeout: 1 }), { code: 'ETIMEDOUT' });
      words.fill(1);
      for (let at = 0; at < 500; at++) wake(memory, at * 4);
      await Promise.all(waits);
      memory.close();`;
    expect(await runPeer(source, { env: { INTERPROC_NO_FUTEX_WAITV: '1' } })).toMatchObject(clean);
  });
});
