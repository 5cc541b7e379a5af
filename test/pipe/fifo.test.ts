/** FIFOs: making and removing them, and opening, which waits for the other end. */
import { existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Fifo, type PipeReader, type PipeWriter } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { failing, misuse, systemError, type Wrong } from '../support/failures.js';
import { openDescriptors } from '../support/leaks.js';
import { tempDir, tempPath } from '../support/names.js';
import { clean, runPeer, runProgram, startPeer } from '../support/peer.js';
import { leavesNothingOpen, makeFifo, threads, until } from '../support/pipes.js';

leavesNothingOpen();

const modeOf = (path: string) => statSync(path).mode & 0o777;

function closed<End extends PipeReader | PipeWriter>(end: End): End {
  onTestFinished(() => end.close());
  return end;
}

describe('a new FIFO', () => {
  it('is there, for its owner alone or with the mode that was given', () => {
    const path = tempPath('fifo');
    expect(Fifo.create(path)).toBeUndefined();
    expect(statSync(path).isFIFO()).toBe(true);
    expect(modeOf(path)).toBe(0o600);
    const other = tempPath('fifo');
    Fifo.create(other, { mode: 0o624, uid: process.getuid?.() as number });
    expect(modeOf(other)).toBe(0o624);
  });

  it.each(['0o077', '0o000', '0o777'])('has its mode also under a umask of %s', async (umask) => {
    const path = tempPath('fifo');
    const source = `
      import { statSync } from 'node:fs';
      process.umask(${umask});
      Fifo.create(args[0], { mode: 0o646 });
      assert.equal(statSync(args[0]).mode & 0o777, 0o646);`;
    expect(await runPeer(source, { args: [path] })).toMatchObject(clean);
  });

  it('is refused where something is, where no folder is, and with a name of 300 bytes; nothing is left', async () => {
    const folder = tempDir();
    const path = join(folder, 'fifo');
    Fifo.create(path);
    expect(() => Fifo.create(path)).toThrow(systemError('EEXIST', 'mkfifo', path));
    const nowhere = join(folder, 'none', 'fifo');
    expect(() => Fifo.create(nowhere)).toThrow(systemError('ENOENT', 'mkfifo', nowhere));
    const long = join(folder, 'x'.repeat(300));
    expect(() => Fifo.create(long)).toThrow(systemError('ENAMETOOLONG', 'mkfifo', long));
    const found = await runProgram('ls', ['-A', folder]);
    expect(found.stdout).toBe('fifo\n');
  });

  it('is made by exactly one of those who make it at once', async () => {
    const path = tempPath('fifo');
    const source = `
      await send('there');
      await next();
      try { Fifo.create(args[0]); await send('made'); } catch (error) { await send(error.code); }`;
    const peers = Array.from({ length: 4 }, () => startPeer(source, { args: [path] }));
    for (const peer of peers) await peer.next();
    for (const peer of peers) peer.send('go');
    const results = await Promise.all(peers.map((peer) => peer.next()));
    expect(results.sort()).toEqual(['EEXIST', 'EEXIST', 'EEXIST', 'made']);
  });

  it('and opening it need permission', async ({ skip }) => {
    if (process.getuid?.() !== 0) skip();
    const folder = tempDir();
    const path = join(folder, 'fifo');
    Fifo.create(path, { mode: 0o600 });
    const source = `${failing}
      becomeNobody();
      const [folder, path] = args;
      fails(() => Fifo.create(folder + '/other'), 'EACCES', 'mkfifo');
      for (const open of [Fifo.tryOpenReader, Fifo.tryOpenWriter, Fifo.openReaderSync, Fifo.openWriterSync]) {
        fails(() => open(path), 'EACCES', 'open', path);
        fails(() => open(path, { readWrite: true }), 'EACCES', 'open', path);
      }
      await assert.rejects(Fifo.openReader(path), { code: 'EACCES', path });
      await assert.rejects(Fifo.openWriter(path), { code: 'EACCES', path });
      fails(() => Fifo.unlink(path), 'EACCES', 'unlink', path);`;
    await runProgram('chmod', ['755', folder]);
    expect(await runPeer(source, { args: [folder, path] })).toMatchObject(clean);
    expect(existsSync(path)).toBe(true);
  });

  it('is removed by its name, and by nothing else; what is no FIFO stays', () => {
    const path = makeFifo();
    const reader = closed(Fifo.tryOpenReader(path, { readWrite: true }) as PipeReader);
    Fifo.unlink(path);
    expect(existsSync(path)).toBe(false);
    expect(reader.tryRead()).toBeNull();
    expect(() => Fifo.unlink(path)).toThrow(systemError('ENOENT', 'unlink', path));
    writeFileSync(path, '');
    expect(() => Fifo.unlink(path)).toThrow(systemError('EINVAL', 'unlink', path));
    expect(existsSync(path)).toBe(true);
  });
});

