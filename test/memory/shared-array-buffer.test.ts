import { features, IpcError, MappedFile, SharedMemory, SysvSharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { holdings } from '../support/leaks.js';
import { shmName, tempPath } from '../support/names.js';
import { clean, runPeer } from '../support/peer.js';

const asked = { size: 8192, sharedArrayBuffer: true } as const;
const kinds = {
  'SharedMemory.create': () => SharedMemory.create(shmName(), asked),
  'SharedMemory.openOrCreate': () => SharedMemory.openOrCreate(shmName(), asked),
  'SharedMemory.open': () => {
    using memory = SharedMemory.create(shmName(), { size: 8192 });
    return SharedMemory.open(memory.name as string, { sharedArrayBuffer: true });
  },
  'SharedMemory.anonymous': () => SharedMemory.anonymous(asked),
  'SharedMemory.fromFd': () => {
    using memory = SharedMemory.anonymous({ size: 8192 });
    return SharedMemory.fromFd(memory.fd, { sharedArrayBuffer: true });
  },
  'MappedFile.create': () => MappedFile.create(tempPath(), asked),
  SysvSharedMemory: () => {
    const segment = SysvSharedMemory.create(null, asked);
    segment.remove();
    return segment;
  },
};

// Which half of this file says something depends on the runtime: Node has the call since 22.23.3, 24.16 and 26.1.
// `npm test` on Node 20 sees the refusal, `npm run test:runtimes` the rest.
describe.each(Object.entries(kinds))('{ sharedArrayBuffer: true } for %s', (_, make) => {
  it('gives a SharedArrayBuffer over the memory, or says which runtimes can', async () => {
    const before = await holdings();
    if (!features.sharedArrayBuffer) {
      expect(make).toThrow(IpcError);
      expect(make).toThrow(
        expect.objectContaining({
          code: 'ERR_INTERPROC_UNSUPPORTED',
          message: expect.stringContaining('24.16'),
        }),
      );
    } else {
      (() => {
        const region = make();
        const buffer: SharedArrayBuffer = region.buffer;
        expect(buffer).toBeInstanceOf(SharedArrayBuffer);
        expect(region.buffer).toBe(buffer);
        const view = new Int32Array(buffer);
        expect(Atomics.add(view, 2047, 5)).toBe(0);
        expect(Atomics.load(view, 2047)).toBe(5);
        region.close();
        expect(view[2047]).toBe(0);
      })();
    }
    expect(await holdings()).toEqual(before);
  });
});

describe('a SharedArrayBuffer over shared memory', () => {
  it('is one memory for workers, outlives its handle in them, and goes when the last of them is gone', async () => {
    if (!features.sharedArrayBuffer) {
      expect(() => SharedMemory.anonymous(asked)).toThrow(/needs Node/);
      return;
    }
    const source = `
      import { Worker } from 'node:worker_threads';
      import { readFileSync } from 'node:fs';
      const mappings = () => readFileSync('/proc/self/maps', 'utf8').split('\\n').filter((line) => line.includes('memfd:')).length;
      const worker = await (async () => {
        const memory = SharedMemory.anonymous({ size: 1 << 20, sharedArrayBuffer: true });
        const worker = new Worker(\`
          import { parentPort, workerData } from 'node:worker_threads';
          const words = new Int32Array(workerData);
          Atomics.store(words, 0, 7);
          parentPort.postMessage('stored');
          parentPort.once('message', () => {
            if (Atomics.load(words, 1) !== 8) throw new Error('not shared');
            words.fill(1);
            parentPort.close();
          });\`, { eval: true, workerData: memory.buffer });
        await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
        const words = new Int32Array(memory.buffer);
        assert.equal(Atomics.load(words, 0), 7);
        words[1] = 8;
        return worker;
      })();
      for (let i = 0; i < 5; i++) { gc(); await new Promise(setImmediate); }
      assert.equal(mappings(), 1); // the handle is collected, the worker has the memory still
      const ended = new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
      worker.postMessage('go');
      assert.equal(await ended, 0);
      for (let i = 0; i < 5; i++) { gc(); await new Promise(setImmediate); }
      assert.equal(mappings(), 0);`;
    expect(await runPeer(source, { execArgv: ['--expose-gc'] })).toMatchObject(clean);
  });
});
