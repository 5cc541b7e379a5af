import { describe, expect, it } from 'vitest';
import { tempDir } from '../support/names.js';
import { clean, runPeer } from '../support/peer.js';

// How far an object has come when its process ends.
const steps = {
  imported: '',
  created: 'globalThis.memory = make();',
  'mapped into a buffer': 'globalThis.memory = make(); memory.buffer;',
  'seen by a view': 'globalThis.view = new Uint8Array(make().buffer);',
  resized:
    'globalThis.memory = make(); globalThis.view = new Uint8Array(memory.buffer); memory.resize?.(9000);',
  'shown in a window': 'globalThis.memory = make(); globalThis.window = memory.map?.(); window?.buffer;',
  'locked in memory': 'globalThis.memory = make(); memory.lock();',
  syncing: 'globalThis.memory = make(); new Uint8Array(memory.buffer).fill(1); memory.sync();',
  'closed with a view left':
    'globalThis.memory = make(); globalThis.view = new Uint8Array(memory.buffer); memory.close();',
  faulted: `globalThis.memory = make(); globalThis.view = new Uint8Array(memory.buffer);
    if (memory.fd) { (await import('node:fs')).ftruncateSync(memory.fd, 0); view[0]; assert.equal(memory.fault, 'truncated'); }`,
};
const kinds = {
  SharedMemory: `() => { const memory = SharedMemory.create('/interproc-test-ends-' + process.pid, { size: 8192 }); memory.unlink(); return memory; }`,
  anonymous: `() => SharedMemory.anonymous({ size: 8192, seal: false })`,
  MappedFile: `() => MappedFile.openOrCreate(args[0] + '/' + process.pid, { size: 8192 })`,
  SysvSharedMemory: `() => { const segment = SysvSharedMemory.create(null, { size: 8192 }); segment.remove(); return segment; }`,
};

describe.each(Object.keys(kinds) as (keyof typeof kinds)[])('a process with a %s', (kind) => {
  it.each(Object.keys(steps) as (keyof typeof steps)[])('ends well when it is %s', async (step) => {
    const make = `const make = ${kinds[kind]};`;
    const args = [tempDir()];
    const ends = [`${make} ${steps[step]}`, `${make} ${steps[step]} process.exit(0);`];
    const inWorker = `
      import { Worker } from 'node:worker_threads';
      const source = "import assert from 'node:assert'; import { workerData as args } from 'node:worker_threads'; import { SharedMemory, MappedFile, SysvSharedMemory } from 'interproc';" + ${JSON.stringify(`${make} ${steps[step]}`)};
      const worker = new Worker(source, { eval: true, workerData: args });
      assert.equal(await new Promise((resolve) => worker.once('exit', resolve)), 0);`;
    const exits = await Promise.all([...ends, inWorker].map((source) => runPeer(source, { args })));
    for (const exit of exits) expect(exit).toMatchObject(clean);
  });
});
