/** Descriptors that go with messages: they arrive, or are closed, and never leak. man 7 unix, SCM_RIGHTS */
import { closeSync, fstatSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import {
  Channel,
  createPipe,
  PipeReader,
  SharedMemory,
  type SocketMessage,
  socketPair,
  UnixDatagram,
  UnixStream,
} from 'interproc';
import { describe, expect, it } from 'vitest';
import { misuse, type Wrong } from '../support/failures.js';
import { collectGarbage, openDescriptors } from '../support/leaks.js';
import { tempPath } from '../support/names.js';
import { clean, runPeer, startPeer } from '../support/peer.js';
import {
  abstractName,
  closing,
  closingFd,
  connecting,
  fill,
  pairOf,
  trySend,
  types,
} from '../support/sockets.js';

/** A file with `content`, open for reading. */
function openFile(content: string): number {
  const path = tempPath();
  writeFileSync(path, content);
  return openSync(path, 'r');
}

function contentOf(fd: number): string {
  const bytes = Buffer.alloc(64);
  return bytes.toString('utf8', 0, readSync(fd, bytes, 0, 64, 0));
}

/** What the descriptors of a message lead to; closes them. */
function contentsOf(message: SocketMessage | null | undefined): string[] {
  const contents = (message as SocketMessage).fds.map(({ fd }) => contentOf(fd));
  message?.close();
  return contents;
}

describe.each(types)('descriptors over a %s socket', (type) => {
  it('arrive with their message, in order, as duplicates that are closed on exec', async () => {
    const [first, second] = pairOf(type, { maxFds: 8 });
    const files = ['a', 'b', 'c'].map((content) => closingFd(openFile(content)));
    trySend(first, '1', { fds: files });
    const message = second.tryReceive() as SocketMessage;
    expect(String(message)).toBe('1');
    expect(message.fdsTruncated).toBe(false);
    expect(message.fds.map(({ fd }) => contentOf(fd))).toEqual(['a', 'b', 'c']);
    for (const { fd } of message.fds) {
      expect(files).not.toContain(fd);
      expect(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')).toMatch(/^flags:\s+02/m); // O_CLOEXEC
    }
    message.close();
    for (const fd of files) fstatSync(fd);
    trySend(first, '2');
    const without = second.tryReceive() as SocketMessage;
    expect([String(without), without.fds.length, without.fdsTruncated]).toEqual(['2', 0, false]);
  });

  it('arrive in every form of sending and of waiting', async () => {
    const [first, second] = pairOf(type, { maxFds: 2 });
    const fds = [closingFd(openFile('it'))];
    const send = {
      send: (data: string) =>
        first instanceof UnixStream ? first.write(data, { fds }) : first.send(data, { fds }),
      sendSync: (data: string) =>
        first instanceof UnixStream ? first.writeSync(data, { fds }) : first.sendSync(data, { fds }),
      trySend: (data: string) => trySend(first, data, { fds }),
    };
    for (const form of ['send', 'sendSync', 'trySend'] as const) {
      const pending = second.receive();
      await send[form](form);
      const message = await pending;
      expect(String(message)).toBe(form);
      expect(contentsOf(message)).toEqual(['it']);
      await send[form](form);
      expect(contentsOf(second.receiveSync())).toEqual(['it']);
    }
    const into = new Uint8Array(4);
    await send.send('into');
    const message = await second.receive({ into });
    expect(message?.data.buffer).toBe(into.buffer);
    expect(contentsOf(message)).toEqual(['it']);
  });

  it('may be 253, and one more is a clear error before anything is sent', async () => {
    const [first, second] = pairOf(type, { maxFds: 253 });
    const file = closingFd(openFile('x'));
    for (const count of [1, 2, 3, 252, 253]) {
      const before = await openDescriptors();
      expect(trySend(first, 'all', { fds: Array(count).fill(file) })).toBe(true);
      const message = second.tryReceive() as SocketMessage;
      expect(message.fds).toHaveLength(count);
      expect(message.fdsTruncated).toBe(false);
      expect(contentsOf(message)).toEqual(Array(count).fill('x'));
      expect(await openDescriptors()).toEqual(before);
    }
    expect(() => trySend(first, 'x', { fds: Array(254).fill(file) })).toThrow(
      misuse('RangeError', 'ERR_OUT_OF_RANGE', '"options.fds.length" is out of range. It must be <= 253'),
    );
    expect(second.tryReceive()).toBeNull();
  });

  it('that are not open, or none, are refused before anything is sent', () => {
    const [first, second] = pairOf(type, { maxFds: 4 });
    const file = closingFd(openFile('x'));
    expect(() => trySend(first, 'x', { fds: [file, 99_999] })).toThrow(
      expect.objectContaining({ code: 'EBADF' }),
    );
    for (const wrong of [null, 'x', {}, 1n, { fd: '3' }, [file], undefined] as Wrong[]) {
      expect(() => trySend(first, 'x', { fds: [file, wrong] })).toThrow(
        misuse('TypeError', 'ERR_INVALID_ARG_TYPE', '"options.fds[1]"'),
      );
    }
    for (const wrong of [-1, 0.5, 2 ** 31, Number.NaN]) {
      expect(() => trySend(first, 'x', { fds: [wrong] })).toThrow(
        misuse('RangeError', 'ERR_OUT_OF_RANGE', '"options.fds[0]"'),
      );
    }
    for (const wrong of [null, 3, 'x', {}, new Set([1]), new Int32Array(1)] as Wrong[]) {
      expect(() => trySend(first, 'x', { fds: wrong })).toThrow(
        misuse('TypeError', 'ERR_INVALID_ARG_TYPE', '"options.fds" property must be an instance of Array'),
      );
    }
    expect(second.tryReceive()).toBeNull();
    expect(trySend(first, 'none', { fds: [] })).toBe(true);
    expect(second.tryReceive()?.fds).toEqual([]);
  });

  it('may be given as what has one: files, memory, pipes, sockets', async () => {
    const [first, second] = pairOf(type, { maxFds: 8 });
    const file = await open('/dev/null');
    const memory = closing(SharedMemory.anonymous({ size: 4096 }));
    const { reader, writer } = createPipe();
    closing(reader);
    closing(writer);
    trySend(first, 'x', { fds: [file, memory, reader, writer, first] });
    await file.close();
    const message = second.tryReceive() as SocketMessage;
    const inodes = message.fds.map(({ fd }) => fstatSync(fd).ino);
    const theirs = [memory, reader, writer, first].map(({ fd }) => fstatSync(fd).ino);
    expect(inodes.slice(1)).toEqual(theirs);
    message.close();
  });

  it('are closed by the kernel where they are not asked for', async () => {
    const [first, second] = pairOf(type);
    const before = await openDescriptors();
    const file = closingFd(openFile('x'));
    trySend(first, '1', { fds: [file] });
    trySend(first, '2', { fds: Array(200).fill(file) });
    for (const text of ['1', '2']) {
      const message = second.tryReceive() as SocketMessage;
      expect(String(message)).toBe(text);
      expect(message.fds).toEqual([]);
      expect(message.fdsTruncated).toBe(true);
    }
    if (second instanceof UnixStream) {
      trySend(first, '3', { fds: [file] });
      expect(String(second.tryRead())).toBe('3');
    }
    expect(await openDescriptors()).toHaveLength(before.length + 1);
  });

  it.each([1, 2, 3, 100, 252])(
    'beyond the %i that are asked for are closed, and that is told',
    async (maxFds) => {
      const [first, second] = pairOf(type, { maxFds });
      const file = closingFd(openFile('x'));
      const before = await openDescriptors();
      for (const count of [maxFds, maxFds + 1, 253]) {
        trySend(first, 'x', { fds: Array(count).fill(file) });
        const message = second.tryReceive() as SocketMessage;
        expect(message.fds).toHaveLength(maxFds);
        expect(message.fdsTruncated).toBe(count > maxFds);
        expect(contentsOf(message)).toEqual(Array(maxFds).fill('x'));
      }
      expect(await openDescriptors()).toEqual(before);
    },
  );

  it('are closed with their message, unless they were detached', async () => {
    const [first, second] = pairOf(type, { maxFds: 3 });
    const file = closingFd(openFile('x'));
    const before = await openDescriptors();
    trySend(first, 'x', { fds: [file, file, file] });
    const message = second.tryReceive() as SocketMessage;
    const [one, two, three] = message.fds as [Fd, Fd, Fd];
    const detached = one.detach();
    two.close();
    expect([one.closed, two.closed, three.closed]).toEqual([true, true, false]);
    message.close();
    message.close();
    expect(three.closed).toBe(true);
    const closed = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_CLOSED' });
    for (const each of [one, two, three]) {
      expect(() => each.fd).toThrow(closed);
      expect(() => each.detach()).toThrow(closed);
      each.close();
    }
    expect(contentOf(detached)).toBe('x');
    closeSync(detached);
    expect(await openDescriptors()).toEqual(before);
    trySend(first, 'x', { fds: [file] });
    {
      using last = second.tryReceive() as SocketMessage;
      expect(last.fds).toHaveLength(1);
    }
    expect(await openDescriptors()).toEqual(before);
  });

  it('are closed when nobody can reach them any more', async () => {
    const [first, second] = pairOf(type, { maxFds: 100 });
    const file = closingFd(openFile('x'));
    const before = await openDescriptors();
    const receive = () => {
      trySend(first, 'x', { fds: Array(100).fill(file) });
      return (second.tryReceive() as SocketMessage).fds.length;
    };
    for (let i = 0; i < 10; i++) expect(receive()).toBe(100);
    await collectGarbage();
    expect(await openDescriptors()).toEqual(before);
  });

  it('in the queue of a socket that closes are closed', async () => {
    const before = await openDescriptors();
    const [first, second] = socketPair(type, { maxFds: 4 });
    const { reader, writer } = createPipe();
    trySend(first, 'x', { fds: [writer] });
    writer.close();
    expect(reader.tryRead()).toBeNull();
    second.close();
    expect(reader.tryRead()).toBeUndefined(); // the last writer is gone
    reader.close();
    first.close();
    expect(await openDescriptors()).toEqual(before);
  });

  it('of which there are too many for the receiver are told as cut, and those that came are there', async () => {
    const [first, second] = pairOf(type);
    const file = closingFd(openFile('x'));
    const peer = startPeer(
      `import { closeSync, openSync } from 'node:fs';
       const classes = { datagram: UnixDatagram, seqpacket: UnixSeqpacket, stream: UnixStream };
       const socket = classes[args[0]].fromFd(4, { maxFds: 253 });
       const taken = [];
       try { for (;;) taken.push(openSync('/dev/null')); } catch {}
       closeSync(taken.pop());
       closeSync(taken.pop());
       const message = socket.receiveSync();
       assert.equal(String(message), 'x');
       assert.equal(message.fdsTruncated, true);
       assert.equal(message.fds.length, 2);
       message.close();
       for (const fd of taken) closeSync(fd);
       const later = socket.receiveSync();
       assert.equal(later.fds.length, 5);
       assert.equal(later.fdsTruncated, false);`,
      { args: [type], fds: [second.fd], wrapper: ['prlimit', '--nofile=120'] },
    );
    trySend(first, 'x', { fds: Array(5).fill(file) });
    trySend(first, 'y', { fds: Array(5).fill(file) });
    expect(await peer.exited).toMatchObject(clean);
  });

  it('that wait to go are those that were open at the call, whatever is closed and opened meanwhile', async () => {
    const [first, second] = pairOf(type, { maxFds: 1 });
    const filled = fill(() => trySend(first, Buffer.alloc(type === 'stream' ? 65_536 : 1, 'x')));
    expect(filled).toBeGreaterThan(0);
    const before = (await openDescriptors()).length;
    const waiting: Promise<void>[] = [];
    for (let i = 0; i < 5; i++) {
      const fd = openFile(`file ${i}`);
      const options = { fds: [fd] };
      waiting.push(first instanceof UnixStream ? first.write(`${i}`, options) : first.send(`${i}`, options));
      options.fds[0] = 0;
      closeSync(fd);
      closingFd(openFile('another')); // gets the number
    }
    const failed = Promise.all(waiting).then(() => new Promise<never>(() => {}));
    const got: string[] = [];
    while (got.length < 5) {
      const message = (await Promise.race([second.receive(), failed])) as SocketMessage;
      if (message.fds.length > 0) got.push(`${message}: ${contentsOf(message)}`);
    }
    expect(got).toEqual([0, 1, 2, 3, 4].map((i) => `${i}: file ${i}`));
    await Promise.all(waiting);
    expect((await openDescriptors()).length).toBe(before + 5);
  });

  it('that wait to go are let go of when that fails, is aborted or closed', async () => {
    const [first, second] = pairOf(type);
    fill(() => trySend(first, Buffer.alloc(type === 'stream' ? 65_536 : 1, 'x')));
    const file = closingFd(openFile('x'));
    const before = await openDescriptors();
    const fds = [file, file];
    const send = (options: object) =>
      first instanceof UnixStream
        ? first.write('y', { fds, ...options })
        : first.send('y', { fds, ...options });
    await expect(send({ timeout: 0 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    await expect(send({ timeout: 1 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    const abort = new AbortController();
    const aborted = [send({ signal: abort.signal }), send({ signal: abort.signal })];
    abort.abort();
    for (const each of aborted) await expect(each).rejects.toMatchObject({ code: 'ABORT_ERR' });
    await expect(send({ fds: [file, 99_999] })).rejects.toMatchObject({ code: 'EBADF' });
    await expect(send({ timeout: -1 })).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
    expect(await openDescriptors()).toEqual(before);
    const closed = send({});
    first.close();
    await expect(closed).rejects.toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
    second.close();
    expect((await openDescriptors()).length).toBe(before.length - 2);
  });

  it('lead to anonymous memory, which a process that is no relative maps', async () => {
    const memory = closing(SharedMemory.anonymous({ size: 4096 }));
    const words = new Int32Array(memory.buffer);
    words[0] = 42;
    const channel = closing(Channel.anonymous({ capacity: 4096 }));
    const address = abstractName();
    const source = `
      const [type, address] = args;
      let socket;
      if (type === 'datagram') socket = UnixDatagram.bind(address, { maxFds: 2 });
      else {
        const server = (type === 'stream' ? UnixStreamServer : UnixSeqpacketServer).listen(address, { maxFds: 2 });
        send('there');
        socket = await server.accept();
      }
      send('there');
      const message = await socket.receive();
      const memory = SharedMemory.fromFd(message.fds[0].fd);
      const channel = Channel.fromFd(message.fds[1].fd);
      message.close();
      const words = new Int32Array(memory.buffer);
      assert.equal(words[0], 42);
      words[0] = 43;
      for await (const text of channel.receiver()) {
        assert.equal(String(text), 'over the channel');
        break;
      }
      channel.close();
      memory.close();`;
    const peer = startPeer(source, { args: [type, address] });
    await peer.next();
    const Connecting = connecting.find((each) => each.type === type)?.Socket;
    const socket = closing(Connecting?.connectSync(address) ?? UnixDatagram.create().connect(address));
    trySend(socket, 'take them', { fds: [memory, channel] });
    await channel.sender().send('over the channel');
    expect(await peer.exited).toMatchObject(clean);
    expect(words[0]).toBe(43);
  });

  it('pass on what came, and come back from a child that a pair was handed to', async () => {
    const [ours, theirs] = pairOf(type, { maxFds: 2 });
    const source = `
      const classes = { datagram: UnixDatagram, seqpacket: UnixSeqpacket, stream: UnixStream };
      const socket = classes[args[0]].fromFd(4, { maxFds: 2 });
      const message = socket.receiveSync();
      const back = { fds: [message.fds[0], message.fds[1]] };
      if (args[0] === 'stream') socket.writeSync('back', back);
      else socket.sendSync('back', back);`;
    const peer = startPeer(source, { args: [type], fds: [theirs.fd] });
    const { reader, writer } = createPipe();
    trySend(ours, 'there', { fds: [reader, writer] });
    reader.close();
    writer.close();
    const message = (await ours.receive()) as SocketMessage;
    expect(await peer.exited).toMatchObject(clean);
    const [one, two] = message.fds as [Fd, Fd];
    writeSync(two.fd, 'through');
    const again = closing(PipeReader.fromFd(one.fd));
    message.close();
    expect(String(await again.read())).toBe('through');
    expect(await again.read()).toBeUndefined();
  });
});

type Fd = SocketMessage['fds'][number];

describe('descriptors on a stream', () => {
  it('go with the first byte of what is written, which then may wait for room', async () => {
    const [first, second] = pairOf('stream', { maxFds: 4 });
    const file = closingFd(openFile('x'));
    const data = Buffer.from(Array.from({ length: 1_000_000 }, (_, i) => i * 3));
    const writing = first.write(data, { fds: [file] });
    const pieces: Buffer[] = [];
    let fds = 0;
    for (let length = 0; length < data.length; ) {
      const message = (await second.receive()) as SocketMessage;
      if (length === 0) expect(message.fds).toHaveLength(1);
      fds += message.fds.length;
      message.close();
      pieces.push(message.data);
      length += message.data.length;
    }
    await writing;
    expect(fds).toBe(1);
    expect(Buffer.concat(pieces).equals(data)).toBe(true);
  });

  it('keep apart what came with them from what came after', async () => {
    const [first, second] = pairOf('stream', { maxFds: 4 });
    const [a, b] = ['a', 'b'].map((content) => closingFd(openFile(content))) as [number, number];
    first.writeSync('plain');
    first.writeSync('with a', { fds: [a] });
    first.writeSync('with b', { fds: [b] });
    first.writeSync('plain');
    const got: string[] = [];
    for (let message = second.tryReceive(); message; message = second.tryReceive()) {
      got.push(`${message}: ${contentsOf(message)}`);
    }
    // What came before the first ones may be read along with them; the kernel stops behind each.
    expect(got).toEqual(['plainwith a: a', 'with b: b', 'plain: ']);
  });

  it('must have a byte to go with', async () => {
    const [first, second] = pairOf('stream', { maxFds: 4 });
    const file = closingFd(openFile('x'));
    const refused = misuse('TypeError', 'ERR_INVALID_ARG_VALUE', '"data" argument must have a byte');
    const before = await openDescriptors();
    expect(() => first.tryWrite('', { fds: [file] })).toThrow(refused);
    expect(() => first.writeSync(new Uint8Array(0), { fds: [file] })).toThrow(refused);
    await expect(first.write('', { fds: [file] })).rejects.toEqual(refused);
    expect(second.tryReceive()).toBeNull();
    expect(await openDescriptors()).toEqual(before);
    await first.write('', { fds: [] });
  });

  it('are lost to who reads by bytes only, and closed', async () => {
    const [first, second] = pairOf('stream', { maxFds: 4 });
    const { reader, writer } = createPipe();
    first.writeSync('x', { fds: [writer] });
    writer.close();
    expect(reader.tryRead()).toBeNull();
    expect(String(await second.read())).toBe('x');
    expect(reader.tryRead()).toBeUndefined();
    reader.close();
  });
});

describe('descriptors on their way', () => {
  // man 2 sendmsg, ETOOMANYREFS: without privilege no more than RLIMIT_NOFILE.
  it.runIf(process.getuid?.() === 0)('are ETOOMANYREFS where a user has too many of them', async () => {
    const source = `
      process.setgroups([]);
      process.setgid(64_321);
      process.setuid(64_321);
      const [first, second] = socketPair('datagram', { maxFds: 253 });
      let failure;
      try {
        for (let i = 0; i < 50; i++) first.trySend('x', { fds: Array(10).fill(1) });
      } catch (error) {
        failure = error;
      }
      assert.equal(failure.code, 'ETOOMANYREFS');
      assert.equal(failure.syscall, 'send');
      assert.match(failure.message, /RLIMIT_NOFILE/);
      let count = 0;
      for (let message = second.tryReceive(); message; message = second.tryReceive()) {
        assert.equal(message.fds.length, 10);
        message.close();
        count++;
      }
      assert.ok(count > 0);
      assert.equal(first.trySend('again', { fds: [1] }), true);`;
    expect(await runPeer(source, { wrapper: ['prlimit', '--nofile=120'] })).toMatchObject(clean);
  });

  it('that lead in a circle are collected by the kernel', async () => {
    const before = await openDescriptors();
    for (let i = 0; i < 20; i++) {
      const [first, second] = socketPair('stream');
      first.writeSync('x', { fds: [first, second] });
      second.writeSync('x', { fds: [first, second] });
      first.close();
      second.close();
    }
    expect(await openDescriptors()).toEqual(before);
  });
});
