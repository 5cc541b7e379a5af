/** File systems that are full, of bytes or of files, and those that are read-only: peers see such ones of their own. */
import { describe, expect, it } from 'vitest';
import { failing } from '../support/failures.js';
import { tempDir } from '../support/names.js';
import { canMount, inNamespaces } from '../support/namespaces.js';
import { clean, runPeer } from '../support/peer.js';
import { isSanitized } from '../support/sanitized.js';

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

function mount(options: string, folder = '/dev/shm'): string {
  return `mount -t tmpfs -o ${options} tmpfs '${folder}'`;
}

/** Where a peer sees a /dev/shm of one MiB. */
const smallShm = { wrapper: inNamespaces(['--mount'], mount('size=1m')) };

describe.skipIf(!canMount)('a full /dev/shm', () => {
  it('is ENOSPC to create, which names its size and the container option that raises it, and leaves nothing there', async () => {
    const source = `${failing}
      const before = held();
      const sizes = [${mebibyte + 1}, ${2 * mebibyte}, ${64 * mebibyte}, ${2 ** 40}, Number.MAX_SAFE_INTEGER];
      for (const size of sizes) {
        for (const call of [SharedMemory.create, SharedMemory.openOrCreate]) {
          fails(() => call('/big', { size }), 'ENOSPC', 'fallocate', '/big',
            /^ENOSPC: .*\\/dev\\/shm holds ${mebibyte} bytes, ${mebibyte} of them free.*--shm-size=.*Docker/);
        }
      }
      assert.deepEqual(readdirSync('/dev/shm'), []);
      SharedMemory.create('/rest', { size: ${768 * kibibyte} }).close();
      fails(() => SharedMemory.create('/big', { size: ${512 * kibibyte} }), 'ENOSPC', 'fallocate', '/big',
        /holds ${mebibyte} bytes, ${256 * kibibyte} of them free/);
      fails(() => MappedFile.create('/dev/shm/big', { size: ${512 * kibibyte} }), 'ENOSPC', 'fallocate', '/dev/shm/big',
        /holds ${mebibyte} bytes.*--shm-size=/);
      assert.deepEqual(readdirSync('/dev/shm'), ['rest']);
      SharedMemory.unlink('/rest');
      SharedMemory.create('/all', { size: ${mebibyte} }).close();
      assert.deepEqual(held(), before);`;
    expect(await runPeer(source, smallShm)).toMatchObject(clean);
  });

  it('is ENOSPC to resize, and the object keeps its size, its pages and what it holds', async () => {
    const source = `${failing}
      const memory = SharedMemory.create('/feed', { size: ${256 * kibibyte} });
      const bytes = Buffer.from(memory.buffer);
      bytes.fill(5);
      const before = held();
      for (const size of [${mebibyte + 4096}, ${64 * mebibyte}, ${2 ** 40}]) {
        fails(() => memory.resize(size), 'ENOSPC', 'fallocate', '/feed', /\\/dev\\/shm holds ${mebibyte} bytes.*--shm-size=/);
        const { size: now, allocated } = memory.stat();
        assert.deepEqual([memory.size, now, allocated], [${256 * kibibyte}, ${256 * kibibyte}, ${256 * kibibyte}]);
        assert.equal(memory.buffer, bytes.buffer);
        assert.ok(bytes.equals(Buffer.alloc(memory.size, 5)));
      }
      assert.deepEqual(held(), before);
      memory.resize(${mebibyte});
      assert.ok(Buffer.from(memory.buffer).subarray(0, bytes.length).equals(Buffer.alloc(bytes.length, 5)));`;
    expect(await runPeer(source, smallShm)).toMatchObject(clean);
  });

  it('is found by touching what was not reserved: no crash, and ERR_INTERPROC_NO_SPACE from then on', async () => {
    const source = `
      const memory = SharedMemory.create('/sparse', { size: ${4 * mebibyte}, reserve: false });
      const bytes = new Uint8Array(memory.buffer);
      assert.equal(memory.fault, undefined);
      bytes.fill(7); // goes on to the end
      assert.equal(memory.fault, 'no-space');
      assert.equal(bytes[0], 7);
      const refused = { name: 'IpcError', code: 'ERR_INTERPROC_NO_SPACE', message: /'\\/sparse' could not get a page.*reserve: true/ };
      assert.throws(() => memory.buffer, refused);
      assert.throws(() => memory.lock(), refused);
      assert.throws(() => memory.unlock(), refused);
      assert.throws(() => memory.advise('normal'), refused);
      assert.throws(() => memory.syncSync(), refused);
      assert.throws(() => memory.refresh(), refused);
      await assert.rejects(memory.sync(), refused);
      // What is there already is there for others.
      const other = SharedMemory.open('/sparse');
      assert.equal(new Uint8Array(other.buffer)[0], 7);
      assert.equal(other.fault, undefined);
      assert.equal(other.stat().allocated, ${mebibyte});
      // Once there is room, a new mapping works.
      memory.resize(4096);
      assert.equal(memory.fault, undefined);
      assert.equal(new Uint8Array(memory.buffer)[4095], 7);`;
    expect(await runPeer(source, smallShm)).toMatchObject(clean);
  });

  it('is the reason, and not the limits of the process, when locking and populating can not get pages', async () => {
    const source = `${failing}
      const memory = SharedMemory.create('/sparse', { size: ${4 * mebibyte}, reserve: false });
      const notLimit = /^ENOSPC(?!.*RLIMIT)/;
      fails(() => memory.lock(), 'ENOSPC', 'mlock', '/sparse', notLimit);
      fails(() => memory.advise('populate_write'), 'ENOSPC', 'madvise', '/sparse', notLimit);
      fails(() => memory.advise('populate_read'), 'ENOSPC', 'madvise', '/sparse', notLimit);
      // Nothing is lost yet, and nothing is locked.
      assert.equal(memory.fault, undefined);
      assert.match(readFileSync('/proc/self/status', 'utf8'), /^VmLck:\\s+0 kB$/m);
      assert.equal(new Uint8Array(memory.buffer)[0], 0);`;
    expect(await runPeer(source, smallShm)).toMatchObject(clean);
  });

  it('says so when it is full of files: room for bytes is no help then', async () => {
    // The folder itself is one, and two are left.
    const wrapper = inNamespaces(['--mount'], mount('size=1m,nr_inodes=3'));
    const source = `${failing}
      const first = SharedMemory.create('/1', { size: 1 });
      const second = SharedMemory.create('/2', { size: 1 });
      const before = held();
      fails(() => SharedMemory.create('/3', { size: 1 }), 'ENOSPC', 'shm_open', '/3', /\\/dev\\/shm holds 3 files.*nr_inodes/);
      assert.deepEqual(readdirSync('/dev/shm').sort(), ['1', '2']);
      assert.deepEqual(held(), before);
      first.unlink();
      first.close();
      SharedMemory.create('/3', { size: 1 });`;
    expect(await runPeer(source, { wrapper })).toMatchObject(clean);
  });
});

