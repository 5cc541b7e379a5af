/** The descriptor of a queue: handed to children, taken over from elsewhere, and the flag that those share who have it. */
import { closeSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { createPipe, MessageQueue, SharedMemory, UnixDatagram } from 'interproc';
import { describe, expect, it } from 'vitest';
import { misuse, systemError, type Wrong } from '../support/failures.js';
import { openDescriptors } from '../support/leaks.js';
import { drain, fill, makeQueue, turn } from '../support/message-queues.js';
import { canMountQueues, inNamespaces } from '../support/namespaces.js';
import { clean, runPeer, runProgram, startPeer } from '../support/peer.js';
import { leavesNothingOpen } from '../support/pipes.js';
import { closing, closingFd } from '../support/sockets.js';

leavesNothingOpen();

/** What it has as 3 is a queue: prints what is in it, or that a call would wait, and sends in return. */
const python = `
import ctypes, os
rt = ctypes.CDLL('librt.so.1', use_errno=True)
def receive():
    room = ctypes.create_string_buffer(64)
    priority = ctypes.c_uint()
    length = rt.mq_receive(3, room, ctypes.c_size_t(64), ctypes.byref(priority))
    if length < 0: return os.strerror(ctypes.get_errno())
    return '%s:%d' % (room.raw[:length].decode(), priority.value)
`;
const runPython = (source: string, fd: number) =>
  runProgram('python3', ['-c', python + source], ['ignore', 'pipe', 'pipe', fd]);

describe('a child that is handed the descriptor of a queue', () => {
  it('in Python, receives and sends by it', async () => {
    const queue = makeQueue();
    const ended = runPython(
      `
print(receive(), flush=True)
rt.mq_send(3, b'from Python', ctypes.c_size_t(11), 9)`,
      queue.fd,
    );
    queue.trySend('from Node', { priority: 4 });
    expect(await ended).toMatchObject({ ...clean, stdout: 'from Node:4\n' });
    expect(queue.tryReceive()).toEqual({ data: Buffer.from('from Python'), priority: 9 });
  });

  it('in Node, has it as a queue of its own, and keeps it when ours is closed', async () => {
    const queue = makeQueue();
    const source = `
      const queue = MessageQueue.fromFd(4);
      assert.deepEqual([queue.name, queue.created, queue.linked], [null, false, false]);
      assert.throws(() => queue.unlink(), { code: 'ENOENT', syscall: 'mq_unlink' });
      send('there');
      assert.equal(String((await queue.receive()).data), 'to the child');
      await next();
      queue.sendSync('from the child');`;
    const peer = startPeer(source, { fds: [queue.fd] });
    expect(await peer.next()).toBe('there');
    queue.trySend('to the child');
    queue.close();
    peer.send('closed');
    expect(await peer.exited).toMatchObject(clean);
    const again = closing(MessageQueue.open(queue.name as string));
    expect(drain(again)).toEqual(['from the child']);
  });

  it('has it only then: others get none', async () => {
    const queue = makeQueue();
    const source = `
      import { readdirSync, readlinkSync } from 'node:fs';
      const targets = readdirSync('/proc/self/fd').map((fd) => {
        try { return readlinkSync('/proc/self/fd/' + fd); } catch { return ''; }
      });
      assert(!targets.some((target) => target.includes(args[0])), targets.join());`;
    expect((await openDescriptors()).join()).toContain(queue.name);
    expect(await runPeer(source, { args: [queue.name] })).toMatchObject(clean);
  });
});

describe('O_NONBLOCK', () => {
  it('is for those who share the descriptor: a child is told that a call would wait', async () => {
    const queue = makeQueue();
    expect(queue.nonBlocking).toBe(false);
    queue.nonBlocking = true;
    expect(queue.nonBlocking).toBe(true);
    expect(await runPython('print(receive())', queue.fd)).toMatchObject({
      ...clean,
      stdout: 'Resource temporarily unavailable\n',
    });
    const other = MessageQueue.open(queue.name as string, { nonBlocking: true });
    expect(other.attributes().nonBlocking).toBe(true);
    queue.nonBlocking = false;
    expect([queue.nonBlocking, other.nonBlocking]).toEqual([false, true]);
    other.close();
  });

  it.each([true, false])('%s: our calls wait as they are told to', async (nonBlocking) => {
    const queue = makeQueue({ nonBlocking });
    expect(queue.tryReceive()).toBeNull();
    expect(() => queue.receiveSync({ timeout: 1 })).toThrow(expect.objectContaining({ code: 'ETIMEDOUT' }));
    const receiving = queue.receive();
    await turn();
    // Somebody who shares it changes his mind meanwhile.
    queue.nonBlocking = !nonBlocking;
    await turn();
    queue.trySend('x');
    expect(String((await receiving).data)).toBe('x');
    expect(fill(queue)).toBe(4);
    expect(queue.trySend('full')).toBe(false);
    expect(() => queue.sendSync('full', { timeout: 1 })).toThrow(
      expect.objectContaining({ code: 'ETIMEDOUT' }),
    );
    const sending = queue.send('5');
    await turn();
    queue.nonBlocking = nonBlocking;
    expect(drain(queue)).toEqual(['1', '2', '3', '4']);
    await sending;
    expect(drain(queue)).toEqual(['5']);
    expect(queue.nonBlocking).toBe(nonBlocking);
  });
});

describe('fromFd', () => {
  it('takes a duplicate, so that both may be closed', async () => {
    const queue = makeQueue();
    const other = closing(MessageQueue.fromFd(queue.fd));
    expect(other.fd).not.toBe(queue.fd);
    const received = other.receive();
    queue.trySend('x');
    queue.close();
    expect(String((await received).data)).toBe('x');
    other.close();
    const again = closing(MessageQueue.open(queue.name as string));
    expect(again.attributes().messages).toBe(0);
  });

  it('keeps what the descriptor is open for', () => {
    const name = makeQueue().name as string;
    const receiver = closing(MessageQueue.open(name, { readOnly: true }));
    const sender = closing(MessageQueue.open(name, { writeOnly: true }));
    const receiving = closing(MessageQueue.fromFd(receiver.fd));
    const sending = closing(MessageQueue.fromFd(sender.fd));
    expect(() => receiving.trySend('x')).toThrow(systemError('EBADF', 'mq_send'));
    expect(() => sending.tryReceive()).toThrow(systemError('EBADF', 'mq_receive'));
    sending.trySend('x');
    expect(drain(receiving)).toEqual(['x']);
  });

  it('refuses what is no queue, and leaves it and nothing else open', async () => {
    const { reader, writer } = createPipe();
    const socket = UnixDatagram.bind();
    const memory = SharedMemory.anonymous({ size: 4096 });
    const server = createServer().listen(0);
    for (const each of [reader, writer, socket, memory, server]) closing(each as { close(): void });
    const fds = [
      reader.fd,
      writer.fd,
      socket.fd,
      memory.fd,
      (server as Wrong)._handle.fd,
      closingFd(openSync('/dev/null', 'r')),
      closingFd(openSync('/tmp', 'r')),
      closingFd(openSync('/proc/self/status', 'r')),
    ];
    const before = await openDescriptors();
    for (const fd of fds) {
      expect(() => MessageQueue.fromFd(fd)).toThrow(systemError('EBADF', 'mq_getattr'));
      expect(() => MessageQueue.fromFd(fd)).toThrow('the descriptor is of no message queue');
    }
    expect(await openDescriptors()).toEqual(before);
    expect(writer.tryWrite('x')).toBe(1);
  });

  it('refuses what is not open, and what is no number', () => {
    const fd = openSync('/dev/null', 'r');
    closeSync(fd);
    for (const gone of [fd, 999_999, 2 ** 31 - 1]) {
      expect(() => MessageQueue.fromFd(gone)).toThrow(
        expect.objectContaining({ name: 'IpcError', code: 'EBADF' }),
      );
    }
    for (const wrong of ['3', null, undefined, 3n, {}, [3]] as Wrong[]) {
      expect(() => MessageQueue.fromFd(wrong)).toThrow(misuse('TypeError', 'ERR_INVALID_ARG_TYPE', '"fd"'));
    }
    for (const wrong of [-1, 0.5, Number.NaN, 2 ** 31]) {
      expect(() => MessageQueue.fromFd(wrong)).toThrow(misuse('RangeError', 'ERR_OUT_OF_RANGE', '"fd"'));
    }
  });

  it.skipIf(!canMountQueues)(
    'takes a file of the mounted file system, which is a queue as well',
    async () => {
      const source = `
      import { openSync, closeSync } from 'node:fs';
      const made = MessageQueue.create('of-this-namespace', { maxMessages: 2, messageSize: 8 });
      const fd = openSync('/dev/shm/of-this-namespace', 'r+');
      const queue = MessageQueue.fromFd(fd);
      closeSync(fd);
      const received = queue.receive();
      made.trySend('x');
      assert.equal(String((await received).data), 'x');`;
      const wrapper = inNamespaces(['--ipc', '--mount'], 'mount -t mqueue mqueue /dev/shm');
      expect(await runPeer(source, { wrapper })).toMatchObject(clean);
    },
  );
});
