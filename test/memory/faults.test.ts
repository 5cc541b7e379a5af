import { truncateSync } from 'node:fs';
import { MappedFile, SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { shmName, tempPath } from '../support/names.js';
import { clean, runPeer, startPeer } from '../support/peer.js';

const truncated = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_TRUNCATED' });

describe('an object that is truncated under its reader', () => {
  it.each([
    ['a shared-memory object', false, 'SharedMemory'],
    ['a shared-memory object opened read-only', true, 'SharedMemory'],
    ['a file', false, 'MappedFile'],
    ['a file opened read-only', true, 'MappedFile'],
  ])(
    'reads zeros where it is gone, in compiled code too, and the next call says so: %s',
    async (_, readOnly, kind) => {
      const name = kind === 'MappedFile' ? tempPath() : shmName();
      using memory =
        kind === 'MappedFile'
          ? MappedFile.create(name, { size: 1 << 20 })
          : SharedMemory.create(name, { size: 1 << 20 });
      new Int32Array(memory.buffer).fill(1);
      const reader = startPeer(
        `const memory = (args[2] === 'MappedFile' ? MappedFile : SharedMemory).open(args[0], { readOnly: args[1] });
       const view = new Int32Array(memory.buffer);
       const sum = () => { let total = 0; for (let at = 0; at < view.length; at++) total += view[at]; return total; };
       for (let round = 0; round < 200; round++) assert.equal(sum(), view.length);
       await send('reading');
       await next();
       assert.equal(memory.fault, undefined); // nothing was touched yet
       assert.equal(sum(), 1024);
       assert.equal(memory.fault, 'truncated');
       for (const use of [() => memory.buffer, () => memory.lock(), () => memory.unlock(), () => memory.advise('normal'), () => memory.refresh()])
         assert.throws(use, { name: 'IpcError', code: 'ERR_INTERPROC_TRUNCATED' });
       view.fill(3, 1024); // into the zeros
       assert.equal(memory.stat().size, 4096);
       memory.remap();
       assert.equal(memory.fault, undefined);
       assert.equal(memory.size, 4096);
       assert.equal(new Int32Array(memory.buffer)[1023], 1);
       memory.close();`,
        { args: [name, readOnly, kind] },
      );
      expect(await reader.next()).toBe('reading');
      memory.resize(4096);
      reader.send('truncated');
      expect(await reader.exited).toMatchObject(clean);
    },
  );

  it('is safe inside native copies and on pool threads', async () => {
    const source = `
      import { truncateSync, writeSync, openSync, readSync } from 'node:fs';
      import { deflateSync, deflate } from 'node:zlib';
      import { createHash } from 'node:crypto';
      import { promisify } from 'node:util';
      const size = 8 << 20;
      const uses = {
        copy: (view) => view.copy(Buffer.alloc(size)),
        set: (view) => new Uint8Array(size).set(view),
        slice: (view) => Buffer.from(view),
        compare: (view) => view.equals(Buffer.alloc(size, 1)),
        indexOf: (view) => view.indexOf(255),
        toString: (view) => view.toString('latin1'),
        hash: (view) => createHash('sha256').update(view).digest(),
        deflate: (view) => deflateSync(view),
        deflateInPool: (view) => promisify(deflate)(view),
        atomics: (view) => Atomics.add(new Int32Array(view.buffer), size / 4 - 1, 1),
        fill: (view) => view.fill(1),
        // The kernel reports EFAULT where a store would fault.
        write: (view) => assert.throws(() => writeSync(openSync(args[0] + '.out', 'w'), view, size / 2), { code: 'EFAULT' }),
        read: (view) => assert.throws(() => readSync(openSync(process.execPath), view, size / 2, size / 2, 0), { code: 'EFAULT' }),
      };
      for (const [name, use] of Object.entries(uses)) {
        const memory = MappedFile.openOrCreate(args[0], { size });
        const view = Buffer.from(memory.buffer);
        view.fill(1);
        truncateSync(args[0], 4096);
        await use(view);
        if (name !== 'write' && name !== 'read') assert.equal(memory.fault, 'truncated', name);
        assert.equal(view[0], 1);
        memory.close();
        truncateSync(args[0], size);
      }`;
    expect(await runPeer(source, { args: [tempPath()] })).toMatchObject(clean);
  });

  it('keeps what is left of it', () => {
    const name = shmName();
    using memory = SharedMemory.create(name, { size: 16_384 });
    const view = new Uint8Array(memory.buffer);
    view.fill(1);
    truncateSync(`/dev/shm${name}`, 5000);
    expect([view[4999], view[5000], view[8192], view[16_383]]).toEqual([1, 0, 0, 0]);
    view[100] = 2;
    using other = SharedMemory.open(name);
    expect(new Uint8Array(other.buffer)[100]).toBe(2);
    expect(() => memory.buffer).toThrow(truncated);
    memory.resize(16_384); // heals
    expect(new Uint8Array(memory.buffer)[4999]).toBe(1);
  });

  it('rejects a sync that ran into the hole', async () => {
    const path = tempPath();
    using file = MappedFile.create(path, { size: 1 << 20 });
    const view = new Uint8Array(file.buffer);
    truncateSync(path, 0);
    expect(view[0]).toBe(0);
    await expect(file.sync()).rejects.toEqual(truncated);
  });

  it('is noticed by each window for itself', () => {
    const name = shmName();
    using memory = SharedMemory.create(name, { size: 16_384 });
    using low = memory.map({ length: 4096 });
    using high = memory.map({ offset: 8192 });
    const view = new Uint8Array(high.buffer);
    truncateSync(`/dev/shm${name}`, 4096);
    expect(view[0]).toBe(0);
    expect([low.fault, high.fault, memory.fault]).toEqual([undefined, 'truncated', undefined]);
    expect(low.buffer.byteLength).toBe(4096);
    expect(() => high.buffer).toThrow(truncated);
  });
});

describe('the guard against faults', () => {
  it('hands on a fault that is not of its memory: the process dies by SIGBUS as it would without', async () => {
    // Memory that somebody else mapped: the addon of a second copy knows nothing of it, so a plain kill stands in.
    const source = `
      const memory = SharedMemory.anonymous({ size: 4096 });
      process.kill(process.pid, 'SIGBUS');
      await new Promise(() => setTimeout(() => {}, 1e6));`;
    expect(await runPeer(source)).toMatchObject({ code: null, signal: 'SIGBUS' });
  });

  it('is put back by the next call after process.on("SIGBUS") replaced it', async () => {
    const source = `
      import { truncateSync } from 'node:fs';
      const memory = MappedFile.create(args[0], { size: 8192 });
      const view = new Uint8Array(memory.buffer);
      process.on('SIGBUS', () => {});
      memory.advise('normal');
      truncateSync(args[0], 0);
      assert.equal(view[5000], 0);
      assert.equal(memory.fault, 'truncated');`;
    expect(await runPeer(source, { args: [tempPath()] })).toMatchObject(clean);
  });

  it('serves faults of many threads at once', async () => {
    const source = `
      import { truncateSync } from 'node:fs';
      import { Worker } from 'node:worker_threads';
      const memory = MappedFile.create(args[0], { size: 64 << 20 });
      const ends = Array.from({ length: 4 }, () => {
        const worker = new Worker(\`
          import { parentPort, workerData } from 'node:worker_threads';
          import { MappedFile } from 'interproc';
          const memory = MappedFile.open(workerData);
          const view = new Uint8Array(memory.buffer);
          parentPort.postMessage('open');
          parentPort.once('message', () => {
            for (let round = 0; round < 4; round++) for (let at = view.length - 1; at >= 0; at -= 4096) if (view[at] !== 0) throw new Error('not zero');
            parentPort.postMessage(memory.fault);
            parentPort.close();
          });\`, { eval: true, workerData: args[0] });
        return worker;
      });
      const message = (worker) => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
      await Promise.all(ends.map(message));
      truncateSync(args[0], 4096);
      const faults = ends.map(message);
      for (const worker of ends) worker.postMessage('go');
      assert.deepEqual(await Promise.all(faults), Array(4).fill('truncated'));`;
    expect(await runPeer(source, { args: [tempPath()] })).toMatchObject(clean);
  });
});
