import { closeSync, ftruncateSync, openSync, readFileSync } from 'node:fs';
import { SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { holdings } from '../support/leaks.js';
import { tempPath } from '../support/names.js';
import { clean, runPeer } from '../support/peer.js';

describe('anonymous shared memory', () => {
  it('reaches a child through stdio, with no name anywhere', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    expect([memory.name, memory.linked, memory.created]).toEqual([null, false, true]);
    const bytes = new Uint8Array(memory.buffer);
    bytes[0] = 20;
    const source = `
      const memory = SharedMemory.fromFd(4);
      assert.equal(memory.created, false);
      new Uint8Array(memory.buffer)[1] = new Uint8Array(memory.buffer)[0] * 2;`;
    expect(await runPeer(source, { fds: [memory.fd] })).toMatchObject(clean);
    expect(bytes[1]).toBe(40);
  });

  it('is sealed against shrinking, so that no peer can pull it away', async () => {
    using memory = SharedMemory.anonymous({ size: 8192 });
    expect(memory.seals).toContain('shrink');
    expect(() => ftruncateSync(memory.fd, 0)).toThrow(/EPERM/);
    expect(() => memory.resize(4096)).toThrow(
      expect.objectContaining({ code: 'EPERM', syscall: 'ftruncate' }),
    );
    memory.resize(16384);
    expect(memory.buffer.byteLength).toBe(16384);
  });

  it('is not sealed when told so, and carries just the seals it was given', () => {
    using open = SharedMemory.anonymous({ size: 8192, seal: false });
    expect(open.seals.filter((seal) => seal !== 'exec')).toEqual([]);
    open.resize(4096);
    using closed = SharedMemory.anonymous({ size: 4096, seal: ['grow', 'shrink', 'seal'] });
    expect(closed.seals.filter((seal) => seal !== 'exec')).toEqual(['seal', 'shrink', 'grow']);
    expect(() => closed.resize(8192)).toThrow(expect.objectContaining({ code: 'EPERM' }));
    expect(() => closed.seal(['write'])).toThrow(
      expect.objectContaining({ code: 'EPERM', syscall: 'fcntl' }),
    );
  });

  it('can be handed out for reading only: its maker writes on, nobody else can', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const bytes = new Uint8Array(memory.buffer);
    bytes[0] = 1;
    memory.seal(['future-write']);
    bytes[0] = 2;
    const source = `
      const memory = SharedMemory.fromFd(4);
      assert.equal(memory.readOnly, true);
      const bytes = new Uint8Array(memory.buffer);
      assert.equal(bytes[0], 2);
      bytes[1] = 99; // stays here
      const again = SharedMemory.fromFd((await import('node:fs')).openSync('/proc/self/fd/4', 'r+'));
      assert.equal(again.readOnly, true);`;
    expect(await runPeer(source, { fds: [memory.fd] })).toMatchObject(clean);
    expect(bytes[1]).toBe(0);
  });

  it('refuses to be resized once it is sealed against new writable mappings, and stays as it is', () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const { buffer } = memory;
    memory.seal(['future-write']);
    expect(() => memory.resize(8192)).toThrow(expect.objectContaining({ code: 'EPERM', syscall: 'mmap' }));
    expect(() => memory.map()).toThrow(/EPERM.*mmap.*F_SEAL_FUTURE_WRITE/);
    expect([memory.stat().size, memory.buffer]).toEqual([4096, buffer]);
  });

  it('has no name to unlink', () => {
    using memory = SharedMemory.anonymous({ size: 1 });
    expect(() => memory.unlink()).toThrow(expect.objectContaining({ code: 'ENOENT', syscall: 'shm_unlink' }));
    expect(() => memory.unlink()).not.toThrow(expect.objectContaining({ path: expect.anything() }));
  });

  it('refuses the seal against writing while it is mapped for writing, and says so', () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    expect(() => memory.seal(['write'])).toThrow(/EBUSY.*nobody maps the object for writing/);
  });

  it('shows its label in the maps of the process', () => {
    using memory = SharedMemory.anonymous({ size: 4096, label: 'price-feed' });
    expect(memory.buffer.byteLength).toBe(4096);
    expect(readFileSync('/proc/self/maps', 'utf8')).toContain('/memfd:price-feed');
  });

  it('keeps the mode and owner that it was given', () => {
    using memory = SharedMemory.anonymous({ size: 1, mode: 0o640 });
    expect(memory.stat().mode).toBe(0o640);
    using usual = SharedMemory.anonymous({ size: 1 });
    expect(usual.stat().mode).toBe(0o600);
  });

  it('leaves nothing behind when its seals are refused', async () => {
    const before = await holdings();
    expect(() => SharedMemory.anonymous({ size: 4096, seal: ['write'] })).toThrow(/EBUSY/);
    expect(await holdings()).toEqual(before);
  });
});

describe('memory from a descriptor', () => {
  it("keeps a descriptor of its own, so that the caller's can be closed", () => {
    const path = tempPath();
    const fd = openSync(path, 'w+', 0o600);
    ftruncateSync(fd, 4096);
    using memory = SharedMemory.fromFd(fd);
    closeSync(fd);
    new Uint8Array(memory.buffer)[0] = 65;
    expect(readFileSync(path)[0]).toBe(65);
    expect(memory.fd).not.toBe(fd);
    memory.resize(8192);
    expect(readFileSync(path)).toHaveLength(8192);
  });

  it('is read-only where the descriptor is', () => {
    const path = tempPath();
    const maker = openSync(path, 'w+', 0o600);
    ftruncateSync(maker, 4096);
    const fd = openSync(path, 'r');
    using memory = SharedMemory.fromFd(fd);
    expect(memory.readOnly).toBe(true);
    using asked = SharedMemory.fromFd(maker, { readOnly: true });
    expect(asked.readOnly).toBe(true);
    new Uint8Array(asked.buffer)[0] = 1;
    expect(readFileSync(path)[0]).toBe(0);
    closeSync(fd);
    closeSync(maker);
  });
});
