import { crc32 } from 'node:zlib';
import { MappedFile, SharedMemory, SysvSharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { holdings } from '../support/leaks.js';
import { shmName, tempPath } from '../support/names.js';
import { clean, runPeer } from '../support/peer.js';

const closed = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_CLOSED' });

describe('a closed region', () => {
  const kinds = {
    SharedMemory: () => SharedMemory.create(shmName(), { size: 8192 }),
    'SharedMemory.anonymous': () => SharedMemory.anonymous({ size: 8192 }),
    MappedFile: () => MappedFile.create(tempPath(), { size: 8192 }),
    MemoryWindow: () => SharedMemory.anonymous({ size: 8192 }).map(),
    SysvSharedMemory: () => {
      const segment = SysvSharedMemory.create(null, { size: 8192 });
      segment.remove();
      return segment;
    },
  };

  it.each(Object.entries(kinds))('refuses every use, and closing again is nothing: %s', async (_, make) => {
    const region = make();
    region.close();
    region.close();
    region[Symbol.dispose]();
    expect(region.closed).toBe(true);
    const uses: Record<string, () => unknown> = {};
    for (const [name, property] of Object.entries(allProperties(region))) {
      if (
        ['constructor', 'close', 'closed', 'size', 'readOnly', 'name', 'path', 'created', 'fault'].includes(
          name,
        )
      )
        continue;
      if (['id', 'key', 'offset'].includes(name)) continue;
      const args = { resize: [1], advise: ['normal'], seal: [[]], set: [{}] }[name] ?? [];
      uses[name] = () => (property.get ? (region as any)[name] : (region as any)[name](...args));
    }
    expect(Object.keys(uses)).toEqual(
      expect.arrayContaining(['buffer', 'sync', 'syncSync', 'lock', 'unlock', 'advise', 'refresh']),
    );
    for (const [name, use] of Object.entries(uses)) {
      if (name === 'sync') await expect(use(), name).rejects.toEqual(closed);
      else expect(use, name).toThrow(closed);
    }
    expect(region.fault).toBeUndefined();
  });

  it.each(Object.entries(kinds))(
    'holds no descriptor and no memory, and old views read zeros: %s',
    async (_, make) => {
      const before = await holdings();
      const region = make();
      const view = new Uint8Array(region.buffer);
      view.fill(7);
      region.close();
      expect((await holdings()).mappings).toEqual(before.mappings);
      expect([view[0], view[8191], view.byteLength]).toEqual([0, 0, 8192]);
      view.fill(9);
      expect(view[0]).toBe(9);
      expect(await holdings()).toEqual(before);
    },
  );
});

/** Public properties of an object and of its prototypes. */
function allProperties(object: object): Record<string, PropertyDescriptor> {
  const prototype = Object.getPrototypeOf(object);
  if (prototype === Object.prototype) return {};
  const hidden = /^(check|release|describe|replaceMapping)/;
  const own = Object.entries(Object.getOwnPropertyDescriptors(prototype)).filter(
    ([name]) => !hidden.test(name),
  );
  return { ...allProperties(prototype), ...Object.fromEntries(own) };
}

describe('closing', () => {
  it('one handle of an object leaves the others alone, and so does garbage collection', async () => {
    const name = shmName();
    using kept = SharedMemory.create(name, { size: 4096 });
    const view = new Uint8Array(kept.buffer);
    const use = () => {
      const other = SharedMemory.open(name);
      new Uint8Array(other.buffer)[0] = 42;
      return new WeakRef(other);
    };
    const others = Array.from({ length: 50 }, use);
    const { fds } = await holdings();
    expect(others.every((other) => other.deref() === undefined)).toBe(true);
    expect(fds.filter((target) => target.includes(name))).toHaveLength(1);
    expect(view[0]).toBe(42);
    view[0] = 43;
    SharedMemory.open(name).close();
    expect(view[0]).toBe(43);
  });

  it('by garbage collection waits for the buffer: a view outlives the handle it came from', async () => {
    const name = shmName();
    using writer = SharedMemory.create(name, { size: 4096 });
    const view = (() => new Uint8Array(SharedMemory.open(name).buffer))();
    await holdings();
    new Uint8Array(writer.buffer)[0] = 1;
    expect(view[0]).toBe(1);
  });

  it('by `using` works', () => {
    let outside: SharedMemory;
    {
      using memory = SharedMemory.create(shmName(), { size: 1 });
      outside = memory;
    }
    expect(outside.closed).toBe(true);
  });

  it('while a compiled loop uses the view ends in zeros, never in a crash', async () => {
    const source = `
      for (const end of ['close', 'resize']) {
        const memory = SharedMemory.anonymous({ size: 1 << 20 });
        const view = new Int32Array(memory.buffer);
        view.fill(1);
        const sum = () => { let total = 0; for (let at = 0; at < view.length; at++) total += view[at]; return total; };
        for (let round = 0; round < 50; round++) assert.equal(sum(), view.length);
        let calls = 0;
        const values = { get next() { if (++calls === 500) end === 'close' ? memory.close() : memory.resize(2 << 20); return 1; } };
        for (let at = 0; at < 1000; at++) view[at] = values.next;
        assert.equal(sum(), 501); // the store that was under way and those after it went into the private zeros
      }`;
    expect(await runPeer(source)).toMatchObject(clean);
  });

  it.each(['close', 'resize'])(
    'by %s while zlib, fs and crypto work on a view in other threads is safe',
    async (end) => {
      const source = `
      import { deflate, gzip } from 'node:zlib';
      import { open } from 'node:fs/promises';
      import { promisify } from 'node:util';
      import { webcrypto, createHash } from 'node:crypto';
      const size = 32 << 20;
      for (let round = 0; round < 3; round++) {
        const memory = SharedMemory.anonymous({ size });
        const view = Buffer.from(memory.buffer);
        for (let at = 0; at < size; at += 64) view[at] = at;
        const source = await open(process.execPath);
        const sink = await open('/dev/null', 'w');
        let left = 5;
        const work = [
          promisify(deflate)(view),
          promisify(gzip)(view.subarray(1000)),
          source.read(view, 0, size, 0),
          sink.write(view),
          webcrypto.subtle.digest('SHA-256', view),
        ].map((each) => each.finally(() => left--));
        await new Promise((resolve) => setImmediate(resolve));
        assert.ok(left > 0, 'the work is over already');
        args[0] === 'close' ? memory.close() : memory.resize(size + 4096);
        assert.equal(createHash('sha1').update(view).digest().length, 20);
        await Promise.all(work);
        await source.close();
        await sink.close();
      }`;
      expect(await runPeer(source, { args: [end] })).toMatchObject(clean);
    },
  );

  it('after the buffer was transferred covers that too, and .buffer is a new one over the same memory', async () => {
    const source = `
      const memory = SharedMemory.anonymous({ size: 8192 });
      const first = memory.buffer;
      new Uint8Array(first)[0] = 1;
      const moved = first.transfer();
      assert.equal(first.byteLength, 0);
      assert.notEqual(memory.buffer, first);
      assert.equal(memory.buffer.byteLength, 8192);
      new Uint8Array(moved)[1] = 2;
      assert.deepEqual([...new Uint8Array(memory.buffer, 0, 2)], [1, 2]); // the same memory still
      const grown = memory.buffer.transfer(16_384); // a copy
      assert.deepEqual([...new Uint8Array(grown, 0, 2)], [1, 2]);
      const last = new Uint8Array(memory.buffer);
      memory.close();
      assert.deepEqual([new Uint8Array(moved)[1], last[1]], [0, 0]);
      new Uint8Array(moved).fill(3);
      gc();
      memory.close();`;
    const execArgv = ['--expose-gc', '--harmony-rab-gsab-transfer'];
    expect(await runPeer(source, { execArgv: usable(execArgv) })).toMatchObject(clean);
  });

  it('after structuredClone was asked to transfer the buffer is safe, whatever the runtime made of that', async () => {
    const source = `
      import { Worker } from 'node:worker_threads';
      const memory = SharedMemory.anonymous({ size: 8192 });
      new Uint8Array(memory.buffer)[0] = 1;
      let clone;
      try {
        clone = structuredClone(memory.buffer, { transfer: [memory.buffer] });
      } catch (error) {
        assert.equal(error.name, 'DataCloneError');
      }
      if (clone) assert.equal(new Uint8Array(clone)[0], 1);
      assert.equal(new Uint8Array(memory.buffer)[0], 1);
      // The same to a worker that ends while it holds what it got.
      const worker = new Worker(\`
        import { parentPort } from 'node:worker_threads';
        parentPort.once('message', (buffer) => { new Uint8Array(buffer)[0] = 2; process.exit(); });\`, { eval: true });
      try {
        worker.postMessage(memory.buffer, [memory.buffer]);
      } catch (error) {
        assert.equal(error.name, 'DataCloneError');
        worker.postMessage(memory.buffer);
      }
      await new Promise((resolve) => worker.once('exit', resolve));
      new Uint8Array(memory.buffer)[1] = 3;
      memory.close();
      if (clone) new Uint8Array(clone).fill(4);
      gc();`;
    expect(await runPeer(source, { execArgv: ['--expose-gc'] })).toMatchObject(clean);
  });

  it('during an asynchronous sync rejects it', async () => {
    const file = MappedFile.create(tempPath(), { size: 1 << 20 });
    new Uint8Array(file.buffer).fill(1);
    const synced = file.sync();
    file.close();
    await expect(synced).rejects.toEqual(closed);
  });

  it('is not what a resize does to an asynchronous sync, which goes on with what there is then', async () => {
    using file = MappedFile.create(tempPath(), { size: 1 << 20 });
    new Uint8Array(file.buffer).fill(1);
    const synced = file.sync();
    const outside = file.sync({ offset: 8192 }).catch((error) => error.code);
    file.resize(4096);
    expect(await synced).toBeUndefined();
    expect(await outside).toBe('ERR_OUT_OF_RANGE');
  });

  it('ten thousand times, in every way, leaks no descriptor, mapping or thread', async () => {
    const source = `
      import { readdirSync, readFileSync } from 'node:fs';
      const settle = async () => { for (let i = 0; i < 5; i++) { gc(); await new Promise(setImmediate); } };
      const count = () => [readdirSync('/proc/self/fd').length, readdirSync('/proc/self/task').length,
        readFileSync('/proc/self/maps', 'utf8').split('\\n').filter((line) => /memfd|deleted|shm|SYSV/.test(line)).length];
      const cycle = (round) => {
        const memory = SharedMemory.anonymous({ size: 4096 });
        if (round % 2) new Uint8Array(memory.buffer)[0] = 1;
        if (round % 3) memory.close();
        const segment = SysvSharedMemory.create(null, { size: 4096 });
        if (round % 2) new Uint8Array(segment.buffer)[0] = 1;
        segment.remove();
        if (round % 3) segment.close();
        if (round % 5 === 0) assert.throws(() => SharedMemory.open('/interproc-no-such-object'));
      };
      cycle(1);
      await settle();
      const before = count();
      for (let round = 0; round < 10_000; round++) {
        cycle(round);
        if (round % 500 === 0) await settle();
      }
      await settle();
      assert.deepEqual(count(), before);`;
    expect(await runPeer(source, { execArgv: ['--expose-gc'] })).toMatchObject(clean);
  });

  it('is nothing that a checksum in native code trips over', () => {
    const memory = SharedMemory.anonymous({ size: 4096 });
    const view = Buffer.from(memory.buffer);
    view.fill(1);
    memory.close();
    if (crc32) expect(crc32(view)).toBe(crc32(Buffer.alloc(4096)));
    expect(view.equals(Buffer.alloc(4096))).toBe(true);
  });
});

/** Flags that this runtime still knows: those of features that it has by default are gone. */
function usable(flags: string[]): string[] {
  return flags.filter((flag) => !flag.startsWith('--harmony') || !('transfer' in ArrayBuffer.prototype));
}
