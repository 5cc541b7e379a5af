import type { Kinds } from './table.js';

const steps = {
  created: 'keep(memory);',
  dropped: '',
  'mapped into a buffer': 'keep(memory.buffer);',
  'seen by a view': 'keep(new Uint8Array(memory.buffer));',
  resized: 'keep(memory, new Uint8Array(memory.buffer)); memory.resize?.(9000);',
  'shown in a window': 'const window = memory.map?.(); keep(memory, window, window?.buffer);',
  'locked in memory': 'memory.lock(); keep(memory);',
  syncing: 'new Uint8Array(memory.buffer).fill(1); keep(memory.sync());',
  closed: 'memory.close(); memory.close();',
  'closed with views and windows left':
    'keep(memory, memory.map?.(), new Uint8Array(memory.buffer)); memory.close();',
  faulted: `keep(memory); const view = new Uint8Array(memory.buffer);
    if (memory.fd) { ftruncateSync(memory.fd, 0); view[0]; assert.equal(memory.fault, 'truncated'); }`,
};

export const memory: Kinds = {
  SharedMemory: {
    make: 'const memory = SharedMemory.create(name, { size: 8192 }); memory.unlink();',
    steps,
  },
  'SharedMemory.anonymous': {
    make: 'const memory = SharedMemory.anonymous({ size: 8192, seal: false });',
    steps,
  },
  'read-only SharedMemory': {
    make: `const origin = SharedMemory.anonymous({ size: 8192, seal: false });
      const memory = SharedMemory.fromFd(origin.fd, { readOnly: true });`,
    steps: {
      opened: 'keep(memory);',
      'written to': 'const view = new Uint8Array(memory.buffer); view[0] = 1; memory.refresh(); keep(view);',
      faulted: 'ftruncateSync(origin.fd, 0); keep(new Uint8Array(memory.buffer)[0]);',
      closed: 'memory.close(); memory.close(); origin.close();',
    },
  },
  MappedFile: {
    make: 'const memory = MappedFile.create(path, { size: 8192 }); memory.unlink();',
    steps,
  },
  SysvSharedMemory: {
    make: 'const memory = SysvSharedMemory.create(null, { size: 8192 }); memory.remove();',
    steps,
  },
};
