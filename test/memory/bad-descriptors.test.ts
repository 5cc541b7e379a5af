import {
  closeSync,
  constants,
  openSync,
  readdirSync,
  readlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { MappedFile, SharedMemory } from 'interproc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failureOf, systemError } from '../support/failures.js';
import { type Holdings, holdings } from '../support/leaks.js';
import { shmName, tempDir, tempPath } from '../support/names.js';

let heldBefore: Holdings;

beforeAll(async () => {
  heldBefore = await holdings();
});

afterAll(async () => {
  expect(await holdings()).toEqual(heldBefore);
});

/** What each descriptor of this process is. */
function descriptors(): Map<number, string> {
  const entries = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [[Number(fd), readlinkSync(`/proc/self/fd/${fd}`)] as const];
    } catch {
      return []; // that of the listing itself
    }
  });
  return new Map(entries);
}

/** How many descriptors there are of what `fd` is of: one more where a duplicate was left. */
function sameAs(fd: number): number {
  const all = descriptors();
  return [...all.values()].filter((target) => target === all.get(fd)).length;
}

describe('a descriptor', () => {
  it('that is closed is EBADF', () => {
    const fd = openSync('/dev/null', 'r');
    closeSync(fd);
    for (const closed of [fd, 0x7fff_ffff]) {
      expect(() => SharedMemory.fromFd(closed)).toThrow(systemError('EBADF', 'fcntl'));
      expect(() => SharedMemory.fromFd(closed, { readOnly: true })).toThrow(systemError('EBADF', 'fcntl'));
    }
  });

  it('of anything but a file is ENODEV, and is duplicated nowhere', async () => {
    const dir = tempDir();
    const server = createServer().listen(`${dir}/socket`);
    await new Promise((resolve) => server.once('listening', resolve));
    const opened = [openSync(dir, 'r'), openSync('/dev/null', 'r+'), openSync('/dev/zero', 'r')];
    const kinds = new Map<string, number>();
    for (const [fd, target] of descriptors()) {
      if (/^(pipe|socket):|^anon_inode:\[event(fd|poll)\]/.test(target))
        kinds.set(target.replace(/\[\d+\]/, ''), fd);
    }
    expect([...kinds.keys()].sort()).toEqual([
      'anon_inode:[eventfd]',
      'anon_inode:[eventpoll]',
      'pipe:',
      'socket:',
    ]);
    for (const fd of [...opened, ...kinds.values()]) {
      const before = sameAs(fd);
      const refused = systemError('ENODEV', 'mmap');
      expect(() => SharedMemory.fromFd(fd), descriptors().get(fd)).toThrow(refused);
      expect(() => SharedMemory.fromFd(fd, { readOnly: true }), descriptors().get(fd)).toThrow(refused);
      expect(() => SharedMemory.fromFd(fd)).toThrow('only those can be mapped');
      expect(sameAs(fd)).toBe(before);
    }
    for (const fd of opened) closeSync(fd);
    await new Promise((resolve) => server.close(resolve));
  });

  it('of a file that knows no mapping is ENODEV', () => {
    const fd = openSync('/sys/kernel/uevent_seqnum', 'r');
    const before = sameAs(fd);
    expect(() => SharedMemory.fromFd(fd)).toThrow(systemError('ENODEV', 'mmap'));
    expect(sameAs(fd)).toBe(before);
    closeSync(fd);
  });

  it('that opens nothing (O_PATH) is EBADF', () => {
    const path = tempPath();
    writeFileSync(path, 'content');
    const fd = openSync(path, 0o10000000);
    const before = sameAs(fd);
    expect(() => SharedMemory.fromFd(fd)).toThrow(systemError('EBADF', 'mmap'));
    expect(sameAs(fd)).toBe(before);
    closeSync(fd);
  });

  it('that is open for writing only is EACCES, with the reason', () => {
    const fd = openSync(tempPath(), 'w');
    const before = sameAs(fd);
    expect(() => SharedMemory.fromFd(fd)).toThrow(systemError('EACCES', 'mmap'));
    expect(() => SharedMemory.fromFd(fd, { readOnly: true })).toThrow(
      'open for writing only; mapping needs reading',
    );
    expect(sameAs(fd)).toBe(before);
    closeSync(fd);
  });

  it('that is open for reading gives a read-only object, which refuses all that writes', async () => {
    const path = tempPath();
    writeFileSync(path, 'content');
    const fd = openSync(path, 'r');
    using memory = SharedMemory.fromFd(fd);
    closeSync(fd);
    expect(memory.readOnly).toBe(true);
    new Uint8Array(memory.buffer).fill(0);
    const writes: [string, () => unknown][] = [
      ['resize', () => memory.resize(1)],
      ['sync', () => memory.sync()],
      ['syncSync', () => memory.syncSync()],
      ['advise remove', () => memory.advise('remove')],
      ['advise populate_write', () => memory.advise('populate_write')],
    ];
    for (const [title, write] of writes) {
      const refused = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_READ_ONLY' });
      expect(await failureOf(write), title).toEqual(refused);
    }
    using again = MappedFile.open(path, { readOnly: true });
    expect(Buffer.from(again.buffer).toString()).toBe('content');
  });

  it('is left to its owner, closed or not', () => {
    const path = tempPath();
    writeFileSync(path, 'content');
    const fd = openSync(path, constants.O_RDWR);
    SharedMemory.fromFd(fd).close();
    using memory = SharedMemory.fromFd(fd);
    closeSync(fd);
    unlinkSync(path);
    expect(Buffer.from(memory.buffer).toString()).toBe('content');
  });
});

