import { describe, expect, it } from 'vitest';
import { clean, runPeer } from '../support/peer.js';

const execArgv = ['--expose-gc'];

describe('a worker that is terminated in the middle of a call', () => {
  // The addon is entered while its env can run no JS any more, so that every call of Node-API fails.
  const calls = {
    'that succeeds': 'SharedMemory.anonymous({ size: 4096 }).close();',
    'that fails': "try { SharedMemory.open('/interproc-no-such-object'); } catch {}",
    'that makes buffers': 'globalThis.last = SharedMemory.anonymous({ size: 4096 }).map().buffer;',
    'that looks': 'memory.stat(); memory.fault; memory.seals;',
    'of sync': 'memory.sync().catch(() => {});',
  };

  it.each(Object.entries(calls))('harms nobody: a call %s', async (_, call) => {
    const source = `
      import { Worker } from 'node:worker_threads';
      for (let round = 0; round < 25; round++) {
        const worker = new Worker(\`
          import { parentPort } from 'node:worker_threads';
          import { SharedMemory } from 'interproc';
          const memory = SharedMemory.anonymous({ size: 4096 });
          parentPort.postMessage('calling');
          for (;;) { ${call} }\`, { eval: true });
        await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
        await worker.terminate();
      }`;
    expect(await runPeer(source, { execArgv })).toMatchObject(clean);
  });
});

describe('a buffer that a worker has moved to another thread', () => {
  it('reads zeros once the worker has ended, and never faults', async () => {
    const source = `
      import { Worker } from 'node:worker_threads';
      for (let round = 0; round < 10; round++) {
        const worker = new Worker(\`
          import { parentPort } from 'node:worker_threads';
          import { SharedMemory } from 'interproc';
          const memory = SharedMemory.anonymous({ size: 65_536 });
          new Uint8Array(memory.buffer).fill(7);
          const moved = memory.buffer.transfer();
          parentPort.postMessage(moved, [moved]);\`, { eval: true });
        const ended = new Promise((resolve) => worker.once('exit', resolve));
        const buffer = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
        assert.equal(await ended, 0);
        const view = new Uint8Array(buffer);
        assert.equal(view.length, 65_536);
        // What is there depends on the runtime: it may have copied the bytes. What counts is that it is there.
        assert.ok([0, 7].includes(view[40_000]));
        view.fill(1);
        gc();
      }`;
    const transfer = 'transfer' in ArrayBuffer.prototype ? [] : ['--harmony-rab-gsab-transfer'];
    expect(await runPeer(source, { execArgv: [...execArgv, ...transfer] })).toMatchObject(clean);
  });
});
