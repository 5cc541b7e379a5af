import assert from 'node:assert/strict';
import { ftruncateSync } from 'node:fs';
import { features, MappedFile, SharedMemory, SysvSharedMemory } from 'interproc';
import { close } from './place.js';

const size = 4096;
/** @param {{ buffer: ArrayBuffer | SharedArrayBuffer }} memory */
const touch = ({ buffer }) => {
  new Uint8Array(buffer)[0] = 1;
};

/** @type {Record<string, import('./place.js').Kind>} */
export const memoryKinds = {
  SharedMemory:
    ({ name }) =>
    (drop) => {
      const memory = SharedMemory.create(name, { size });
      touch(memory);
      const opened = SharedMemory.open(name);
      touch(opened);
      SharedMemory.unlink(name);
      close(drop, memory, opened);
    },
  'SharedMemory read-only': ({ name }) => {
    const memory = SharedMemory.create(name, { size });
    const { fd } = memory;
    memory.unlink();
    return (drop) => {
      assert.equal(memory.fd, fd);
      const opened = SharedMemory.fromFd(fd, { readOnly: true });
      touch(opened);
      opened.refresh();
      close(drop, opened);
    };
  },
  'SharedMemory.anonymous': () => (drop) => {
    const memory = SharedMemory.anonymous({ size });
    touch(memory);
    close(drop, memory);
  },
  'SharedMemory.fromFd': () => {
    const memory = SharedMemory.anonymous({ size });
    return (drop) => {
      const opened = SharedMemory.fromFd(memory.fd);
      touch(opened);
      close(drop, opened);
    };
  },
  'memory resized': () => (drop) => {
    const memory = SharedMemory.anonymous({ size });
    touch(memory);
    memory.resize(3 * size);
    touch(memory);
    close(drop, memory);
  },
  'memory synced and locked': () => {
    let locks = true;
    return async (drop) => {
      const memory = SharedMemory.anonymous({ size });
      touch(memory);
      try {
        if (locks) memory.lock();
      } catch {
        locks = false; // RLIMIT_MEMLOCK
      }
      const synced = Promise.allSettled([memory.sync()]);
      close(drop, memory);
      await synced;
    };
  },
  'memory truncated': () => (drop) => {
    const memory = SharedMemory.anonymous({ size, seal: false });
    touch(memory);
    ftruncateSync(memory.fd, 0);
    touch(memory);
    assert.equal(memory.fault, 'truncated');
    close(drop, memory);
  },
  MappedFile:
    ({ path }) =>
    (drop) => {
      const memory = MappedFile.create(path, { size });
      touch(memory);
      const opened = MappedFile.open(path);
      touch(opened);
      MappedFile.unlink(path);
      close(drop, memory, opened);
    },
  MemoryWindow: () => {
    const memory = SharedMemory.anonymous({ size: 4 * size });
    return (drop) => {
      const window = memory.map({ offset: size, length: size });
      touch(window);
      close(drop, window);
    };
  },
  SysvSharedMemory:
    ({ key }) =>
    (drop) => {
      const memory = SysvSharedMemory.create(key, { size });
      touch(memory);
      const opened = SysvSharedMemory.open(key);
      touch(opened);
      memory.remove();
      close(drop, memory, opened);
    },
  ...(features.sharedArrayBuffer && {
    'SharedMemory as a SharedArrayBuffer': () => (/** @type {boolean} */ drop) => {
      const memory = SharedMemory.anonymous({ size, sharedArrayBuffer: true });
      touch(memory);
      close(drop, memory);
    },
  }),
};
