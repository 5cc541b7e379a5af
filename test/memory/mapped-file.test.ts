import { mkdirSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { MappedFile } from 'interproc';
import { describe, expect, it } from 'vitest';
import { tempDir, tempPath } from '../support/names.js';
import { clean, runPeer, runProgram } from '../support/peer.js';

describe('a mapped file', () => {
  it('is the file: what is stored is read from disk, what is written there is seen', () => {
    const path = tempPath();
    writeFileSync(path, 'hello, world');
    using file = MappedFile.open(path);
    const bytes = Buffer.from(file.buffer);
    expect(bytes.toString()).toBe('hello, world');
    bytes.write('HELLO');
    expect(readFileSync(path, 'utf8')).toBe('HELLO, world');
    writeFileSync(path, 'again', { flag: 'r+' });
    expect(bytes.toString()).toBe('again, world');
  });

  it('is shared with another process', async () => {
    const path = tempPath();
    using file = MappedFile.create(path, { size: 100 });
    const source = `new Uint8Array(MappedFile.open(args[0]).buffer).fill(7);`;
    expect(await runPeer(source, { args: [path] })).toMatchObject(clean);
    expect(Buffer.from(file.buffer)).toEqual(Buffer.alloc(100, 7));
  });

  it('is made with size, mode and pages, and must not be there before', () => {
    const path = tempPath();
    using file = MappedFile.create(path, { size: 10_000, mode: 0o640 });
    expect(file).toMatchObject({ path, size: 10_000, created: true, linked: true });
    expect(statSync(path)).toMatchObject({ size: 10_000, mode: 0o100640 });
    expect(file.stat().allocated).toBeGreaterThanOrEqual(10_000);
    expect(() => MappedFile.create(path, { size: 1 })).toThrow(
      expect.objectContaining({ code: 'EEXIST', syscall: 'open', path }),
    );
    using again = MappedFile.openOrCreate(path, { size: 5 });
    expect([again.created, again.size]).toEqual([false, 10_000]);
  });

  it('takes a path as fs does: relative, a URL, through a symbolic link', async () => {
    const folder = tempDir();
    const path = join(folder, 'data');
    writeFileSync(path, 'x');
    symlinkSync(path, join(folder, 'link'));
    using byUrl = MappedFile.open(pathToFileURL(path));
    using byLink = MappedFile.open(join(folder, 'link'));
    expect([byUrl.path, byLink.stat().ino]).toEqual([path, byUrl.stat().ino]);
    expect([byUrl.linked, byLink.linked]).toEqual([true, true]);
    const script = `
      process.chdir(args[0]);
      const file = MappedFile.open('data');
      process.chdir('/');
      assert.equal(file.linked, true);
      assert.equal(file.path, args[0] + '/data');`;
    expect(await runPeer(script, { args: [folder] })).toMatchObject(clean);
  });

  it('knows when its path leads to another file by now', () => {
    const path = tempPath();
    using file = MappedFile.create(path, { size: 1 });
    writeFileSync(`${path}.new`, 'new');
    renameSync(`${path}.new`, path);
    expect(file.linked).toBe(false);
    expect(() => file.unlink()).toThrow(expect.objectContaining({ code: 'ENOENT', syscall: 'unlink' }));
    expect(readFileSync(path, 'utf8')).toBe('new');
    MappedFile.unlink(path);
    expect(() => MappedFile.stat(path)).toThrow(
      expect.objectContaining({ code: 'ENOENT', syscall: 'stat', path }),
    );
  });

  it('refuses what is no regular file at once, also a FIFO whose other end nobody opens', async () => {
    const folder = tempDir();
    mkdirSync(join(folder, 'sub'));
    await runProgram('mkfifo', [join(folder, 'fifo')]);
    expect(() => MappedFile.open(join(folder, 'sub'))).toThrow(expect.objectContaining({ code: 'EISDIR' }));
    for (const path of [join(folder, 'sub'), join(folder, 'fifo'), '/dev/null']) {
      expect(() => MappedFile.open(path, { readOnly: true })).toThrow(
        expect.objectContaining({
          code: 'ENODEV',
          syscall: 'open',
          path,
          message: expect.stringContaining('no regular file'),
        }),
      );
    }
  });

  it('is neither opened nor made through a symbolic link that leads nowhere', () => {
    const folder = tempDir();
    symlinkSync(join(folder, 'nowhere'), join(folder, 'link'));
    expect(() => MappedFile.openOrCreate(join(folder, 'link'), { size: 1 })).toThrow(
      expect.objectContaining({ code: 'EEXIST', syscall: 'open' }),
    );
  });

  it('has its changes on the disk after sync, in both forms', async () => {
    using file = MappedFile.create(tempPath(), { size: 3 * 4096 });
    Buffer.from(file.buffer).fill('a');
    await file.sync();
    file.syncSync({ offset: 4097, length: 10 });
    expect(await file.sync({ offset: 0, length: 0 })).toBeUndefined();
  });
});
