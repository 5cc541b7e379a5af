import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { MappedFile, SharedMemory, SysvSharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { shmName, tempPath } from '../support/names.js';
import { clean, runPeer } from '../support/peer.js';

/** VmLck of this process, in KiB. */
function lockedKibibytes(): number {
  return Number(/VmLck:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}

describe('a read-only opening', () => {
  it('follows the object: what others store is seen', async () => {
    using memory = SharedMemory.create(shmName(), { size: 8192 });
    using reader = SharedMemory.open(memory.name as string, { readOnly: true });
    const seen = new Uint8Array(reader.buffer);
    expect(seen[4096]).toBe(0);
    new Uint8Array(memory.buffer)[4096] = 1;
    expect(seen[4096]).toBe(1);
    const source = `new Uint8Array(SharedMemory.open(args[0]).buffer)[4096] = 2;`;
    expect(await runPeer(source, { args: [memory.name] })).toMatchObject(clean);
    expect(seen[4096]).toBe(2);
  });

  it('keeps a stray store to itself: no crash, nothing changed, and refresh() drops it', () => {
    using memory = SharedMemory.create(shmName(), { size: 8192 });
    using reader = SharedMemory.open(memory.name as string, { readOnly: true });
    const [written, seen] = [new Uint8Array(memory.buffer), new Uint8Array(reader.buffer)];
    written.fill(1);
    seen[0] = 99;
    expect([seen[0], written[0]]).toEqual([99, 1]);
    written[1] = 2; // the page with the stray store is frozen, the other one is not
    written[4096] = 2;
    expect([seen[1], seen[4096]]).toEqual([1, 2]);
    reader.refresh();
    expect([seen[0], seen[1]]).toEqual([1, 2]);
  });

  it('needs no write permission on the file', async () => {
    const path = tempPath();
    writeFileSync(path, 'read me');
    chmodSync(path, 0o444);
    const source = `
      if (process.getuid() === 0) { process.setgroups([]); process.setgid(65534); process.setuid(65534); }
      assert.throws(() => MappedFile.open(args[0]), { code: 'EACCES' });
      assert.equal(Buffer.from(MappedFile.open(args[0], { readOnly: true }).buffer).toString(), 'read me');`;
    chmodSync(dirname(path), 0o755);
    expect(await runPeer(source, { args: [path] })).toMatchObject(clean);
  });

  it('can be locked in memory and pre-faulted without freezing what it shows', () => {
    using memory = SharedMemory.create(shmName(), { size: 1 << 20 });
    using reader = SharedMemory.open(memory.name as string, { readOnly: true });
    const before = lockedKibibytes();
    reader.lock();
    expect(lockedKibibytes() - before).toBe(1024);
    reader.advise('populate_read');
    new Uint8Array(memory.buffer).fill(6);
    expect(Buffer.from(reader.buffer).equals(Buffer.alloc(1 << 20, 6))).toBe(true);
    reader.unlock({ length: 4096 });
    expect(lockedKibibytes() - before).toBe(1020);
    reader.close();
    expect(lockedKibibytes()).toBe(before);
  });

  it('refuses what would change the object', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    using reader = SharedMemory.open(memory.name as string, { readOnly: true });
    const refusal = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_READ_ONLY' });
    expect(() => reader.resize(8192)).toThrow(refusal);
    expect(() => reader.advise('remove')).toThrow(refusal);
    expect(() => reader.advise('populate_write')).toThrow(refusal);
    expect(() => reader.syncSync()).toThrow(refusal);
    await expect(reader.sync()).rejects.toEqual(refusal);
    expect(memory.size).toBe(4096);
  });

  it('has read-only windows', () => {
    using memory = SharedMemory.create(shmName(), { size: 8192 });
    using reader = SharedMemory.open(memory.name as string, { readOnly: true });
    using window = reader.map({ offset: 4096 });
    new Uint8Array(window.buffer)[0] = 1;
    expect(window.readOnly).toBe(true);
    expect(new Uint8Array(memory.buffer)[4096]).toBe(0);
  });

  it('of a System V segment behaves the same, in compiled code and inside native copies', async () => {
    const source = `
      const segment = SysvSharedMemory.create(null, { size: 64 * 1024 });
      const reader = SysvSharedMemory.fromId(segment.id, { readOnly: true });
      segment.remove();
      const [written, seen] = [new Uint8Array(segment.buffer), new Uint8Array(reader.buffer)];
      written.fill(1);
      const store = (at) => { seen[at] = at & 0xff; };
      for (let round = 0; round < 20_000; round++) store(round % 4096); // compiled by now
      for (let at = 8192; at < 12_288; at++) store(at);
      Buffer.alloc(4096, 7).copy(Buffer.from(reader.buffer), 16_384); // memcpy
      assert.equal(seen[8193], 1);
      assert.equal(seen[8194], 2);
      assert.equal(seen[16_384], 7);
      assert.equal(written.every((byte) => byte === 1), true);
      written[40_000] = 2;
      assert.equal(seen[40_000], 2);
      reader.refresh();
      assert.equal(seen[16_384], 1);
      reader.close();
      assert.equal(seen[0], 0);
      seen[0] = 1;
      // Other faults of that kind are handled as before: WebAssembly traps by SIGSEGV.
      const bytes = new Uint8Array([0,97,115,109,1,0,0,0,1,5,1,96,0,1,127,3,2,1,0,5,3,1,0,1,7,5,1,1,102,0,0,10,11,1,9,0,65,127,40,2,252,255,15,11]);
      assert.throws(() => new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.f(), WebAssembly.RuntimeError);`;
    expect(await runPeer(source)).toMatchObject(clean);
  });

  it('of a System V segment opened in this process changes nothing for its writer', () => {
    using segment = SysvSharedMemory.create(null, { size: 4096 });
    using reader = SysvSharedMemory.fromId(segment.id, { readOnly: true });
    segment.remove();
    new Uint8Array(reader.buffer)[5] = 5;
    expect([new Uint8Array(segment.buffer)[5], new Uint8Array(reader.buffer)[5]]).toEqual([0, 5]);
  });
});

describe('a System V segment opened read-only', () => {
  it('survives more stray stores than the process may have mappings', async () => {
    const source = `
      const segment = SysvSharedMemory.create(null, { size: 512 << 20 });
      const reader = SysvSharedMemory.fromId(segment.id, { readOnly: true });
      segment.remove();
      const seen = new Uint8Array(reader.buffer);
      // Every second page, so that no two copies lie side by side.
      for (let at = 0; at < seen.length; at += 8192) seen[at] = 1;
      assert.equal(reader.fault, 'no-space');
      assert.throws(() => reader.buffer, { code: 'ERR_INTERPROC_NO_SPACE' });
      assert.equal(new Uint8Array(segment.buffer)[0], 0);`;
    expect(await runPeer(source)).toMatchObject(clean);
  });

  it('loses no store of two threads that hit the same page at once', async () => {
    const source = `
      import { Worker } from 'node:worker_threads';
      const segment = SysvSharedMemory.create(null, { size: 16 << 20 });
      const reader = SysvSharedMemory.fromId(segment.id, { readOnly: true });
      segment.remove();
      if (!features.sharedArrayBuffer) process.exit(0); // two threads can't have one mapping there
      const shared = SysvSharedMemory.fromId(segment.id, { readOnly: true, sharedArrayBuffer: true });
      const gate = new Int32Array(new SharedArrayBuffer(4));
      const store = 'for (let page = 0; page < 4096; page++) { Atomics.add(gate, 0, 1); while (Atomics.load(gate, 0) < 2 * (page + 1)); bytes[page * 4096 + lane] = 1; }';
      const worker = new Worker(\`
        import { workerData } from 'node:worker_threads';
        const { gate, lane } = workerData, bytes = new Uint8Array(workerData.buffer);
        \${store}\`, { eval: true, workerData: { gate, lane: 64, buffer: shared.buffer } });
      const ended = new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
      await new Promise((resolve) => worker.once('online', resolve));
      const bytes = new Uint8Array(shared.buffer);
      new Function('gate', 'bytes', 'lane', store)(gate, bytes, 0);
      assert.equal(await ended, 0);
      for (let page = 0; page < 4096; page++) assert.deepEqual([bytes[page * 4096], bytes[page * 4096 + 64]], [1, 1], 'page ' + page);`;
    expect(await runPeer(source)).toMatchObject(clean);
  });
});

describe('a mapped file opened read-only', () => {
  it('never changes on disk', () => {
    const path = tempPath();
    writeFileSync(path, 'abc');
    using file = MappedFile.open(path, { readOnly: true });
    new Uint8Array(file.buffer).fill(0);
    expect(readFileSync(path, 'utf8')).toBe('abc');
  });
});
