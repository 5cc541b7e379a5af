import { readFileSync } from 'node:fs';
import { type Advice, MappedFile, SharedMemory, SysvSharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { shmName, tempPath } from '../support/names.js';

const everywhere: Advice[] = [
  'normal',
  'random',
  'sequential',
  'willneed',
  'dontneed',
  'dontfork',
  'dofork',
  'dontdump',
  'dodump',
  'hugepage',
  'nohugepage',
];
// Younger than the oldest supported kernel: there they are EINVAL, and nothing else.
const younger: Advice[] = ['cold', 'pageout', 'populate_read', 'populate_write', 'collapse'];

/** What the kernel says of the mapping at the start of a buffer of that object. */
function smaps(name: string): string {
  const all = readFileSync('/proc/self/smaps', 'utf8').split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/);
  return all.filter((each) => each.includes(name)).join('\n');
}

describe('advise', () => {
  it.each(everywhere)('takes %s and leaves the bytes alone', (advice) => {
    using memory = SharedMemory.create(shmName(), { size: 1 << 20 });
    new Uint8Array(memory.buffer).fill(5);
    memory.advise(advice);
    memory.advise(advice, { offset: 5000, length: 100 });
    expect(Buffer.from(memory.buffer).equals(Buffer.alloc(1 << 20, 5))).toBe(true);
  });

  it.each(younger)('takes %s where the kernel knows it, and says EINVAL where not', (advice) => {
    using memory = SharedMemory.anonymous({ size: 4 << 20 });
    new Uint8Array(memory.buffer).fill(5);
    try {
      memory.advise(advice);
    } catch (error) {
      expect(error).toMatchObject({
        code: 'EINVAL',
        syscall: 'madvise',
        message: expect.stringContaining('this kernel'),
      });
    }
    expect(Buffer.from(memory.buffer).equals(Buffer.alloc(4 << 20, 5))).toBe(true);
  });

  it('reaches the kernel: the flags of the mapping change', () => {
    const name = shmName();
    using memory = SharedMemory.create(name, { size: 4096 });
    memory.advise('dontdump');
    memory.advise('hugepage');
    expect(smaps(name)).toMatch(/VmFlags:.* dd.* hg/);
    memory.advise('dodump');
    memory.advise('nohugepage');
    expect(smaps(name)).not.toMatch(/VmFlags:.* (dd|hg)/);
  });

  it('with remove gives pages back, and they read zero for everybody', () => {
    const name = shmName();
    using memory = SharedMemory.create(name, { size: 8 * 4096 });
    using other = SharedMemory.open(name);
    new Uint8Array(memory.buffer).fill(5);
    memory.advise('remove', { offset: 4096, length: 4096 });
    expect(memory.stat().allocated).toBe(7 * 4096); // before reading brings the page back
    const bytes = new Uint8Array(other.buffer);
    expect([bytes[4095], bytes[4096], bytes[8191], bytes[8192]]).toEqual([5, 0, 0, 5]);
  });

  it('works on every kind of memory', () => {
    using file = MappedFile.create(tempPath(), { size: 8192 });
    file.advise('sequential');
    using segment = SysvSharedMemory.create(null, { size: 8192 });
    segment.remove();
    segment.advise('random');
    using window = file.map({ offset: 4096 });
    window.advise('willneed', { length: 1 });
  });
});

describe('lock', () => {
  const locked = () => Number(/VmLck:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);

  it('keeps whole pages in memory until unlock or close', () => {
    const before = locked();
    using memory = SharedMemory.create(shmName(), { size: 16 * 4096 });
    memory.lock({ offset: 4095, length: 2 });
    expect(locked() - before).toBe(8);
    memory.lock();
    expect(locked() - before).toBe(64);
    memory.unlock({ offset: 0, length: 4096 });
    expect(locked() - before).toBe(60);
    expect(memory.buffer.byteLength).toBe(16 * 4096);
    memory.close();
    expect(locked()).toBe(before);
  });

  it('can wait for the first use of each page', () => {
    const name = shmName();
    using memory = SharedMemory.create(name, { size: 16 * 4096, reserve: false });
    memory.lock({ onFault: true });
    expect(memory.stat().allocated).toBe(0);
    new Uint8Array(memory.buffer)[0] = 1;
    expect(memory.stat().allocated).toBe(4096);
    expect(smaps(name)).toMatch(/Locked: +4 kB/);
  });
});
