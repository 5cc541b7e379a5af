/** Ends of pipes that children get, and programs that are not ours at the other end. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createPipe, Fifo, PipeReader, type PipeWriter } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openDescriptors } from '../support/leaks.js';
import { tempPath } from '../support/names.js';
import { clean, runPeer, runProgram } from '../support/peer.js';
import { leavesNothingOpen, makeFifo, openPipe, readAll } from '../support/pipes.js';

leavesNothingOpen();

/** A child with pipes as its standard input and output, whose ends here are closed. */
function startWith(command: string, args: string[], stdio: { in: PipeReader; out: PipeWriter }) {
  const child = spawn(command, args, { stdio: [stdio.in.fd, stdio.out.fd, 'inherit'] });
  const exited = once(child, 'exit');
  stdio.in.close();
  stdio.out.close();
  onTestFinished(() => void child.kill('SIGKILL'));
  return { child, exited };
}

describe('a child', () => {
  it('sorts what comes over one pipe into the other', async () => {
    const to = openPipe();
    const from = openPipe();
    const { exited } = startWith('sort', [], { in: to.reader, out: from.writer });
    await to.writer.write('banana\ncherry\n');
    await to.writer.write('apple\n');
    to.writer.close();
    expect(String(await readAll(from.reader))).toBe('apple\nbanana\ncherry\n');
    expect(await exited).toEqual([0, null]);
  });

  it('meets a blocking end, also of a pipe that was used here; and is not in the way of its use here', async () => {
    const { reader, writer } = openPipe();
    writer.tryWrite('first ');
    expect(String(reader.tryRead())).toBe('first ');
    expect(reader.tryRead()).toBeNull();
    const from = openPipe();
    // cat fails at once where its input is non-blocking.
    const { exited } = startWith('cat', [], { in: PipeReader.fromFd(reader.fd), out: from.writer });
    const pending = reader.read({ timeout: 10 }).catch((error) => error.code);
    expect(await pending).toBe('ETIMEDOUT');
    expect(reader.tryRead()).toBeNull(); // spawn has made what they share blocking
    reader.close();
    await writer.write('second');
    writer.close();
    expect(String(await readAll(from.reader))).toBe('second');
    expect(await exited).toEqual([0, null]);
  });

  it('shares a writing end with this process', async () => {
    const { reader, writer } = openPipe();
    writer.tryWrite('ours ');
    const child = spawn('sh', ['-c', 'echo theirs'], { stdio: ['ignore', writer.fd, 'inherit'] });
    await once(child, 'exit');
    while (writer.tryWrite(Buffer.alloc(1000, 'x')) !== null); // would block the thread if the child had taken O_NONBLOCK away
    writer.close();
    expect(String(await readAll(reader))).toMatch(/^ours theirs\nx+$/);
  });

  it('that is killed ends the stream, and fails the writers', async () => {
    const to = openPipe();
    const from = openPipe();
    const { child, exited } = startWith('cat', [], { in: to.reader, out: from.writer });
    await to.writer.write('x');
    expect(String(await from.reader.read())).toBe('x');
    child.kill('SIGKILL');
    expect(await exited).toEqual([null, 'SIGKILL']);
    expect(await from.reader.read()).toBeUndefined();
    await expect(to.writer.write('y')).rejects.toMatchObject({
      code: 'EPIPE',
      syscall: 'write',
      bytesWritten: 0,
    });
  });
});

describe('a FIFO', () => {
  it('is written by a shell, and read by cat', async () => {
    const path = makeFifo();
    const reading = Fifo.openReader(path);
    const [shell, reader] = await Promise.all([
      runProgram('sh', ['-c', 'echo from the shell > "$0"', path]),
      reading,
    ]);
    expect(shell).toMatchObject(clean);
    expect(String(await readAll(reader))).toBe('from the shell\n');
    reader.close();
    const cat = runProgram('cat', [path]);
    const writer = await Fifo.openWriter(path);
    await writer.write('to cat');
    writer.close();
    expect(await cat).toMatchObject({ ...clean, stdout: 'to cat' });
  });

  it('is made by mkfifo(1), and by os.mkfifo of Python, which writes to it', async () => {
    const path = tempPath('fifo');
    expect(await runProgram('mkfifo', [path])).toMatchObject(clean);
    const cat = runProgram('cat', [path]);
    const writer = Fifo.openWriterSync(path);
    writer.writeSync('sync');
    writer.close();
    expect(await cat).toMatchObject({ ...clean, stdout: 'sync' });
    const other = tempPath('fifo');
    const program = `import os, sys
os.mkfifo(sys.argv[1])
print(flush=True)
with open(sys.argv[1], 'wb') as fifo:
  for i in range(1000): fifo.write(b'%d\\n' % i)`;
    const child = spawn('python3', ['-c', program, other], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    const exited = once(child, 'exit');
    await once(child.stdout, 'data');
    const reader = await Fifo.openReader(other);
    const lines = Array.from({ length: 1000 }, (_, i) => `${i}\n`).join('');
    expect(String(await readAll(reader))).toBe(lines);
    reader.close();
    expect(await exited).toEqual([0, null]);
  });

  it('ends with its last writer, and goes on with the next one', async () => {
    const path = makeFifo();
    const write = (text: string) => runProgram('sh', ['-c', `printf '${text}' > "$0"`, path]);
    const first = write('one');
    const reader = await Fifo.openReader(path);
    await first;
    expect(String(await readAll(reader))).toBe('one');
    expect(reader.tryRead()).toBeUndefined();
    await write('two');
    expect(String(await readAll(reader))).toBe('two');
    reader.close();
  });
});

describe('SIGPIPE', () => {
  it.each([
    ['write', 'writer.writeSync("x")'],
    ['write', 'writer.tryWritev(["x", "y"])'],
    ['splice', 'writer.trySpliceFrom(fs.openSync("/proc/self/exe"), 10)'],
    ['splice', 'writer.spliceFromSync(fs.openSync("/proc/self/exe"), 10)'],
    ['tee', 'full.reader.tryTee(writer, 1)'],
  ])('kills nobody, whatever its disposition is: %s is EPIPE in %s', async (syscall, call) => {
    const source = `
      import fs from 'node:fs';
      const ignore = () => {};
      if (args[0]) {
        process.on('SIGPIPE', ignore);
        process.removeListener('SIGPIPE', ignore); // its default again: to end the process
      }
      const full = createPipe();
      full.writer.tryWrite('x');
      const { reader, writer } = createPipe();
      reader.close();
      assert.throws(() => ${call}, { name: 'IpcError', code: 'EPIPE', syscall: args[1] });
      await new Promise(setImmediate);`;
    for (const reset of [true, false]) {
      expect(await runPeer(source, { args: [reset, syscall] })).toMatchObject(clean);
    }
  });
});

describe('an end that is handed on', () => {
  it('by detach() is the caller’s', async () => {
    const before = await openDescriptors();
    const { reader, writer } = createPipe();
    writer.tryWrite('x');
    const pending = writer.write(Buffer.alloc(1_000_000)).catch((error) => error.code);
    const fd = writer.detach();
    expect(await pending).toBe('ERR_INTERPROC_CLOSED');
    expect(writer.closed).toBe(true);
    const child = spawn('sh', ['-c', 'echo y'], { stdio: ['ignore', fd, 'inherit'] });
    reader.tryRead();
    await once(child, 'exit');
    const { closeSync } = await import('node:fs');
    closeSync(fd);
    expect(String(await readAll(reader)).slice(-2)).toBe('y\n');
    reader.close();
    expect(await openDescriptors()).toEqual(before);
  });
});
