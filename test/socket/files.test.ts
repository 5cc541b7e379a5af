/** The files that sockets are found by: their mode and owner, what dead servers leave, and who removes what. */
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { dirname } from 'node:path';
import {
  SharedMemory,
  UnixDatagram,
  UnixSeqpacket,
  UnixSeqpacketServer,
  UnixStream,
  UnixStreamServer,
  wake,
} from 'interproc';
import { describe, expect, it } from 'vitest';
import { failing, systemError } from '../support/failures.js';
import { openDescriptors } from '../support/leaks.js';
import { isRoot } from '../support/namespaces.js';
import { clean, runPeer, startPeer } from '../support/peer.js';
import { closing, socketPath } from '../support/sockets.js';

/** What takes a path, by the source that a peer runs, too. */
const owners = [
  {
    kind: 'a datagram socket',
    source: 'UnixDatagram.bind',
    own: (path: string, options?: object) => closing(UnixDatagram.bind(path, options)),
    reach: (path: string) => void closing(UnixDatagram.create()).connect(path),
  },
  {
    kind: 'a server of seqpacket sockets',
    source: 'UnixSeqpacketServer.listen',
    own: (path: string, options?: object) => closing(UnixSeqpacketServer.listen(path, options)),
    reach: (path: string) => void closing(UnixSeqpacket.connectSync(path)),
  },
  {
    kind: 'a server of stream sockets',
    source: 'UnixStreamServer.listen',
    own: (path: string, options?: object) => closing(UnixStreamServer.listen(path, options)),
    reach: (path: string) => void closing(UnixStream.connectSync(path)),
  },
];

const replacing = { replaceStale: true };
const taken = (path: string) => systemError('EADDRINUSE', 'bind', path);

/** A path at which a process that was killed has left the file of its socket. */
async function stalePath(source = 'UnixStreamServer.listen'): Promise<string> {
  const path = socketPath();
  const peer = startPeer(`globalThis.held = ${source}(args[0]); send('there'); await next();`, {
    args: [path],
  });
  await peer.next();
  peer.process.kill('SIGKILL');
  await peer.exited;
  expect(lstatSync(path).isSocket()).toBe(true);
  return path;
}

/** `source`: what a process without rights calls. */
async function expectNobodyCantReplace(path: string, source: string): Promise<void> {
  const { ino } = lstatSync(path);
  const peer = `${failing}
      becomeNobody();
      fails(() => ${source}(args[0], { replaceStale: true }), 'EADDRINUSE', 'bind', args[0]);`;
  expect(await runPeer(peer, { args: [path] })).toMatchObject(clean);
  expect(lstatSync(path).ino).toBe(ino);
}

const namesBeside = (path: string) => readdirSync(dirname(path));

