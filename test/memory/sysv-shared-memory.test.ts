import { writeFileSync } from 'node:fs';
import { ftok, SysvSharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { sysvKey, tempPath } from '../support/names.js';
import { clean, runPeer, startPeer } from '../support/peer.js';

describe('a System V segment', () => {
  it('is found by its key in another process, and is the same memory', async () => {
    const path = tempPath();
    writeFileSync(path, '');
    const key = ftok(path, 0x41);
    using segment = SysvSharedMemory.create(key, { size: 5000 });
    expect(segment).toMatchObject({ key, created: true, size: 5000, linked: true });
    const source = `
      const segment = SysvSharedMemory.open(ftok(args[0], 0x41));
      assert.equal(segment.size, 5000);
      assert.equal(segment.created, false);
      new Uint8Array(segment.buffer)[4999] = 3;`;
    expect(await runPeer(source, { args: [path] })).toMatchObject(clean);
    expect(new Uint8Array(segment.buffer)[4999]).toBe(3);
    segment.remove();
  });

  it('is exclusive to make, and openOrCreate says which it did', () => {
    const key = sysvKey();
    using first = SysvSharedMemory.openOrCreate(key, { size: 10, mode: 0o640 });
    using second = SysvSharedMemory.openOrCreate(key, { size: 20 });
    expect([first.created, second.created, second.size, second.id]).toEqual([true, false, 10, first.id]);
    const hex = `0x${(key >>> 0).toString(16).padStart(8, '0')}`;
    expect(() => SysvSharedMemory.create(key, { size: 10 })).toThrow(
      expect.objectContaining({ code: 'EEXIST', syscall: 'shmget', path: hex }),
    );
    first.remove();
    expect(() => SysvSharedMemory.open(key)).toThrow(
      expect.objectContaining({ code: 'ENOENT', syscall: 'shmget' }),
    );
  });

  it('takes a key with the top bit set, signed or not', () => {
    using segment = SysvSharedMemory.create(0xdead_0000 + (sysvKey() & 0xffff), { size: 1 });
    expect(segment.key).toBeLessThan(0);
    using again = SysvSharedMemory.open((segment.key as number) >>> 0);
    expect(again.id).toBe(segment.id);
    segment.remove();
  });

  it('of no key reaches others by its id', async () => {
    using segment = SysvSharedMemory.create(null, { size: 8 });
    expect([segment.key, segment.linked]).toEqual([null, false]);
    const source = `new Uint8Array(SysvSharedMemory.fromId(args[0]).buffer)[0] = 8;`;
    expect(await runPeer(source, { args: [segment.id] })).toMatchObject(clean);
    expect(new Uint8Array(segment.buffer)[0]).toBe(8);
    segment.remove();
  });

  it('tells owner, mode, times, and how often it is attached', () => {
    using segment = SysvSharedMemory.create(sysvKey(), { size: 8, mode: 0o660 });
    using again = SysvSharedMemory.fromId(segment.id);
    expect(segment.stat()).toMatchObject({
      id: segment.id,
      key: segment.key,
      size: 8,
      mode: 0o660,
      uid: process.getuid?.(),
      creatorPid: process.pid,
      lastPid: process.pid,
      attached: 2,
      attachedAt: expect.any(Date),
      removed: false,
      locked: false,
    });
    again.close();
    expect(segment.stat()).toMatchObject({ attached: 1, detachedAt: expect.any(Date) });
    segment.set({ mode: 0o600 });
    expect(segment.stat().mode).toBe(0o600);
    segment.set({ gid: process.getgid?.() });
    expect(segment.stat()).toMatchObject({ mode: 0o600, gid: process.getgid?.() });
    segment.lockSegment();
    expect(segment.stat().locked).toBe(true);
    segment.unlockSegment();
    expect(SysvSharedMemory.list().find(({ id }) => id === segment.id)).toEqual(segment.stat());
    segment.remove();
  });

  it('lives until the last process detaches, once it is removed', async () => {
    using segment = SysvSharedMemory.create(sysvKey(), { size: 8 });
    const peer = startPeer(
      `const segment = SysvSharedMemory.open(args[0]);
       await send('attached');
       await next();
       assert.equal(segment.linked, false);
       assert.equal(segment.stat().removed, true);
       assert.equal(segment.stat().key, null);
       new Uint8Array(segment.buffer)[0] = 1;`,
      { args: [segment.key] },
    );
    expect(await peer.next()).toBe('attached');
    SysvSharedMemory.remove(segment.id);
    peer.send('removed');
    expect(await peer.exited).toMatchObject(clean);
    expect(new Uint8Array(segment.buffer)[0]).toBe(1);
    const { id } = segment;
    segment.close();
    expect(SysvSharedMemory.list().find((each) => each.id === id)).toBeUndefined();
    expect(() => SysvSharedMemory.fromId(id)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^E(INVAL|IDRM)$/) }),
    );
  });

  it('detaches on close although views are still held, which read zeros then', () => {
    using keeper = SysvSharedMemory.create(null, { size: 4096 });
    const segment = SysvSharedMemory.fromId(keeper.id);
    const view = new Uint8Array(segment.buffer);
    view[0] = 5;
    segment.close();
    expect(keeper.stat().attached).toBe(1);
    expect(view[0]).toBe(0);
    view[0] = 6;
    expect(new Uint8Array(keeper.buffer)[0]).toBe(5);
    keeper.remove();
  });

  it('is opened or made by processes that race with others which remove it', async () => {
    const key = sysvKey();
    const peers = Array.from({ length: 4 }, () =>
      startPeer(
        `for (let round = 0; round < 3000; round++) {
           const segment = SysvSharedMemory.openOrCreate(args[0], { size: 4096 });
           try { segment.remove(); } catch (error) { assert.match(error.code, /^E(INVAL|IDRM)$/); }
           segment.close();
         }`,
        { args: [key] },
      ),
    );
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    expect(SysvSharedMemory.list().find((each) => each.key === key)).toBeUndefined();
  });
});
