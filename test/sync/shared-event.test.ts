import { MappedFile, type MappedRegion, SharedEvent, SharedMemory, SysvSharedMemory } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { failureOf, misuse, type Wrong } from '../support/failures.js';
import { turns } from '../support/locks.js';
import { shmName, sysvKey, tempPath } from '../support/names.js';
import { clean, startPeer } from '../support/peer.js';

function make(options?: { autoReset?: boolean }) {
  const name = shmName();
  const memory = SharedMemory.create(name, { size: 4096 });
  onTestFinished(() => memory.close());
  return { name, memory, event: SharedEvent.at(memory, 0, options) };
}

const autoReset = { autoReset: true };
const timedOut = { code: 'ETIMEDOUT', syscall: 'wait' };
const until = (what: () => boolean) => expect.poll(what, { timeout: 20_000, interval: 2 }).toBe(true);

/** A peer whose tasks wait, one after the other, until there have been so many; it counts in word 512 on, by its `slot`. */
const waiter = (name: string, call: string, times: number, options?: object) =>
  startPeer(
    `const [name, times, options] = args;
    const memory = SharedMemory.open(name);
    const event = SharedEvent.at(memory, 0, options ?? {});
    const words = new Int32Array(memory.buffer);
    await send('there');
    for (let time = 0; time < times; time++) {
      await event.${call};
      Atomics.add(words, 512, 1);
    }`,
    { args: [name, times, options ?? null] },
  );

describe('an event', () => {
  it('is not set at first, and no wait for it ends', async () => {
    const { event } = make();
    expect([event.isSet, event.autoReset, event.tryWait()]).toEqual([false, false, null]);
    await expect(event.wait({ timeout: 1 })).rejects.toMatchObject(timedOut);
    expect(() => event.waitSync({ timeout: 1 })).toThrow(expect.objectContaining(timedOut));
  });

  it('that is set lets all go on, now and later, until it is cleared', async () => {
    const { name, event, memory } = make();
    const words = new Int32Array(memory.buffer);
    const peers = [
      waiter(name, 'wait()', 1),
      waiter(name, 'waitSync()', 1),
      waiter(name, 'wait({ timeout: 1e6 })', 1),
    ];
    const own = [event.wait(), event.wait(), event.wait({ timeout: 1e6 })];
    for (const peer of peers) await peer.next();
    await turns(60);
    expect(words[512]).toBe(0);
    event.set();
    await Promise.all(own);
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    expect([event.isSet, event.tryWait()]).toEqual([true, true]);
    event.set();
    await event.wait();
    event.waitSync();
    event.waitSync({ timeout: 0 });
    expect(await waiter(name, 'waitSync()', 3).exited).toMatchObject(clean);
    event.clear();
    event.clear();
    expect([event.isSet, event.tryWait()]).toEqual([false, null]);
    await expect(event.wait({ timeout: 0 })).rejects.toMatchObject(timedOut);
  });

  it.each([{}, autoReset])('that is set before anybody waits is there for who comes: %j', async (options) => {
    const { event, name } = make(options);
    for (const take of [() => event.wait(), () => event.waitSync(), () => event.tryWait()]) {
      event.set();
      expect(await failureOf(take)).toBeUndefined();
      expect(event.isSet).toBe(options !== autoReset);
      event.clear();
    }
    event.set();
    const { exited } = waiter(name, 'waitSync()', 1, options);
    expect(await exited).toMatchObject(clean);
  });

  it('with autoReset lets one go on each time', async () => {
    const { name, event, memory } = make(autoReset);
    const words = new Int32Array(memory.buffer);
    const times = 20;
    const peers = ['wait()', 'waitSync()', 'wait({ timeout: 1e6 })'].map((call) =>
      waiter(name, call, times, autoReset),
    );
    for (const peer of peers) await peer.next();
    let own = 0;
    const tasks = [0, 1].map(async () => {
      for (let time = 0; time < times; time++) {
        await event.wait();
        own++;
      }
    });
    for (let count = 1; count <= 5 * times; count++) {
      event.set();
      await until(() => (words[512] as number) + own === count);
      expect(event.isSet).toBe(false);
      await turns(5);
      expect((words[512] as number) + own).toBe(count);
    }
    await Promise.all(tasks);
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
  });

  it('with autoReset that is set twice before anybody comes is set once', async () => {
    const { event } = make(autoReset);
    event.set();
    event.set();
    expect([event.tryWait(), event.tryWait()]).toEqual([true, null]);
  });

  it('with autoReset is handed to and fro without end', async () => {
    const { name, memory } = make(autoReset);
    const [there, back] = [0, 16].map((offset) => SharedEvent.at(memory, offset, autoReset)) as [
      SharedEvent,
      SharedEvent,
    ];
    for (const call of ['wait', 'waitSync']) {
      const { exited } = startPeer(
        `const memory = SharedMemory.open(args[0]);
        const [there, back] = [0, 16].map((offset) => SharedEvent.at(memory, offset, { autoReset: true }));
        for (let round = 0; round < 1000; round++) {
          await there.${call}();
          back.set();
        }`,
        { args: [name] },
      );
      for (let round = 0; round < 1000; round++) {
        there.set();
        await back.wait();
      }
      expect(await exited).toMatchObject(clean);
    }
  });

  it('with autoReset stays set for another one when a wait is aborted as it is set', async () => {
    const { event, memory } = make(autoReset);
    const again = SharedMemory.open(memory.name as string);
    onTestFinished(() => again.close());
    const other = SharedEvent.at(again, 0, autoReset);
    for (const pause of [0, 60]) {
      const abort = new AbortController();
      const waiting = event.wait({ signal: abort.signal });
      const next = other.wait();
      await turns(pause);
      event.set();
      abort.abort();
      const failure = await failureOf(() => waiting);
      // Either he has got it, or the other one.
      if (failure === undefined) event.set();
      else expect(failure).toMatchObject({ code: 'ABORT_ERR' });
      await next;
      expect(event.isSet).toBe(false);
    }
  });

  it('is left by tryWait() to those who wait', async () => {
    const { event } = make(autoReset);
    const waiting = event.wait();
    event.set();
    expect(event.tryWait()).toBeNull();
    await waiting;
    event.set();
    expect(event.tryWait()).toBe(true);
  });

  it.each([{}, autoReset])('is whole when those who set it or wait for it die: %j', async (options) => {
    const { name, event } = make(options);
    const peers = ['wait()', 'waitSync()'].map((call) => waiter(name, call, 1, options));
    for (const peer of peers) await peer.next();
    const survivor = event.wait();
    await turns(60);
    for (const { process, exited } of peers) {
      process.kill('SIGSTOP');
      void exited;
    }
    const setter = startPeer(
      `const event = SharedEvent.at(SharedMemory.open(args[0]), 0, args[1]);
      event.set();
      process.kill(process.pid, 'SIGKILL');`,
      { args: [name, options] },
    );
    expect((await setter.exited).signal).toBe('SIGKILL');
    // One of those who sleep may have been woken for it: he is dead before he has taken it.
    for (const { process, exited } of peers) {
      process.kill('SIGKILL');
      await exited;
    }
    await survivor;
    expect(event.isSet).toBe(options !== autoReset);
    event.set();
    await event.wait();
  });
});