describe.skipIf(!canMount)('a full file system', () => {
  it('is ENOSPC to create and to resize, which names the folder and its size, and leaves nothing there', async () => {
    const folder = tempDir();
    const source = `${failing}
      const [folder] = args;
      const path = folder + '/file.bin';
      const before = held();
      const full = new RegExp(folder + ' holds ${mebibyte} bytes, ${mebibyte} of them free; make room there');
      for (const call of [MappedFile.create, MappedFile.openOrCreate]) {
        fails(() => call(path, { size: ${2 * mebibyte} }), 'ENOSPC', 'fallocate', path, full);
        fails(() => call(path, { size: ${64 * mebibyte} }), 'ENOSPC', 'fallocate', path, full);
      }
      assert.deepEqual(readdirSync(folder), []);
      assert.deepEqual(held(), before);
      const file = MappedFile.create(path, { size: ${512 * kibibyte} });
      new Uint8Array(file.buffer).fill(5);
      fails(() => file.resize(${2 * mebibyte}), 'ENOSPC', 'fallocate', path, / holds ${mebibyte} bytes/);
      assert.equal(file.stat().size, ${512 * kibibyte});
      assert.equal(new Uint8Array(file.buffer).at(-1), 5);`;
    const wrapper = inNamespaces(['--mount'], mount('size=1m', folder));
    expect(await runPeer(source, { args: [folder], wrapper })).toMatchObject(clean);
  });
});

