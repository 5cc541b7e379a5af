/** Servers, and connecting to them: of stream and seqpacket sockets alike. */
import { UnixSeqpacket, UnixStream, UnixStreamServer } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failing, systemError } from '../support/failures.js';
import { openDescriptors } from '../support/leaks.js';
import { isRoot } from '../support/namespaces.js';
import { clean, runPeer, startPeer } from '../support/peer.js';
import { abstractName, closing, connecting, socketPath } from '../support/sockets.js';

const timedOut = (syscall: string) =>
  expect.objectContaining({ name: 'IpcError', code: 'ETIMEDOUT', syscall });
const aborted = expect.objectContaining({ name: 'AbortError', code: 'ABORT_ERR' });
const closed = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_CLOSED' });

type Kind = (typeof connecting)[number];

function listen({ Server }: Kind, address: string | Buffer = abstractName(), options?: object) {
  return closing(Server.listen(address, options));
}

/** Connects until the backlog is full. */
function fillBacklog({ Socket }: Kind, address: string): number {
  let connections = 0;
  for (let next = Socket.tryConnect(address); next !== null; next = Socket.tryConnect(address)) {
    closing(next);
    connections++;
  }
  return connections;
}

const hello = async (from: UnixStream | UnixSeqpacket, to: UnixStream | UnixSeqpacket) => {
  await (from instanceof UnixStream ? from.write('hello') : from.send('hello'));
  expect(String(await to.receive())).toBe('hello');
};