const forms = {
  openReader: async (path: string, options?: object) => Fifo.openReader(path, options),
  openReaderSync: async (path: string, options?: object) => Fifo.openReaderSync(path, options),
  openWriter: async (path: string, options?: object) => Fifo.openWriter(path, options),
  openWriterSync: async (path: string, options?: object) => Fifo.openWriterSync(path, options),
};

describe.each(Object.entries(forms))('Fifo.%s', (name, open) => {
  const reads = name.startsWith('openReader');

  it('finds the other end, whoever comes first', async () => {
    const path = makeFifo();
    const source = `
      if (args[1] === 'late') { await send('there'); await next(); }
      const end = await Fifo.${reads ? 'openWriter' : 'openReader'}(args[0]);
      ${reads ? "await end.write('from there');" : "assert.equal(String(await end.read()), 'from here');"}`;
    for (const order of ['early', 'late']) {
      const peer = startPeer(source, { args: [path, order] });
      if (order === 'late') {
        await peer.next();
        peer.send('go');
      }
      const end = closed(await open(path));
      if (reads) expect(String(await (end as PipeReader).read())).toBe('from there');
      else await (end as PipeWriter).write('from here');
      expect(await peer.exited).toMatchObject(clean);
      end.close();
    }
  });

  it('ends by its timeout, and leaves no descriptor and no thread', async () => {
    const path = makeFifo();
    const before = [await openDescriptors(), threads()];
    for (const timeout of [0, 0.5, 5]) {
      await expect(open(path, { timeout })).rejects.toMatchObject({ name: 'IpcError', code: 'ETIMEDOUT' });
    }
    await until(() => threads() <= (before[1] as number));
    expect(await openDescriptors()).toEqual(before[0]);
    // Nobody is left who would be taken for the other end.
    expect(reads ? Fifo.tryOpenWriter(path) : Fifo.tryOpenReader(path)).toBeNull();
  });

  it('needs no other end where it opens for both', async () => {
    const path = makeFifo();
    const end = closed(await open(path, { readWrite: true, timeout: 0 }));
    const other = closed(
      (reads ? Fifo.tryOpenWriter(path) : Fifo.tryOpenReader(path)) as PipeReader & PipeWriter,
    );
    const [reader, writer] = (reads ? [end, other] : [other, end]) as [PipeReader, PipeWriter];
    writer.tryWrite('x');
    expect(String(reader.tryRead())).toBe('x');
    other.close();
    if (reads)
      expect(reader.tryRead()).toBeNull(); // and not the end
    else expect(writer.tryWrite('y')).toBe(1); // and not EPIPE
  });

  it('refuses what is no FIFO, and does not open it', async () => {
    const folder = tempDir();
    const file = join(folder, 'file');
    writeFileSync(file, 'content');
    mkdirSync(join(folder, 'folder'));
    const socket = join(folder, 'socket');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    onTestFinished(() => void server.close());
    symlinkSync(file, join(folder, 'link'));
    for (const path of [
      file,
      join(folder, 'folder'),
      socket,
      '/dev/null',
      '/dev/tty',
      join(folder, 'link'),
    ]) {
      if (!existsSync(path)) continue;
      await expect(open(path)).rejects.toEqual(systemError('EINVAL', 'open', path));
      await expect(open(path)).rejects.toThrow('it is no FIFO');
      await expect(open(path, { readWrite: true })).rejects.toEqual(systemError('EINVAL', 'open', path));
    }
    const missing = join(folder, 'missing');
    await expect(open(missing)).rejects.toEqual(systemError('ENOENT', 'open', missing));
  });

  it('follows a symbolic link to a FIFO', async () => {
    const path = makeFifo();
    const link = tempPath('link');
    symlinkSync(path, link);
    closed(await open(link, { readWrite: true }));
  });

  it.each([
    ['a path of a wrong type', [5], 'path'],
    ['an empty path', [''], 'path'],
    ['a null byte', ['a\0b'], 'path'],
    ['options of a wrong type', ['/x', 5], 'options'],
    ['readWrite of a wrong type', ['/x', { readWrite: 1 }], 'options.readWrite'],
    ['a timeout of a wrong type', ['/x', { timeout: '1' }], 'options.timeout'],
  ])('refuses %s', async (_, args, subject) => {
    const failure = await (open as Wrong)(...args).then(undefined, (error: unknown) => error);
    expect(failure).toMatchObject({ name: 'TypeError', message: expect.stringContaining(subject as string) });
  });

  it('refuses a timeout that is none', async () => {
    const path = makeFifo();
    for (const timeout of [-1, Number.NaN]) {
      const refused = misuse('RangeError', 'ERR_OUT_OF_RANGE', 'options.timeout');
      await expect(open(path, { timeout })).rejects.toEqual(refused);
      await expect(open(path, { timeout, readWrite: true })).rejects.toEqual(refused);
    }
  });
});

