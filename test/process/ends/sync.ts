import type { Kind, Kinds } from './table.js';

const memory = 'const memory = SharedMemory.anonymous({ size: 8192 }); keep(memory);';

/** A lock that is had through `take`. */
const exclusive = (Lock: string, take: string, tryTake: string): Kind => ({
  make: `${memory} const lock = ${Lock}.at(memory, 0); lock.unref(); keep(lock);`,
  steps: {
    placed: '',
    held: `keep(lock.${tryTake}());`,
    unlocked: `(await lock.${take}()).unlock();`,
    'waited for': `keep(lock.${tryTake}()); for (let each = 0; each < 3; each++) lock.${take}().catch(() => {});`,
    'waited for with a timeout': `keep(lock.${tryTake}()); lock.${take}({ timeout: 1e9 }).catch(() => {});`,
    'waited for no longer': `keep(lock.${tryTake}()); const controller = new AbortController();
      lock.${take}({ signal: controller.signal }).catch(() => {}); await turn(); controller.abort();`,
    'closed with its memory': 'memory.close(); memory.close();',
    dropped: `lock.${tryTake}(); forget();`,
  },
  stays: {
    'waited for by all': `keep(lock.${tryTake}()); lock.ref().${take}(); lock.${take}();`,
    'just had': `lock.ref().${take}().then(() => inside()); await never;`,
  },
  blocks: {
    [`${take}Sync`]: `other(memory, '${Lock}.at(memory, 0).${tryTake}()'); lock.${take}Sync();`,
    [`${take}Sync with a timeout`]: `other(memory, '${Lock}.at(memory, 0).${tryTake}()'); lock.${take}Sync({ timeout: 1e9 });`,
  },
});

export const sync: Kinds = {
  Mutex: exclusive('Mutex', 'lock', 'tryLock'),
  RwLock: exclusive('RwLock', 'write', 'tryWrite'),
  'RwLock that is read': {
    make: `${memory} const lock = RwLock.at(memory, 0); lock.unref(); keep(lock);`,
    steps: {
      held: 'keep(lock.tryRead(), lock.tryRead());',
      'waited for':
        'keep(lock.tryWrite()); lock.read().catch(() => {}); lock.read({ timeout: 1e9 }).catch(() => {});',
    },
  },
  Condition: {
    make: `${memory} const mutex = Mutex.at(memory, 0); const condition = Condition.at(memory, 1024);
      mutex.unref(); condition.unref(); keep(mutex, condition); const guard = mutex.tryLock(); keep(guard);`,
    steps: {
      placed: '',
      'waited for': 'condition.wait(guard).catch(() => {});',
      notified:
        'mutex.ref(); const waited = condition.ref().wait(guard); await turn(); condition.notifyAll(); await waited;',
      'closed while it is waited for': 'condition.wait(guard).catch(() => {}); await turn(); memory.close();',
    },
    stays: { 'waited for by all': 'condition.ref().wait(guard);' },
    blocks: { waitSync: 'condition.waitSync(guard);' },
  },
  Barrier: {
    make: `${memory} const barrier = Barrier.at(memory, 0, { parties: 2 }); barrier.unref(); keep(barrier);`,
    steps: {
      placed: '',
      'waited for': 'barrier.wait().catch(() => {});',
      passed: 'await Promise.all([barrier.wait(), Barrier.at(memory, 0, { parties: 2 }).wait()]);',
      broken: 'barrier.wait().catch(() => {}); await turn(); barrier.reset();',
      'closed while it is waited for': 'barrier.wait().catch(() => {}); await turn(); memory.close();',
    },
    stays: { 'waited for by all': 'barrier.ref().wait();' },
    blocks: { waitSync: 'barrier.waitSync();' },
  },
  SharedEvent: {
    make: `${memory} const event = SharedEvent.at(memory, 0); event.unref(); keep(event);`,
    steps: {
      placed: '',
      set: 'event.set();',
      'waited for': 'event.wait().catch(() => {}); event.wait({ timeout: 1e9 }).catch(() => {});',
      'closed while it is waited for': 'event.wait().catch(() => {}); await turn(); memory.close();',
    },
    stays: {
      'waited for by all': 'event.ref().wait();',
      'just noticed': 'event.ref().wait().then(() => inside()); event.set(); await never;',
    },
    blocks: { waitSync: 'event.waitSync();' },
  },
  Once: {
    make: `${memory} const once = Once.at(memory, 0); once.unref(); keep(once);`,
    steps: {
      placed: '',
      done: 'await once.run(() => {});',
      running: 'once.run(() => never).catch(() => {});',
      'waited for': 'once.run(() => never).catch(() => {}); once.run(() => {}).catch(() => {});',
    },
    stays: {
      'in the middle of its work': 'await once.run(() => inside());',
      'in the middle of its blocking work': 'once.runSync(() => insideSync());',
    },
    blocks: { runSync: "other(memory, 'Once.at(memory, 0).run(() => never)'); once.runSync(() => {});" },
  },
  'words of memory': {
    make: memory,
    steps: {
      'waited for no longer':
        'const waited = waitOn(memory, 0, 0).catch(() => {}); await turn(); memory.close();',
    },
    stays: {
      'waited for': 'for (let each = 0; each < 9; each++) waitOn(memory, 4 * each, 0);',
      'just woken':
        'waitOn(memory, 0, 0).then(() => inside()); await turn(); new Int32Array(memory.buffer)[0] = 1; wake(memory, 0); await never;',
    },
    blocks: {
      waitOnSync: 'waitOnSync(memory, 0, 0);',
      'waitOnSync with a timeout': 'waitOnSync(memory, 0, 0, { timeout: 1e9 });',
    },
  },
};
