import type { Kind, Kinds } from './table.js';

const posix = (make: string): Kind => ({
  make: `${make} semaphore.unref(); keep(semaphore);`,
  steps: {
    created: '',
    acquired: 'keep(semaphore.tryAcquire());',
    released: '(await semaphore.acquire()).release();',
    'waited for':
      'semaphore.tryAcquire(); semaphore.acquire().catch(() => {}); semaphore.acquire({ timeout: 1e9 }).catch(() => {});',
    'waited for no longer':
      'semaphore.tryAcquire(); const controller = new AbortController(); semaphore.acquire({ signal: controller.signal }).catch(() => {}); await turn(); controller.abort();',
    closed: 'semaphore.close(); semaphore.close();',
    'closed while it is waited for':
      'semaphore.tryAcquire(); semaphore.acquire().catch(() => {}); await turn(); semaphore.close();',
    dropped: 'forget();',
  },
  stays: {
    'waited for by all': 'semaphore.tryAcquire(); semaphore.ref().acquire(); semaphore.acquire();',
    'just acquired': 'semaphore.ref().acquire().then(() => inside()); await never;',
  },
  blocks: {
    acquireSync: 'semaphore.tryAcquire(); semaphore.acquireSync();',
    'acquireSync with a timeout': 'semaphore.tryAcquire(); semaphore.acquireSync({ timeout: 1e9 });',
  },
});

export const semaphore: Kinds = {
  Semaphore: posix('const semaphore = Semaphore.create(name, { initial: 1 }); semaphore.unlink();'),
  'Semaphore.at': posix(
    'const memory = SharedMemory.anonymous({ size: 4096 }); const semaphore = Semaphore.at(memory, 0, { initial: 1 });',
  ),
  SysvSemaphoreSet: {
    make: `const set = SysvSemaphoreSet.create(key, { count: 2, initial: 1 }); set.unref(); keep(set);`,
    steps: {
      created: '',
      'taken from': 'set.tryOp({ index: 0, delta: -1 });',
      'taken from, to be undone': 'set.tryOp({ index: 0, delta: -1, undo: true });',
      'waited for': 'for (let index = 0; index < 2; index++) set.op({ index, delta: -2 }).catch(() => {});',
      'waited for, to be undone': 'set.op({ index: 0, delta: -2, undo: true }).catch(() => {});',
      removed: 'set.op({ index: 0, delta: -2 }).catch(() => {}); await turn(); set.remove();',
      closed: 'set.close(); set.close();',
      'closed while it is waited for':
        'set.op({ index: 0, delta: -2 }).catch(() => {}); await turn(); set.close();',
      dropped: 'forget();',
    },
    stays: {
      'waited for by all': 'set.ref().op({ index: 0, delta: -2 }).catch(() => {});',
      'just noticed':
        'set.ref().op({ index: 0, delta: -2 }).then(() => inside()); set.tryOp({ index: 0, delta: 1 }); await never;',
    },
    blocks: {
      opSync: 'set.opSync({ index: 0, delta: -2 });',
      'opSync with a timeout': 'set.opSync({ index: 0, delta: -2, undo: true }, { timeout: 1e9 });',
    },
  },
};
