import { readlinkSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { shmName } from '../support/names.js';
import { clean, runPeer, startPeer } from '../support/peer.js';

describe('a shared-memory object', () => {
  it('is seen by another process, byte for byte, both ways', async () => {
    const memory = SharedMemory.create(shmName(), { size: 4096 });
    const bytes = new Uint8Array(memory.buffer);
    bytes[1] = 41;
    const source = `
      const memory = SharedMemory.open(args[0]);
      assert.equal(memory.size, 4096);
      const bytes = new Uint8Array(memory.buffer);
      bytes[2] = bytes[1] + 1;`;
    expect(await runPeer(source, { args: [memory.name] })).toMatchObject(clean);
    expect(bytes[2]).toBe(42);
    memory.close();
  });

  it('is all zero, has exactly the size asked for and the mode 0600', () => {
    using memory = SharedMemory.create(shmName(), { size: 5000 });
    expect(memory.size).toBe(5000);
    expect(memory.buffer.byteLength).toBe(5000);
    expect(Buffer.from(memory.buffer).equals(Buffer.alloc(5000))).toBe(true);
    expect(memory.stat()).toMatchObject({ size: 5000, mode: 0o600, nlink: 1, uid: process.getuid?.() });
    expect(memory.stat().mtime).toBeInstanceOf(Date);
  });

  it('is named with or without a leading slash', () => {
    const name = shmName();
    using memory = SharedMemory.create(name.slice(1), { size: 1 });
    expect(memory.name).toBe(name);
    using again = SharedMemory.open(name);
    expect(again.stat().ino).toBe(memory.stat().ino);
  });

  it('may have a name of 255 bytes, in any script', () => {
    const name = shmName().slice(1);
    const long = `${name}-${'é'.repeat(60)}`.padEnd(255 - 60, 'x');
    expect(Buffer.byteLength(long)).toBe(255);
    using memory = SharedMemory.create(long, { size: 1 });
    expect(SharedMemory.stat(long).size).toBe(1);
    memory.unlink();
  });

  it('takes its pages at creation, and sparse only when told so', () => {
    using reserved = SharedMemory.create(shmName(), { size: 1 << 20 });
    using sparse = SharedMemory.create(shmName(), { size: 1 << 20, reserve: false });
    expect(reserved.stat().allocated).toBe(1 << 20);
    expect(sparse.stat().allocated).toBe(0);
  });

  it('gives the same buffer each time', () => {
    using memory = SharedMemory.create(shmName(), { size: 64 });
    expect(memory.buffer).toBe(memory.buffer);
  });

  it('says whether openOrCreate made it, and leaves one that exists as it is', () => {
    const name = shmName();
    using first = SharedMemory.openOrCreate(name, { size: 100 });
    using second = SharedMemory.openOrCreate(name, { size: 200, mode: 0o644 });
    expect([first.created, second.created]).toEqual([true, false]);
    expect(second.size).toBe(100);
    expect(second.stat().mode).toBe(0o600);
  });

  it('is made by exactly one of several processes that race for its name', async () => {
    const name = shmName();
    const peers = Array.from({ length: 4 }, () =>
      startPeer(
        `await send('ready');
         await next();
         const memory = SharedMemory.openOrCreate(args[0], { size: 8192 });
         assert.equal(memory.size, 8192); // never seen unfinished
         Atomics.add(new Int32Array(memory.buffer), 0, 1);
         await send(memory.created);`,
        { args: [name] },
      ),
    );
    for (const peer of peers) expect(await peer.next()).toBe('ready');
    for (const peer of peers) peer.send('go');
    const created = await Promise.all(peers.map((peer) => peer.next()));
    expect(created.filter(Boolean)).toHaveLength(1);
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    using memory = SharedMemory.open(name);
    expect(new Int32Array(memory.buffer)[0]).toBe(4);
  });

  it('lives on without its name, for those who have it open', () => {
    const name = shmName();
    using memory = SharedMemory.create(name, { size: 8 });
    using other = SharedMemory.open(name);
    expect(memory.linked).toBe(true);
    memory.unlink();
    expect(memory.linked).toBe(false);
    expect(other.linked).toBe(false);
    expect(memory.stat().nlink).toBe(0);
    new Uint8Array(memory.buffer)[0] = 5;
    expect(new Uint8Array(other.buffer)[0]).toBe(5);
  });

  it('knows when its name leads to another object by now, and does not unlink that', () => {
    const name = shmName();
    using old = SharedMemory.create(name, { size: 8 });
    SharedMemory.unlink(name);
    using young = SharedMemory.create(name, { size: 8 });
    expect([old.linked, young.linked]).toEqual([false, true]);
    expect(() => old.unlink()).toThrow(expect.objectContaining({ code: 'ENOENT', syscall: 'shm_unlink' }));
    expect(young.linked).toBe(true);
  });

  it('is listed with its size and owner; named semaphores are not', async () => {
    const name = shmName();
    using memory = SharedMemory.create(name, { size: 777, mode: 0o640 });
    const semaphore = shmName().replace('/', '/sem.');
    using lookalike = SharedMemory.create(semaphore, { size: 32 });
    const list = SharedMemory.list();
    expect(list.find((entry) => entry.name === name)).toEqual({ name, ...memory.stat() });
    expect(list.find((entry) => entry.name === semaphore)).toBeUndefined();
    lookalike.unlink();
  });

  it('has a descriptor that closes on exec and is the object', async () => {
    using memory = SharedMemory.create(shmName(), { size: 16 });
    expect(readlinkSync(`/proc/self/fd/${memory.fd}`)).toBe(`/dev/shm${memory.name}`);
    const { stdout } = await runPeer(`import { readdirSync, readlinkSync } from 'node:fs';
      for (const fd of readdirSync('/proc/self/fd')) try { console.log(readlinkSync('/proc/self/fd/' + fd)); } catch {}`);
    expect(stdout).not.toContain(memory.name);
  });

  it('outlives the process that made it', async () => {
    const name = shmName();
    const source = `
      const memory = SharedMemory.create(args[0], { size: 8 });
      new Uint8Array(memory.buffer)[7] = 77;
      process.kill(process.pid, 'SIGKILL');`;
    expect(await runPeer(source, { args: [name] })).toMatchObject({ signal: 'SIGKILL' });
    using memory = SharedMemory.open(name);
    expect(new Uint8Array(memory.buffer)[7]).toBe(77);
  });

  it('is never seen unfinished, although its maker is killed at any moment', async () => {
    const name = shmName();
    for (let round = 0; round < 10; round++) {
      const peer = startPeer(
        `await send('going');
         for (;;) {
           SharedMemory.create(args[0], { size: 1 << 20, mode: 0o644 }).close();
           SharedMemory.unlink(args[0]);
         }`,
        { args: [name] },
      );
      await peer.next();
      for (let looks = 0; looks < 200; looks++) {
        try {
          using memory = SharedMemory.open(name);
          expect(memory.stat()).toMatchObject({ size: 1 << 20, allocated: 1 << 20, mode: 0o644 });
        } catch (error) {
          expect(error).toMatchObject({ code: 'ENOENT' });
        }
      }
      peer.process.kill('SIGKILL');
      await peer.exited;
      SharedMemory.openOrCreate(name, { size: 1 << 20 }).unlink();
    }
  });

  it('opens an object that its maker has not given a size yet as an empty one, and remaps it later', () => {
    const name = shmName();
    using memory = SharedMemory.create(name, { size: 4096 });
    const path = `/dev/shm${name}`;
    memory.unlink();
    writeFileSync(path, '');
    using empty = SharedMemory.open(name);
    expect([empty.size, empty.buffer.byteLength]).toEqual([0, 0]);
    truncateSync(path, 100);
    empty.remap();
    expect([empty.size, empty.buffer.byteLength]).toEqual([100, 100]);
    expect(statSync(path).size).toBe(100);
  });

  it('shows what it is when printed', () => {
    const name = shmName();
    const memory = SharedMemory.create(name, { size: 3 });
    memory.close();
    expect(inspect(memory, { breakLength: Number.POSITIVE_INFINITY })).toBe(
      `SharedMemory { name: '${name}', size: 3, readOnly: false, closed: true }`,
    );
  });
});