describe('a sealed object', () => {
  it('refuses to grow or shrink against its seals, and stays as it was', () => {
    using memory = SharedMemory.anonymous({ size: 8192, seal: ['grow', 'shrink'] });
    new Uint8Array(memory.buffer).fill(5);
    expect(() => memory.resize(16384)).toThrow(systemError('EPERM', 'fallocate'));
    expect(() => memory.resize(16384)).toThrow('sealed against growing (F_SEAL_GROW)');
    expect(() => memory.resize(16384, { reserve: false })).toThrow(systemError('EPERM', 'ftruncate'));
    expect(() => memory.resize(4096)).toThrow('sealed against that (F_SEAL_GROW, F_SEAL_SHRINK)');
    expect([memory.size, memory.stat().size]).toEqual([8192, 8192]);
    expect(new Uint8Array(memory.buffer)[8191]).toBe(5);
  });

  it('takes no more seals after the seal against seals', () => {
    using memory = SharedMemory.anonymous({ size: 1, seal: ['seal'] });
    expect(() => memory.seal(['grow'])).toThrow(systemError('EPERM', 'fcntl'));
    expect(() => memory.seal(['grow'])).toThrow('takes no more seals (F_SEAL_SEAL)');
    expect(memory.seals).not.toContain('grow');
  });

  it('can be had neither sealed against writing nor leaking when it is to be mapped for writing', () => {
    expect(() => SharedMemory.anonymous({ size: 1, seal: ['write'] })).toThrow(systemError('EBUSY', 'fcntl'));
    using memory = SharedMemory.anonymous({ size: 1 });
    expect(() => memory.seal(['shrink', 'write'])).toThrow(systemError('EBUSY', 'fcntl'));
  });

  it('that no new mapping may write is EPERM to map and to resize, and stays as it was', () => {
    using memory = SharedMemory.anonymous({ size: 8192, seal: ['future-write'] });
    new Uint8Array(memory.buffer).fill(5);
    expect(() => memory.map()).toThrow(systemError('EPERM', 'mmap'));
    expect(() => memory.map()).toThrow('sealed against');
    const refused = expect.objectContaining({ name: 'IpcError', code: 'EPERM' });
    for (const size of [16384, 4096]) expect(() => memory.resize(size)).toThrow(refused);
    expect([memory.size, memory.stat().size]).toEqual([8192, 8192]);
    expect(new Uint8Array(memory.buffer)[8191]).toBe(5);
  });

  it('is none of shared memory with a name, nor of a file on a disk', () => {
    using named = SharedMemory.create(shmName(), { size: 1 });
    using file = MappedFile.create(tempPath(), { size: 1 });
    expect(() => named.seal(['shrink'])).toThrow(
      expect.objectContaining({ name: 'IpcError', syscall: 'fcntl', path: named.name }),
    );
    expect(() => file.seal(['shrink'])).toThrow(systemError('EINVAL', 'fcntl', file.path));
    expect(() => file.seal(['shrink'])).toThrow('knows no seals');
    expect([named.seals.includes('shrink'), file.seals]).toEqual([false, []]);
  });

  it('can not be made of a descriptor that is open for reading, which the message says', () => {
    using memory = SharedMemory.anonymous({ size: 1 });
    const fd = openSync(`/proc/self/fd/${memory.fd}`, 'r');
    using readOnly = SharedMemory.fromFd(fd);
    closeSync(fd);
    expect(() => readOnly.seal(['grow'])).toThrow(systemError('EPERM', 'fcntl'));
    expect(() => readOnly.seal(['grow'])).toThrow(/open for reading only/);
  });
});