describe.skipIf(!canMount)('a read-only file system', () => {
  it('is EROFS to all that writes a file, and is read like any other', async () => {
    const folder = tempDir();
    const readOnly = `${mount('size=1m', folder)}
      printf content > '${folder}/file.bin'
      mount -o remount,bind,ro '${folder}'`;
    const source = `${failing}
      const [folder] = args;
      const path = folder + '/file.bin';
      const fresh = folder + '/new.bin';
      const before = held();
      const reason = /mounted read-only/;
      fails(() => MappedFile.create(fresh, { size: 1 }), 'EROFS', 'open', fresh, reason);
      fails(() => MappedFile.create(fresh, { size: 1, reserve: false }), 'EROFS', 'open', fresh, reason);
      fails(() => MappedFile.openOrCreate(fresh, { size: 1 }), 'EROFS', 'open', fresh, reason);
      fails(() => MappedFile.create(path, { size: 1 }), 'EEXIST', 'open', path);
      fails(() => MappedFile.open(path), 'EROFS', 'open', path, reason);
      fails(() => MappedFile.openOrCreate(path, { size: 1 }), 'EROFS', 'open', path, reason);
      fails(() => MappedFile.unlink(path), 'EROFS', 'unlink', path, reason);
      fails(() => MappedFile.open(fresh), 'ENOENT', 'open', fresh);
      assert.deepEqual(held(), before);
      const file = MappedFile.open(path, { readOnly: true });
      assert.equal(Buffer.from(file.buffer).toString(), 'content');
      fails(() => file.unlink(), 'EROFS', 'unlink', path, reason);
      file.lock({ length: 1 });
      file.unlock();
      file.close();
      assert.deepEqual(readdirSync(folder), ['file.bin']);`;
    const wrapper = inNamespaces(['--mount'], readOnly);
    expect(await runPeer(source, { args: [folder], wrapper })).toMatchObject(clean);
  });

  it('on /dev/shm is EROFS to all that writes, and what is there opens read-only', async () => {
    const readOnly = `${mount('size=1m')}
      printf content > /dev/shm/feed
      mount -o remount,bind,ro /dev/shm`;
    const source = `${failing}
      const before = held();
      const reason = /mounted read-only/;
      fails(() => SharedMemory.create('/new', { size: 1 }), 'EROFS', 'shm_open', '/new', reason);
      fails(() => SharedMemory.openOrCreate('/new', { size: 1 }), 'EROFS', 'shm_open', '/new', reason);
      fails(() => SharedMemory.create('/feed', { size: 1 }), 'EEXIST', 'shm_open', '/feed');
      fails(() => SharedMemory.open('/feed'), 'EROFS', 'shm_open', '/feed', reason);
      fails(() => SharedMemory.openOrCreate('/feed', { size: 1 }), 'EROFS', 'shm_open', '/feed', reason);
      fails(() => SharedMemory.unlink('/feed'), 'EROFS', 'shm_unlink', '/feed', reason);
      assert.deepEqual(held(), before);
      const memory = SharedMemory.open('/feed', { readOnly: true });
      assert.equal(Buffer.from(memory.buffer).toString(), 'content');
      assert.deepEqual(SharedMemory.list().map(({ name }) => name), ['/feed']);
      // Memory without a name needs no file system of ours.
      assert.equal(SharedMemory.anonymous({ size: 4096 }).size, 4096);`;
    expect(await runPeer(source, { wrapper: inNamespaces(['--mount'], readOnly) })).toMatchObject(clean);
  });
});

describe.skipIf(!canMount || isSanitized)('a system without /proc', () => {
  it('makes objects complete all the same', async () => {
    const source = `
      import { statSync } from 'node:fs';
      const memory = SharedMemory.create('/feed', { size: 5000, mode: 0o640 });
      const { size, mode, blocks } = statSync('/dev/shm/feed');
      assert.deepEqual([size, mode & 0o7777, blocks], [5000, 0o640, 16]);
      assert.throws(() => SharedMemory.create('/feed', { size: 1 }), { code: 'EEXIST' });
      assert.throws(() => SharedMemory.create('/big', { size: ${2 * mebibyte} }), { code: 'ENOSPC' });
      assert.throws(() => SharedMemory.stat('/big'), { code: 'ENOENT' });`;
    const wrapper = inNamespaces(['--mount'], `${mount('size=1m')}\n${mount('size=1m', '/proc')}`);
    expect(await runPeer(source, { wrapper })).toMatchObject(clean);
  });
});