describe.each(owners)('the file of $kind', ({ source, own, reach }) => {
  it('has the mode 0o600, or exactly the one that is given, whatever the umask is', async () => {
    for (const umask of [0o000, 0o022, 0o077, 0o777]) {
      const path = socketPath();
      const peer = `import { lstatSync } from 'node:fs';
        process.umask(args[1]);
        for (const mode of [undefined, 0o000, 0o600, 0o666, 0o777, 0o642]) {
          const socket = ${source}(args[0], mode === undefined ? {} : { mode });
          assert.equal((lstatSync(args[0]).mode & 0o7777).toString(8), (mode ?? 0o600).toString(8));
          socket.close();
        }
        assert.equal(process.umask(), args[1]);`;
      expect(await runPeer(peer, { args: [path, umask] })).toMatchObject(clean);
    }
  });

  it.runIf(isRoot)('belongs to the user and group that are given', () => {
    const path = socketPath();
    own(path, { uid: 65_534, gid: 1234, mode: 0o660 });
    expect(lstatSync(path)).toMatchObject({ uid: 65_534, gid: 1234, mode: 0o140660 });
  });

  it('is not left where its owner can not be set', async () => {
    const path = socketPath();
    chmodSync(dirname(path), 0o777);
    const peer = `${failing}
      import { existsSync } from 'node:fs';
      becomeNobody();
      fails(() => ${source}(args[0], { uid: 0 }), 'EPERM', 'fchown', args[0]);
      assert.equal(existsSync(args[0]), false);
      ${source}(args[0]).close();`;
    expect(await runPeer(peer, { args: [path] })).toMatchObject(clean);
  });

  it('is gone once that is closed, also when the working directory has changed', async () => {
    const path = socketPath();
    const peer = `
      import { existsSync } from 'node:fs';
      process.chdir(args[0]);
      const socket = ${source}('relative');
      assert.equal(socket.address, 'relative');
      process.chdir('/');
      assert.ok(existsSync(args[0] + '/relative'));
      socket.close();
      assert.equal(existsSync(args[0] + '/relative'), false);`;
    expect(await runPeer(peer, { args: [dirname(path)] })).toMatchObject(clean);
  });

  it('stays when a successor has put his own in its place', () => {
    for (const remove of [renameSync, (path: string) => UnixDatagram.unlink(path)]) {
      const path = socketPath();
      const first = own(path);
      remove(path, `${path}.old`);
      const second = own(path);
      first.close();
      reach(path);
      second.close();
      expect(existsSync(path)).toBe(false);
    }
  });

  it('stays when its socket is detached: that lives on', () => {
    const path = socketPath();
    const fd = own(path).detach();
    reach(path);
    closeSync(fd);
    expect(existsSync(path)).toBe(true);
  });

  it('stays when the socket is another object of the same descriptor', () => {
    const path = socketPath();
    const first = own(path);
    const again =
      first instanceof UnixDatagram
        ? UnixDatagram.fromFd(first.fd)
        : first instanceof UnixStreamServer
          ? UnixStreamServer.fromFd(first.fd)
          : UnixSeqpacketServer.fromFd(first.fd);
    again.close();
    reach(path);
  });

  it('that a dead process has left is EADDRINUSE, and is replaced where that is asked for', async () => {
    for (const { source: dead } of owners) {
      const path = await stalePath(dead);
      expect(() => reach(path)).toThrow(systemError('ECONNREFUSED', 'connect', path));
      expect(() => own(path)).toThrow(taken(path));
      expect(() => own(path)).toThrow(/replaceStale: true/);
      own(path, { ...replacing, mode: 0o640 });
      expect(lstatSync(path).mode & 0o777).toBe(0o640);
      reach(path);
      expect(namesBeside(path)).toEqual(['socket']);
    }
    expect(source).toBeDefined();
  });

  it('is made anew by replaceStale where there is none', () => {
    const path = socketPath();
    own(path, replacing);
    reach(path);
  });

  it('stays with whoever lives, of whatever type he is', () => {
    for (const { own: ownFirst, reach: reachFirst } of owners) {
      const path = socketPath();
      ownFirst(path);
      const { ino } = lstatSync(path);
      for (let i = 0; i < 3; i++) expect(() => own(path, replacing)).toThrow(taken(path));
      expect(lstatSync(path).ino).toBe(ino);
      reachFirst(path);
      expect(namesBeside(path)).toEqual(['socket']);
    }
  });

  it('stays with a socket of another library that is bound and does not listen yet', async () => {
    for (const type of ['SOCK_STREAM', 'SOCK_DGRAM', 'SOCK_SEQPACKET']) {
      const path = socketPath();
      const peer = startPeer(
        `import { spawn } from 'node:child_process';
         const python = spawn('python3', ['-c', \`
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.${type})
s.bind(sys.argv[1])
print('bound', flush=True)
sys.stdin.readline()\`, args[0]], { stdio: ['pipe', 'pipe', 'inherit'] });
         python.stdout.once('data', () => send('bound'));
         await next();
         python.stdin.end();`,
        { args: [path] },
      );
      await peer.next();
      const { ino } = lstatSync(path);
      expect(() => own(path, replacing)).toThrow(taken(path));
      expect(lstatSync(path).ino).toBe(ino);
      peer.send('end');
      expect(await peer.exited).toMatchObject(clean);
      own(path, replacing);
    }
  });

  it('stays with a server whose backlog is full', () => {
    const path = socketPath();
    closing(UnixStreamServer.listen(path, { backlog: 1 }));
    for (let client = UnixStream.tryConnect(path); client !== null; client = UnixStream.tryConnect(path)) {
      closing(client);
    }
    expect(() => own(path, replacing)).toThrow(taken(path));
  });

  it('is not made where something else is, and that stays', () => {
    const path = socketPath();
    writeFileSync(path, 'content');
    expect(() => own(path, replacing)).toThrow(taken(path));
    expect(readFileSync(path, 'utf8')).toBe('content');
    const link = `${path}.link`;
    symlinkSync(path, link);
    expect(() => own(link, replacing)).toThrow(taken(link));
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    const dangling = `${path}.dangling`;
    symlinkSync(`${path}.nowhere`, dangling);
    expect(() => own(dangling, replacing)).toThrow(taken(dangling));
    expect(() => own(dirname(path), replacing)).toThrow(taken(dirname(path)));
    expect(namesBeside(path).sort()).toEqual(['socket', 'socket.dangling', 'socket.link']);
  });

  it('is not replaced where it is a link to that of a dead socket', async () => {
    const path = await stalePath();
    const link = `${path}.link`;
    symlinkSync(path, link);
    expect(() => own(link, replacing)).toThrow(taken(link));
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(lstatSync(path).isSocket()).toBe(true);
  });

  it('of another user, who lives, is not replaced by nobody', async () => {
    const path = socketPath();
    own(path);
    chmodSync(dirname(path), 0o777);
    await expectNobodyCantReplace(path, source);
    reach(path);
  });

  it.runIf(isRoot)('of another user in a folder like /tmp is not replaced, dead or alive', async () => {
    const path = await stalePath();
    chmodSync(path, 0o777);
    chmodSync(dirname(path), 0o1777);
    await expectNobodyCantReplace(path, source);
    expect(namesBeside(path)).toEqual(['socket']);
  });

  it('is not made where that is not allowed, or there is no folder', async () => {
    const path = socketPath();
    expect(() => own(`${path}/in/no/folder`)).toThrow(systemError('ENOENT', 'bind', `${path}/in/no/folder`));
    chmodSync(dirname(path), 0o755);
    const peer = `${failing}
      becomeNobody();
      for (const replaceStale of [false, true]) fails(() => ${source}(args[0], { replaceStale }), 'EACCES', 'bind', args[0]);`;
    if (!isRoot) chmodSync(dirname(path), 0o555);
    expect(await runPeer(peer, { args: [path] })).toMatchObject(clean);
  });

  it('is all that a failure leaves nothing of', async () => {
    const path = socketPath();
    own(path);
    const before = await openDescriptors();
    for (let i = 0; i < 5; i++) {
      expect(() => own(path)).toThrow();
      expect(() => own(path, replacing)).toThrow();
      expect(() => own(`${path}/x`, replacing)).toThrow();
    }
    expect(await openDescriptors()).toEqual(before);
  });
});