describe('an event lies', () => {
  const kinds: Record<string, () => MappedRegion<boolean> & { close(): void }> = {
    'anonymous memory': () => SharedMemory.anonymous({ size: 4096 }),
    'a file': () => MappedFile.create(tempPath(), { size: 4096 }),
    'a window': () => SharedMemory.anonymous({ size: 16_384 }).map({ offset: 4104 }),
    'a System V segment': () => {
      const segment = SysvSharedMemory.create(sysvKey(), { size: 4096 });
      segment.remove();
      return segment;
    },
  };

  it.each(Object.entries(kinds))('in %s', async (_, open) => {
    using memory = open();
    const event = SharedEvent.at(memory, 4072, autoReset);
    const waiting = event.wait();
    event.set();
    await waiting;
    expect(event.offset).toBe(4072);
    expect(SharedEvent.at(memory, 4072, autoReset)).toBe(event);
  });

  it('between processes in a System V segment', async () => {
    const segment = SysvSharedMemory.create(sysvKey(), { size: 4096 });
    onTestFinished(() => {
      segment.remove();
      segment.close();
    });
    const event = SharedEvent.at(segment, 0);
    const { exited } = startPeer(
      `const event = SharedEvent.at(SysvSharedMemory.open(args[0]), 8 * 2);
      SharedEvent.at(SysvSharedMemory.open(args[0]), 0).set();
      event.waitSync();`,
      { args: [segment.key] },
    );
    await event.wait();
    SharedEvent.at(segment, 16).set();
    expect(await exited).toMatchObject(clean);
  });
});

it('an event is of the kind that it was made as', async () => {
  const { event, memory, name } = make(autoReset);
  const mismatch = { code: 'ERR_INTERPROC_MISMATCH', message: expect.stringContaining('autoReset: true') };
  expect(event.autoReset).toBe(true);
  expect(() => SharedEvent.at(memory, 0)).toThrow(expect.objectContaining(mismatch));
  const { exited } = startPeer(
    `assert.throws(() => SharedEvent.at(SharedMemory.open(args[0]), 0, { autoReset: false }), { code: 'ERR_INTERPROC_MISMATCH' });`,
    { args: [name] },
  );
  expect(await exited).toMatchObject(clean);
  for (const wrong of [5, null, { autoReset: 1 }] as Wrong[]) {
    expect(await failureOf(() => SharedEvent.at(memory, 16, wrong))).toEqual(
      misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'options'),
    );
  }
  memory.close();
  for (const call of [() => event.set(), () => event.clear(), () => event.isSet, () => event.tryWait()]) {
    expect(await failureOf(call)).toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
  }
});

describe('an event that is set and cleared at once', () => {
  it('lets those go on who waited when it was set, asleep or not, and nobody who comes later', async () => {
    const { name, event, memory } = make();
    const words = new Int32Array(memory.buffer);
    const peers = [waiter(name, 'wait()', 1), waiter(name, 'waitSync()', 1)];
    const own = [event.wait(), event.wait()];
    for (const peer of peers) await peer.next();
    await until(() => ((words[0] as number) & 2) !== 0); // somebody has said that it sleeps
    await turns(60);
    while (words[512] !== 2) {
      event.set();
      event.clear();
      await turns(1); // a peer that had not begun to wait yet may do so
    }
    await Promise.all(own);
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    expect(event.tryWait()).toBe(null);
    await expect(event.wait({ timeout: 1 })).rejects.toMatchObject(timedOut);
  });

  it('is one set() to each of those who wait: in one turn of the event loop they all have gone on', async () => {
    const { event } = make();
    const waits = [event.wait(), event.wait(), event.wait({ timeout: 1e6 })];
    event.set();
    event.clear();
    await Promise.all(waits);
    expect(event.isSet).toBe(false);
  });

  it('counts its sets without end', async () => {
    const { event, memory } = make();
    new Int32Array(memory.buffer)[0] = -4; // as after 2 ** 30 - 1 of them
    const wait = event.wait();
    event.set();
    event.clear();
    await wait;
    expect(event.isSet).toBe(false);
  });
});
