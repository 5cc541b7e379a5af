/**
 * Conditions, barriers, events and Onces by the same names: how somebody waits for one of them, and how another process or
 * region lets him go on. The bytes of the object begin at 1024; the mutex of a condition is at 0.
 */
import {
  Barrier,
  Condition,
  Mutex,
  Once,
  SharedEvent,
  SharedMemory,
  type SyncWaitOptions,
  type WaitOptions,
} from 'interproc';
import { expect, onTestFinished } from 'vitest';
import { shmName } from './names.js';
import { startPeer } from './peer.js';

export type WaitKind = 'Condition' | 'Barrier' | 'SharedEvent' | 'Once';
export const waitKinds: WaitKind[] = ['Condition', 'Barrier', 'SharedEvent', 'Once'];

export const objectAt = 1024;

interface Waits {
  readonly object: Condition | Barrier | SharedEvent | Once;
  wait(options?: WaitOptions): Promise<unknown>;
  waitSync(options?: SyncWaitOptions): unknown;
}

export interface Waited extends Waits {
  readonly memory: SharedMemory;
  /** Ends one wait, from elsewhere. */
  letGo(): unknown;
  /** Until somebody waits who has said so. */
  untilWaited(): Promise<void>;
}

function waitsIn(kind: WaitKind, memory: SharedMemory): Waits {
  switch (kind) {
    case 'Condition': {
      const mutex = Mutex.at(memory, 0);
      const object = Condition.at(memory, objectAt);
      return {
        object,
        async wait(options) {
          const held = await mutex.lock();
          try {
            await object.wait(held, options);
          } finally {
            held[Symbol.dispose]();
          }
        },
        waitSync(options) {
          const held = mutex.lockSync();
          try {
            object.waitSync(held, options);
          } finally {
            held[Symbol.dispose]();
          }
        },
      };
    }
    case 'Barrier': {
      const object = Barrier.at(memory, objectAt, { parties: 2 });
      return {
        object,
        wait: (options) => object.wait(options),
        waitSync: (options) => object.waitSync(options),
      };
    }
    case 'SharedEvent': {
      const object = SharedEvent.at(memory, objectAt, { autoReset: true });
      return {
        object,
        wait: (options) => object.wait(options),
        waitSync: (options) => object.waitSync(options),
      };
    }
    case 'Once': {
      const object = Once.at(memory, objectAt);
      const work = () => {};
      return {
        object,
        wait: (options) => object.run(work, options),
        waitSync: (options) => object.runSync(work, options),
      };
    }
  }
}

/** For the head of a peer's script: `wait` and `waitSync` as above, in `memory`, which is that of `args[0]`. */
export const withWaits = (kind: WaitKind): string => `
  const memory = SharedMemory.open(args[0]);
  ${waitsInScript(kind)}`;

/** The same, where `memory` is at hand. */
export const waitsInScript = (kind: WaitKind): string =>
  ({
    Condition: `
    const mutex = Mutex.at(memory, 0);
    const object = Condition.at(memory, ${objectAt});
    const wait = async (options) => { const held = await mutex.lock(); try { await object.wait(held, options); } finally { held[Symbol.dispose](); } };
    const waitSync = (options) => { const held = mutex.lockSync(); try { object.waitSync(held, options); } finally { held[Symbol.dispose](); } };`,
    Barrier: `
    const object = Barrier.at(memory, ${objectAt}, { parties: 2 });
    const wait = (options) => object.wait(options);
    const waitSync = (options) => object.waitSync(options);`,
    SharedEvent: `
    const object = SharedEvent.at(memory, ${objectAt}, { autoReset: true });
    const wait = (options) => object.wait(options);
    const waitSync = (options) => object.waitSync(options);`,
    Once: `
    const object = Once.at(memory, ${objectAt});
    const wait = (options) => object.run(() => {}, options);
    const waitSync = (options) => object.runSync(() => {}, options);`,
  })[kind];

/** An object for which each wait is in vain until `letGo` is called. */
export async function makeWaited(kind: WaitKind): Promise<Waited> {
  const name = shmName();
  const memory = SharedMemory.create(name, { size: 4096 });
  const elsewhere = SharedMemory.open(name);
  const words = new Int32Array(elsewhere.buffer, objectAt);
  onTestFinished(() => {
    memory.close();
    elsewhere.close();
  });
  const until = (waited: () => boolean) => async () => {
    await expect.poll(waited, { timeout: 20_000, interval: 2 }).toBe(true);
  };
  switch (kind) {
    case 'Condition': {
      const there = Condition.at(elsewhere, objectAt);
      const mutex = Mutex.at(elsewhere, 0);
      return {
        memory,
        ...waitsIn(kind, memory),
        letGo: () => there.notifyOne(),
        untilWaited: until(() => there.waiting > 0 && mutex.holder === null),
      };
    }
    case 'Barrier': {
      const there = Barrier.at(elsewhere, objectAt, { parties: 2 });
      return {
        memory,
        ...waitsIn(kind, memory),
        letGo: () => there.tryWait(),
        untilWaited: until(() => there.arrived > 0),
      };
    }
    case 'SharedEvent': {
      const there = SharedEvent.at(elsewhere, objectAt, { autoReset: true });
      return {
        memory,
        ...waitsIn(kind, memory),
        letGo: () => there.set(),
        untilWaited: until(() => ((words[0] as number) & 2) !== 0),
      };
    }
    case 'Once': {
      // Another process does it, until it is told that it is done.
      const runner = startPeer(
        `const once = Once.at(SharedMemory.open(args[0]), ${objectAt});
        await once.run(async () => { await send('running'); await next(); });
        await send('done');`,
        { args: [name] },
      );
      await runner.next();
      return {
        memory,
        ...waitsIn(kind, memory),
        letGo: async () => {
          runner.send('end');
          await runner.next();
        },
        untilWaited: until(() => (words[0] as number) < 0),
      };
    }
  }
}