describe('a path of dead servers', () => {
  it.each(owners)('goes to exactly one of those who replace it at once: $kind', async ({ source, reach }) => {
    const dead = await stalePath();
    const board = closing(SharedMemory.anonymous({ size: 64 }));
    const contenders = Array.from({ length: 4 }, () =>
      startPeer(
        `const board = SharedMemory.fromFd(4);
         const wait = new Int32Array(board.buffer);
         let held;
         send('ready');
         for (let round = 0; round < 50; round++) {
           Atomics.add(wait, 1, 1);
           for (let seen; (seen = Atomics.load(wait, 0)) <= round; ) waitOnSync(board, 0, seen);
           let won = true;
           try {
             held = ${source}(args[0], { replaceStale: true });
           } catch (error) {
             if (error.code !== 'EADDRINUSE') throw error;
             won = false;
           }
           if (won) Atomics.add(wait, 2, 1);
           Atomics.add(wait, 3, 1);
           for (let seen; (seen = Atomics.load(wait, 4)) <= round; ) waitOnSync(board, 16, seen);
           // Closed without its file: as by a process that dies.
           if (won) { const { closeSync } = await import('node:fs'); closeSync(held.detach()); }
         }`,
        { args: [dead], fds: [board.fd] },
      ),
    );
    const words = new Int32Array(board.buffer).fill(0);
    await Promise.all(contenders.map((each) => each.next()));
    for (let round = 0; round < 50; round++) {
      while (Atomics.load(words, 1) < 4 * (round + 1)) await new Promise(setImmediate);
      Atomics.store(words, 0, round + 1);
      wake(board, 0);
      while (Atomics.load(words, 3) < 4 * (round + 1)) await new Promise(setImmediate);
      expect(Atomics.load(words, 2), `winners of round ${round}`).toBe(round + 1);
      reach(dead);
      expect(namesBeside(dead)).toEqual(['socket']);
      Atomics.store(words, 4, round + 1);
      wake(board, 16);
    }
    for (const each of contenders) expect(await each.exited).toMatchObject(clean);
  });

  it('is replaced while others replace theirs in the same folder', async () => {
    const folder = dirname(await stalePath());
    const contenders = Array.from({ length: 4 }, (_, index) =>
      startPeer(
        `import { closeSync } from 'node:fs';
         const path = args[0] + '/' + args[1];
         closeSync(UnixStreamServer.listen(path).detach());
         await send('ready');
         await next();
         for (let round = 0; round < 150; round++) closeSync(UnixStreamServer.listen(path, { replaceStale: true }).detach());`,
        { args: [folder, index] },
      ),
    );
    await Promise.all(contenders.map((each) => each.next()));
    for (const each of contenders) each.send('go');
    for (const each of contenders) expect(await each.exited).toMatchObject(clean);
    expect(readdirSync(folder).sort()).toEqual(['0', '1', '2', '3', 'socket']);
  });

  it('stays free for nobody where a process holds the folder locked for ever', async () => {
    const path = await stalePath();
    const locking = startPeer(
      `import { spawn } from 'node:child_process';
       const flock = spawn('flock', [args[0], 'sh', '-c', 'echo locked; read line'], { stdio: ['pipe', 'pipe', 'inherit'] });
       flock.stdout.once('data', () => send('locked'));
       await next();
       flock.stdin.end();`,
      { args: [dirname(path)] },
    );
    await locking.next();
    expect(() => UnixStreamServer.listen(path, replacing)).toThrow(
      expect.objectContaining({ syscall: 'flock' }),
    );
    locking.send('end');
    await locking.exited;
    closing(UnixStreamServer.listen(path, replacing));
  });
});

describe('unlink', () => {
  it.each([UnixDatagram, UnixStreamServer, UnixSeqpacketServer])(
    'removes the file of a socket: %o',
    (kind) => {
      const path = socketPath();
      const server = closing(UnixStreamServer.listen(path));
      kind.unlink(path);
      expect(existsSync(path)).toBe(false);
      expect(() => kind.unlink(path)).toThrow(systemError('ENOENT', 'unlink', path));
      writeFileSync(path, 'content');
      expect(() => kind.unlink(path)).toThrow(systemError('EINVAL', 'unlink', path));
      server.close();
      expect(readFileSync(path, 'utf8')).toBe('content');
      expect(() => kind.unlink('\0abstract')).toThrow(
        expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' }),
      );
    },
  );
});

describe('a server of node:net', () => {
  it('keeps its path, and its stale file is replaced', async () => {
    const path = socketPath();
    const server = createServer().listen(path);
    await once(server, 'listening');
    expect(() => UnixStreamServer.listen(path, replacing)).toThrow(taken(path));
    const client = connect(path);
    await once(client, 'connect');
    client.destroy();
    server.close();
    await once(server, 'close');
  });
});
