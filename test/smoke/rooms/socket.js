import assert from 'node:assert/strict';
import {
  SharedMemory,
  socketPair,
  UnixDatagram,
  UnixSeqpacket,
  UnixSeqpacketServer,
  UnixStream,
  UnixStreamServer,
} from 'interproc';

/** @typedef {import('../test-context.js').TestContext} TestContext */

/** @param {TestContext} t @param {'stream' | 'datagram' | 'seqpacket'} type @returns {[any, any]} */
const pair = (t, type) => {
  const [a, b] = socketPair(type);
  return [t.closing(a), t.closing(b)];
};

const kibibytes = 500; // more than a socket holds

/** @type {Record<string, (t: TestContext) => unknown>} */
export const tests = {
  'the three forms of sending and receiving': async (t) => {
    for (const type of /** @type {const} */ (['datagram', 'seqpacket'])) {
      const [a, b] = pair(t, type);
      assert.equal(b.tryReceive(), null);
      assert.equal(a.trySend('one'), true);
      assert.equal(`${b.tryReceive()}`, 'one');
      const pending = b.receive();
      await a.send('two');
      assert.equal(`${await pending}`, 'two');
      a.sendSync('three');
      assert.equal(`${b.receiveSync()}`, 'three');
    }
    const [a, b] = pair(t, 'stream');
    assert.equal(b.tryRead(), null);
    const pending = b.read();
    await a.write('one');
    assert.equal(`${await pending}`, 'one');
    a.writeSync('two');
    assert.equal(`${b.readSync()}`, 'two');
    a.end();
    assert.equal(await b.read(), undefined);
  },

  'waits end by timeout, by an abort and by closing': async (t) => {
    const [socket] = pair(t, 'seqpacket');
    await assert.rejects(socket.receive({ timeout: 5 }), { code: 'ETIMEDOUT' });
    assert.throws(() => socket.receiveSync({ timeout: 5 }), { code: 'ETIMEDOUT' });
    const controller = new AbortController();
    const aborted = assert.rejects(socket.receive({ signal: controller.signal }), { code: 'ABORT_ERR' });
    controller.abort();
    await aborted;
    const closed = assert.rejects(socket.receive(), { code: 'ERR_INTERPROC_CLOSED' });
    socket.close();
    await closed;
  },

  'two processes send each other datagrams': async (t) => {
    const [mine, theirs] = [t.path('a'), t.path('b')];
    const socket = t.closing(UnixDatagram.bind(mine));
    const side = t.side('answersDatagram', [theirs, mine]);
    assert.equal(await side.next(), 'there');
    await socket.sendTo('ping', theirs);
    const message = await socket.receive();
    assert.equal(`${message}`, 'pong');
    await side.done();
  },

  'a seqpacket server meets another process, knows it, and hands it memory': async (t) => {
    const path = t.path('server');
    const server = t.closing(UnixSeqpacketServer.listen(path));
    const side = t.side('takesMemory', path);
    const socket = t.closing(await server.accept());
    assert.equal(socket.peerCredentials?.uid, process.getuid?.());
    assert.equal(await side.next(), socket.peerCredentials?.pid);
    const memory = t.closing(SharedMemory.anonymous({ size: 4096 }));
    await socket.send('here', { fds: [memory] });
    assert.equal(`${await socket.receive()}`, 'written');
    assert.equal(new Int32Array(memory.buffer)[0], 42);
    assert.equal(await socket.receive(), undefined);
    await side.done();
  },

  'a stream server echoes what another process sends': async (t) => {
    const path = t.path('server');
    const server = t.closing(UnixStreamServer.listen(path));
    const side = t.side('streams', path);
    const socket = t.closing(await server.accept());
    for await (const chunk of socket) await socket.write(chunk);
    socket.end();
    await side.done();
  },

  'a stream is a Duplex of Node': async (t) => {
    const [a, b] = pair(t, 'stream');
    const duplex = a.toDuplex();
    duplex.end('over');
    let text = '';
    for await (const chunk of b) text += chunk;
    assert.equal(text, 'over');
    duplex.destroy();
  },

  'an address without a server has the code of the system': async (t) => {
    const path = t.path('none');
    await assert.rejects(UnixStream.connect(path), { name: 'IpcError', code: 'ENOENT', syscall: 'connect' });
    UnixStreamServer.listen(path).close();
    const datagram = t.closing(UnixDatagram.create());
    assert.throws(() => datagram.connect(t.file()), { code: 'ECONNREFUSED' });
  },

  'a worker meets a server of the main thread': async (t) => {
    const path = t.path('server');
    const server = t.closing(UnixStreamServer.listen(path));
    const worker = t.worker('streams', path);
    const socket = t.closing(await server.accept());
    for await (const chunk of socket) await socket.write(chunk);
    socket.end();
    await worker.done();
  },
};

/** @param {string} path */
async function stream(path) {
  const socket = await UnixStream.connect(path);
  const sending = (async () => {
    const text = 'x'.repeat(1024);
    for (let i = 0; i < kibibytes; i++) await socket.write(text);
    socket.end();
  })();
  let length = 0;
  for await (const chunk of socket) length += chunk.length;
  assert.equal(length, kibibytes * 1024);
  await sending;
  socket.close();
}

/** @type {Record<string, (side: import('../side.js').SideContext) => unknown>} */
export const sides = {
  answersDatagram: async ({ args: [mine, theirs], send }) => {
    const socket = UnixDatagram.bind(mine);
    send('there');
    const message = await socket.receive();
    assert.equal(`${message}`, 'ping');
    await socket.sendTo('pong', theirs);
    socket.close();
  },
  takesMemory: async ({ args: path, send }) => {
    const socket = await UnixSeqpacket.connect(path, { maxFds: 1 });
    send(process.pid);
    const message = await socket.receive();
    assert(message !== undefined && message.fds.length === 1);
    const memory = SharedMemory.fromFd(/** @type {{ fd: number }} */ (message.fds[0]).fd);
    new Int32Array(memory.buffer)[0] = 42;
    memory.close();
    message.close();
    await socket.send('written');
    socket.close();
  },
  streams: ({ args }) => stream(args),
};

/** @type {Record<string, (args: any, send: (message: unknown) => void) => unknown>} */
export const workers = {
  streams: stream,
};