describe.each(connecting)('a server of $type sockets', (kind) => {
  const { Socket, Server } = kind;

  it.each([
    ['a path', socketPath],
    ['an abstract name', abstractName],
    ['an abstract name that fills the address', () => abstractName().padEnd(108, 'x')],
    [
      'a path that fills the address',
      () => `${socketPath()}/`.padEnd(107, '/').replace(/socket\/+$/, (s) => 's'.repeat(s.length)),
    ],
    [
      'an abstract name that is no UTF-8',
      () => Buffer.concat([Buffer.from(abstractName()), Buffer.from([0xff, 0])]),
    ],
  ])('listens at %s, and accepts in every form of waiting', async (_, place) => {
    const address = place();
    const server = listen(kind, address);
    expect(server.address).toEqual(address);
    expect(server.tryAccept()).toBeNull();
    const pending = server.accept();
    const first = closing(await Socket.connect(address));
    await hello(first, closing(await pending));
    const second = closing(Socket.connectSync(address));
    await hello(closing(server.acceptSync()), second);
    const third = closing(Socket.tryConnect(address) as UnixStream);
    const accepted = closing(server.tryAccept() as UnixStream);
    await hello(third, accepted);
    expect(accepted.address).toEqual(address);
    expect(accepted.remoteAddress).toBeNull();
    expect(third.remoteAddress).toEqual(address);
    expect(third.address).toBeNull();
  });

  it('gives connections in their order to those who wait, and to a loop', async () => {
    const address = abstractName();
    const server = listen(kind, address);
    const waiting = [server.accept(), server.accept(), server.accept()];
    const clients = [];
    for (let i = 0; i < 3; i++) clients.push(closing(await Socket.connect(address)));
    for (const [i, accepted] of waiting.entries())
      await hello(clients[i] as UnixStream, closing(await accepted));
    const more: UnixStream[] = [];
    for (let i = 0; i < 10; i++) more.push(closing(Socket.connectSync(address) as UnixStream));
    let at = 0;
    for await (const accepted of server) {
      await hello(more[at++] as UnixStream, closing(accepted) as UnixStream);
      if (at === more.length) break;
    }
    expect(server.closed).toBe(false);
  });

  it('ends a loop and rejects what waits when it closes, and refuses who comes then', async () => {
    const address = abstractName();
    const server = listen(kind, address);
    const loop = (async () => {
      for await (const _ of server) expect.fail('nobody has connected');
    })();
    const waiting = expect(server.accept()).rejects.toEqual(closed);
    server.close();
    await loop;
    await waiting;
    expect(() => server.tryAccept()).toThrow(closed);
    await expect(Socket.connect(address)).rejects.toEqual(
      systemError('ECONNREFUSED', 'connect', address.replace('\0', '@')),
    );
  });

  it('that closes ends the connections that it has not accepted', async () => {
    const address = abstractName();
    const server = listen(kind, address);
    const client = closing(await Socket.connect(address));
    const pending = client.receive();
    server.close();
    await expect(pending).rejects.toEqual(systemError('ECONNRESET', 'recv'));
    expect(await client.receive()).toBeUndefined();
  });

  it('takes nothing from connections where an accept is aborted or times out', async () => {
    const address = abstractName();
    const server = listen(kind, address);
    await expect(server.accept({ timeout: 0 })).rejects.toEqual(timedOut('accept'));
    await expect(server.accept({ timeout: 1 })).rejects.toEqual(timedOut('accept'));
    expect(() => server.acceptSync({ timeout: 1 })).toThrow(timedOut('accept'));
    const abort = new AbortController();
    const waiting = server.accept({ signal: abort.signal });
    const client = closing(Socket.connectSync(address));
    abort.abort();
    const [first] = await Promise.allSettled([waiting]);
    const accepted = first?.status === 'fulfilled' ? first.value : server.tryAccept();
    await hello(client as UnixStream, closing(accepted as UnixStream));
    closing(Socket.connectSync(address));
    closing(await server.accept({ timeout: 0 }));
  });

  it('makes who connects wait while its backlog is full', async () => {
    const address = abstractName();
    const server = listen(kind, address, { backlog: 2 });
    const connections = fillBacklog(kind, address);
    expect(connections).toBe(3);
    const before = await openDescriptors();
    await expect(Socket.connect(address, { timeout: 0 })).rejects.toEqual(timedOut('connect'));
    await expect(Socket.connect(address, { timeout: 1 })).rejects.toEqual(timedOut('connect'));
    expect(() => Socket.connectSync(address, { timeout: 30 })).toThrow(timedOut('connect'));
    const abort = new AbortController();
    const given = Socket.connect(address, { signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(given).rejects.toEqual(aborted);
    expect(await openDescriptors()).toEqual(before);
    const waiting = Array.from({ length: 5 }, () => Socket.connect(address));
    for (let i = 0; i < connections + waiting.length; i++) closing(await server.accept());
    for (const each of waiting) closing(await each);
    expect(server.tryAccept()).toBeNull();
  });

  it('that closes refuses those who wait for room in its backlog', async () => {
    const address = abstractName();
    const server = listen(kind, address, { backlog: 1 });
    fillBacklog(kind, address);
    const waiting = Array.from({ length: 3 }, () => Socket.connect(address));
    await new Promise(setImmediate);
    server.close();
    const refused = systemError('ECONNREFUSED', 'connect', address.replace('\0', '@'));
    await Promise.all(waiting.map((each) => expect(each).rejects.toEqual(refused)));
  });

  it('that is killed refuses those who wait for room in its backlog', async () => {
    const address = abstractName();
    const peer = startPeer(
      `const server = ${Server.name}.listen(args[0], { backlog: 1 }); send('there'); await next(); server.close();`,
      { args: [address] },
    );
    await peer.next();
    fillBacklog(kind, address);
    const waiting = Socket.connect(address);
    await new Promise(setImmediate);
    peer.process.kill('SIGKILL');
    await expect(waiting).rejects.toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect' });
  });

  it('is found neither at a path where nobody is, nor by another type', async () => {
    const path = socketPath();
    const forms = [
      (to: string) => Socket.connect(to),
      async (to: string) => Socket.connectSync(to),
      async (to: string) => Socket.tryConnect(to),
    ];
    const before = await openDescriptors();
    for (const connect of forms) {
      await expect(connect(path)).rejects.toEqual(systemError('ENOENT', 'connect', path));
    }
    listen(connecting.find(({ type }) => type !== kind.type) as Kind, path);
    for (const connect of forms) {
      await expect(connect(path)).rejects.toEqual(systemError('EPROTOTYPE', 'connect', path));
      await expect(connect('/proc/self/exe')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    }
    expect((await openDescriptors()).length).toBe(before.length + 1);
  });

  it.runIf(isRoot)('is EACCES for who may not write to its file', async () => {
    const path = socketPath();
    (await import('node:fs')).chmodSync(path.replace(/\/socket$/, ''), 0o755);
    const server = listen(kind, path);
    const source = `${failing}
      becomeNobody();
      fails(() => ${Socket.name}.connectSync(args[0]), 'EACCES', 'connect', args[0]);
      fails(() => ${Socket.name}.tryConnect(args[0]), 'EACCES', 'connect', args[0]);
      await assert.rejects(${Socket.name}.connect(args[0]), { code: 'EACCES', path: args[0] });
      assert.throws(() => UnixDatagram.create().connect(args[0]), { code: 'EACCES' });`;
    expect(await runPeer(source, { args: [path] })).toMatchObject(clean);
    expect(server.tryAccept()).toBeNull();
  });

  it('is closed when nobody can reach it any more', async () => {
    const address = abstractName();
    const before = await openDescriptors();
    const drop = async () => {
      const server = Server.listen(address);
      const [client, accepted] = [Socket.connectSync(address), await server.accept()];
      await server.accept({ timeout: 0 }).catch(() => {});
      await hello(client as UnixStream, accepted as UnixStream);
    };
    await drop();
    expect(await openDescriptors()).toEqual(before);
    expect(() => Socket.connectSync(address)).toThrow(expect.objectContaining({ code: 'ECONNREFUSED' }));
  });

  it('lives on in another object by its descriptor', async () => {
    const address = abstractName();
    const server = listen(kind, address);
    const again = closing(Server.fromFd(server.fd));
    server.close();
    const client = closing(Socket.connectSync(address));
    await hello(client as UnixStream, closing(await again.accept()) as UnixStream);
  });

  it('is none by the descriptor of a socket that does not listen', () => {
    const client = listen(kind, abstractName());
    const socket = closing(Socket.connectSync(client.address as string));
    expect(() => Server.fromFd(socket.fd)).toThrow(
      expect.objectContaining({ code: 'EINVAL', syscall: 'accept' }),
    );
  });

  it('serves several processes that accept from the same socket, each connection once', async () => {
    const address = abstractName();
    const server = listen(kind, address);
    const source = `
      const server = ${Server.name}.fromFd(4);
      await send('ready');
      let count = 0;
      for (;;) {
        const socket = args[0] === 'sync' ? server.acceptSync() : await server.accept();
        count++;
        const text = String(await socket.receive());
        socket.close();
        if (text === 'over') break;
      }
      await send(count);`;
    const peers = ['sync', 'sync', 'async', 'async'].map((way) =>
      startPeer(source, { args: [way], fds: [server.fd] }),
    );
    for (const peer of peers) await peer.next();
    server.close();
    const tell = async (text: string) => {
      const socket = await Socket.connect(address);
      await (socket instanceof UnixStream ? socket.write(text) : socket.send(text));
      expect(await socket.receive()).toBeUndefined();
      socket.close();
    };
    for (let i = 0; i < 200; i++) await tell('next');
    for (const _ of peers) await tell('over');
    let total = 0;
    for (const peer of peers) {
      total += await peer.next();
      expect(await peer.exited).toMatchObject(clean);
    }
    expect(total).toBe(200 + peers.length);
  });
});

/** man 2 accept4: it takes a descriptor before it looks who is there. */
describe('a server without free descriptors', () => {
  const head = `
    import { closeSync, openSync, readdirSync } from 'node:fs';
    const warnings = [];
    process.on('warning', ({ message }) => warnings.push(message));
    const server = UnixStreamServer.listen(args[0]);
    const taken = [];
    const take = () => { try { for (;;) taken.push(openSync('/dev/null')); } catch (error) { assert.equal(error.code, 'EMFILE'); } };
    const free = () => { for (const fd of taken.splice(0)) closeSync(fd); };
    const clients = args[1];
    await server.accept({ timeout: 1 }).catch(() => {}); // what waiting takes of its own is there now
    await send('ready');
    await next();
    take();`;
  const limited = { wrapper: ['prlimit', '--nofile=120'] };

  async function withClients(source: string): Promise<void> {
    const address = abstractName();
    const count = 5;
    const peer = startPeer(head + source, { ...limited, args: [address, count] });
    await peer.next();
    const clients = Array.from({ length: count }, () => closing(UnixStream.connectSync(address)));
    peer.send('connected');
    const answers = clients.map(async (client, i) => {
      await client.write(`${i}`);
      return String(await client.read());
    });
    const echoed = Promise.allSettled(answers);
    expect(await peer.exited).toMatchObject({ ...clean, stderr: expect.not.stringContaining('Error') });
    const values = clients.map((_, i) => ({ status: 'fulfilled', value: `echo ${i}` }));
    expect(await echoed).toEqual(values);
  }

  const echo = `
    const echo = async (socket) => {
      const text = String(await socket.read());
      await socket.write('echo ' + text);
      socket.close();
    };
    const warnedOnce = async () => {
      await new Promise(setImmediate);
      assert.equal(warnings.length, 1, warnings.join());
      assert.match(warnings[0], /server of stream sockets can't accept.*EMFILE.*120 open files/);
    };`;

  it('accepts when there are some again, having warned once: a promise', () =>
    withClients(`${echo}
      const pending = server.accept();
      while (warnings.length === 0) await new Promise(setImmediate);
      await new Promise((resolve) => setTimeout(resolve, 200)); // it tries again meanwhile
      free();
      await echo(await pending);
      for (let i = 1; i < clients; i++) await echo(await server.accept());
      await warnedOnce();
      server.close();`));

  it('accepts when there are some again, having warned once: a loop', () =>
    withClients(`${echo}
      setTimeout(free, 200);
      let count = 0;
      for await (const socket of server) {
        await echo(socket);
        if (++count === clients) break;
      }
      await warnedOnce();
      server.close();`));

  it('accepts when there are some again, having warned once and used no CPU: blocking', () =>
    withClients(`${echo}
      import { Worker } from 'node:worker_threads';
      // The thread that gives back must be there before there is nothing left.
      free();
      const shared = new Int32Array(new SharedArrayBuffer(4));
      const worker = new Worker(\`
        import { workerData } from 'node:worker_threads';
        import { openSync, closeSync } from 'node:fs';
        const { shared } = workerData;
        const taken = [];
        try { for (;;) taken.push(openSync('/dev/null')); } catch {}
        Atomics.store(shared, 0, 1);
        Atomics.notify(shared, 0);
        Atomics.wait(shared, 0, 1);
        Atomics.wait(shared, 0, 2, 400);
        for (const fd of taken) closeSync(fd);\`, { eval: true, workerData: { shared } });
      const over = new Promise((resolve) => worker.once('exit', resolve));
      Atomics.wait(shared, 0, 0);
      const before = process.cpuUsage();
      Atomics.store(shared, 0, 2);
      Atomics.notify(shared, 0);
      const first = server.acceptSync();
      const { user, system } = process.cpuUsage(before);
      assert.ok(user + system < 200_000, 'it used ' + (user + system) + ' us of CPU');
      await over;
      await echo(first);
      for (let i = 1; i < clients; i++) await echo(server.acceptSync());
      await warnedOnce();`));

  it('says EMFILE where it does not wait, or waits in vain, and loses nobody', () =>
    withClients(`${echo}
      const failure = { code: 'EMFILE', syscall: 'accept', message: /120 open files/ };
      assert.throws(() => server.tryAccept(), failure);
      assert.throws(() => server.acceptSync({ timeout: 1 }), failure);
      await assert.rejects(server.accept({ timeout: 0 }), failure);
      await assert.rejects(server.accept({ timeout: 1 }), failure);
      const abort = new AbortController();
      const pending = server.accept({ signal: abort.signal });
      abort.abort();
      await assert.rejects(pending, { name: 'AbortError' });
      free();
      for (let i = 0; i < clients; i++) await echo(server.tryAccept());
      assert.equal(server.tryAccept(), null);
      assert.throws(() => server.acceptSync({ timeout: 1 }), { code: 'ETIMEDOUT' });
      await assert.rejects(server.accept({ timeout: 1 }), { code: 'ETIMEDOUT' });`));

  it('says ETIMEDOUT where descriptors were short only for a while', () =>
    withClients(`${echo}
      // All connections go to a duplicate of the server, so that nobody is left for it.
      const pending = assert.rejects(server.accept({ timeout: 300 }), { code: 'ETIMEDOUT' });
      free();
      const others = [];
      for (let i = 0; i < clients; i++) others.push(UnixStreamServer.fromFd(server.fd).acceptSync());
      await pending;
      for (const other of others) await echo(other);`));

  it('can be closed while it waits for some', () =>
    withClients(`${echo}
      const pending = assert.rejects(server.accept(), { code: 'ERR_INTERPROC_CLOSED' });
      while (warnings.length === 0) await new Promise(setImmediate);
      free();
      const other = UnixStreamServer.fromFd(server.fd);
      server.close();
      await pending;
      for (let i = 0; i < clients; i++) await echo(await other.accept());
      other.close();`));
});

describe('who connects without free descriptors', () => {
  it('is told so, and leaves nothing behind', async () => {
    const address = abstractName();
    const server = closing(UnixStreamServer.listen(address));
    const source = `
      import { openSync, closeSync } from 'node:fs';
      UnixStream.connectSync(args[0]).close();
      const taken = [];
      try { for (;;) taken.push(openSync('/dev/null')); } catch {}
      assert.throws(() => UnixStream.connectSync(args[0]), { code: 'EMFILE', syscall: 'socket', message: /120 open files/ });
      assert.throws(() => UnixStream.tryConnect(args[0]), { code: 'EMFILE' });
      assert.throws(() => socketPair('stream'), { code: 'EMFILE', syscall: 'socketpair' });
      assert.throws(() => UnixDatagram.create(), { code: 'EMFILE' });
      assert.throws(() => UnixDatagram.bind(), { code: 'EMFILE' });
      assert.throws(() => UnixStreamServer.listen('\\0x'), { code: 'EMFILE' });
      await assert.rejects(UnixStream.connect(args[0]), { code: 'EMFILE' });
      closeSync(taken.pop());
      assert.throws(() => socketPair('stream'), { code: 'EMFILE', syscall: 'socketpair' });
      UnixStream.connectSync(args[0]).close();
      (await UnixStream.connect(args[0])).close();`;
    expect(await runPeer(source, { args: [address], wrapper: ['prlimit', '--nofile=120'] })).toMatchObject(
      clean,
    );
    server.close();
  });
});