describe('an open that waits', () => {
  it('is aborted, and one that is aborted already does not begin', async () => {
    const path = makeFifo();
    const before = threads();
    for (const open of [Fifo.openReader, Fifo.openWriter]) {
      const abort = new AbortController();
      const waiting = open(path, { signal: abort.signal });
      setImmediate(() => abort.abort('enough'));
      const aborted = { name: 'AbortError', code: 'ABORT_ERR', cause: 'enough' };
      await expect(waiting).rejects.toMatchObject(aborted);
      await expect(open(path, { signal: abort.signal })).rejects.toMatchObject(aborted);
    }
    await until(() => threads() <= before);
  });

  it('that is aborted while the other end comes gives it either way', async () => {
    const path = makeFifo();
    let opened = 0;
    for (let round = 0; round < 60; round++) {
      const abort = new AbortController();
      const reading = Fifo.openReader(path, { signal: abort.signal });
      const writing = Fifo.openWriter(path, { timeout: 1000 });
      setTimeout(() => abort.abort(), round % 3);
      const [read] = await Promise.allSettled([reading]);
      if (read.status === 'fulfilled') {
        opened++;
        const writer = await writing;
        writer.tryWrite('x');
        expect(String(await read.value.read())).toBe('x');
        read.value.close();
        writer.close();
      } else {
        expect(read.reason).toMatchObject({ code: 'ABORT_ERR' });
        // The writer found it for a moment, or waits on: another one comes for it.
        const [writer] = await Promise.all([
          writing,
          Fifo.openReader(path, { timeout: 50 }).catch(() => undefined),
        ]);
        writer.close();
      }
    }
    expect(opened).toBeGreaterThan(0);
  });

  it.each(['tryOpenReader', 'tryOpenWriter'] as const)('is not waited for by %s: null', (name) => {
    const path = makeFifo();
    expect(Fifo[name](path)).toBeNull();
    const other = name === 'tryOpenReader' ? Fifo.tryOpenWriter : Fifo.tryOpenReader;
    closed(other(path, { readWrite: true }) as PipeReader);
    closed(Fifo[name](path) as PipeReader);
  });

  it('leaves the event loop and the threads of libuv to others, 64 times', async () => {
    const source = `
      import { readFile } from 'node:fs/promises';
      import { lookup } from 'node:dns/promises';
      import { pbkdf2 } from 'node:crypto';
      import { promisify } from 'node:util';
      const [folder] = args;
      const opens = [];
      for (let i = 0; i < 64; i++) {
        Fifo.create(folder + '/' + i);
        opens.push(i % 2 === 0 ? Fifo.openReader(folder + '/' + i) : Fifo.openWriter(folder + '/' + i));
      }
      const reads = Array.from({ length: 64 }, (_, i) => {
        const { reader, writer } = createPipe();
        return { writer, read: reader.read() };
      });
      await readFile('/proc/self/status');
      await lookup('localhost');
      await promisify(pbkdf2)('a', 'b', 10, 10, 'sha1');
      for (const { writer } of reads) writer.tryWrite('x');
      for (const { read } of reads) assert.equal(String(await read), 'x');
      for (let i = 0; i < 64; i++) {
        const [one, other] = await Promise.all([opens[i], (i % 2 === 0 ? Fifo.openWriter : Fifo.openReader)(folder + '/' + i)]);
        one.close();
        other.close();
      }`;
    expect(await runPeer(source, { args: [tempDir()] })).toMatchObject(clean);
  });

  it('keeps the process alive, and does not hold up process.exit()', async () => {
    const path = makeFifo();
    const waiting = startPeer(
      `setTimeout(() => send('alive'), 50).unref(); const end = await Fifo.openReader(args[0]); await end.read();`,
      { args: [path] },
    );
    expect(await waiting.next()).toBe('alive');
    const writer = closed(await Fifo.openWriter(path));
    writer.tryWrite('x');
    expect(await waiting.exited).toMatchObject(clean);
    const source = `
      for (let i = 0; i < 64; i++) Fifo.openReader(args[0]);
      setTimeout(() => process.exit(7), 20);`;
    expect(await runPeer(source, { args: [makeFifo()] })).toMatchObject({ ...clean, code: 7 });
  });
});
