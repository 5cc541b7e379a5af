import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { Channel, features, MappedFile, type Sender, SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failing, failureOf, systemError } from '../support/failures.js';
import { collectGarbage, holdings } from '../support/leaks.js';
import { channelName, tempDir, tempPath } from '../support/names.js';
import { isRoot } from '../support/namespaces.js';
import { takingPart } from '../support/participants.js';
import { clean, runPeer, startPeer } from '../support/peer.js';

const code = (expected: string) => expect.objectContaining({ name: 'IpcError', code: expected });
const inShm = (name: string | null) => readdirSync('/dev/shm').includes(`interproc.${name?.slice(1)}`);
/** The segment of a channel as plain memory. */
const bare = (name: string) => SharedMemory.open(`/interproc.${name.slice(1)}`);

describe('a channel with a name', () => {
  it('carries the prefix of the package in /dev/shm, and is gone with the last who leaves', () => {
    const name = channelName();
    const channel = Channel.create(name, { capacity: 1000 });
    expect(channel).toMatchObject({
      name,
      path: `/dev/shm/interproc.${name.slice(1)}`,
      capacity: 1024, // rounded up to a power of two
      maxMessageSize: 504,
      created: true,
      linked: true,
      readOnly: false,
      closed: false,
    });
    const other = Channel.openSync(name);
    expect(other).toMatchObject({ name, capacity: 1024, created: false });
    channel.close();
    expect(inShm(name)).toBe(true);
    other.close();
    expect(inShm(name)).toBe(false);
    expect(Channel.tryOpen(name)).toBeNull();
  });

  it('is gone with the last who leaves, also where that one came by its descriptor', async () => {
    const name = channelName();
    const channel = Channel.create(name, { capacity: 64 });
    const peer = startPeer(
      `const channel = Channel.fromFd(4);
       await send('open');
       await next();
       channel.close();`,
      { fds: [channel.fd] },
    );
    await peer.next();
    channel.close();
    expect(inShm(name)).toBe(true);
    peer.send('close');
    expect(await peer.exited).toMatchObject(clean);
    expect(inShm(name)).toBe(false);
  });

  it('with persist it stays, with what was not received', async () => {
    const name = channelName();
    let channel = Channel.create(name, { capacity: 1024, persist: true });
    channel.sender().sendSync('kept');
    channel.close();
    expect(inShm(name)).toBe(true);
    channel = Channel.openSync(name);
    const receiver = channel.receiver();
    expect((await receiver.receive())?.toString()).toBe('kept');
    expect(await receiver.receive()).toBeUndefined();
    channel.unlink();
    channel.close();
    expect(inShm(name)).toBe(false);
  });

  it.each([true, false])('has the mode that it was created with: of a name %s', (named) => {
    const target = named ? channelName() : { path: tempPath() };
    using channel = Channel.create(target, { capacity: 64, mode: 0o640 });
    expect(MappedFile.stat(channel.path as string).mode).toBe(0o640);
  });

  it('may be a path on any file system', async () => {
    const path = tempPath('a channel');
    const channel = Channel.create({ path }, { capacity: 4096 });
    expect(channel).toMatchObject({ name: null, path, linked: true });
    const other = await Channel.open({ path });
    channel.sender().sendSync('x');
    expect(other.receiver().tryReceive()?.toString()).toBe('x');
    channel.close();
    other.close();
    expect(Channel.tryOpen({ path })).toBeNull();
  });

  it('openOrCreate does either, and says which', () => {
    const name = channelName();
    using made = Channel.openOrCreate(name, { capacity: 4096 });
    using opened = Channel.openOrCreate(name, { capacity: 4096 });
    expect([made.created, opened.created]).toEqual([true, false]);
    expect(() => Channel.openOrCreate(name, { capacity: 64 })).toThrow(code('ERR_INTERPROC_MISMATCH'));
  });

  it('create fails while one of that name is in use, or something else has it', () => {
    const name = channelName();
    const path = tempPath();
    using channel = Channel.create(name, { capacity: 64 });
    expect(() => Channel.create(name, { capacity: 64 })).toThrow(systemError('EEXIST', 'shm_open'));
    writeFileSync(path, 'precious');
    expect(() => Channel.create({ path }, { capacity: 64 })).toThrow(systemError('EEXIST', 'open', path));
    expect(channel.closed).toBe(false);
  });

  it('create takes the place of one whose participants are all dead, and only then', async () => {
    const name = channelName();
    const make = `const channel = hold(Channel.openOrCreate(args[0], { capacity: 4096 }));
      channel.sender().sendSync('left over');
      await send('made');
      await next();`;
    const first = startPeer(make, { args: [name] });
    await first.next();
    const second = startPeer(`hold(Channel.openSync(args[0])); await send('open'); await next();`, {
      args: [name],
    });
    await second.next();
    first.process.kill('SIGKILL');
    await first.exited;
    expect(() => Channel.create(name, { capacity: 64 })).toThrow(systemError('EEXIST', 'shm_open'));
    second.process.kill('SIGKILL');
    await second.exited;
    expect(Channel.list()).toContainEqual({ name, capacity: 4096, participants: 0 });
    using channel = Channel.create(name, { capacity: 64 });
    expect(channel.capacity).toBe(64);
    expect(channel.receiver().tryReceive()).toBeNull();
  });

  it('open waits until there is one, by name and by path', async () => {
    for (const target of [channelName(), { path: tempPath() }]) {
      const opening = [Channel.open(target), Channel.open(target, { timeout: 30_000 })];
      const peer = startPeer(`Channel.openSync(args[0]); await send('open');`, { args: [target] });
      using channel = Channel.create(target, { capacity: 64 });
      for (const each of await Promise.all(opening)) {
        expect(each.capacity).toBe(64);
        each.close();
      }
      expect(await peer.next()).toBe('open');
      expect(await peer.exited).toMatchObject(clean);
      expect(channel.linked).toBe(true);
    }
  });

  it('open waits for a folder that is not there yet', async () => {
    const folder = tempDir();
    const path = `${folder}/later/channel`;
    const opening = Channel.open({ path });
    mkdirSync(`${folder}/later`);
    using channel = Channel.create({ path }, { capacity: 64 });
    using opened = await opening;
    expect([channel.created, opened.created]).toEqual([true, false]);
  });

  it('open waits on where its folder is removed and made anew', async () => {
    const folder = `${tempDir()}/folder`;
    mkdirSync(folder);
    const path = `${folder}/channel`;
    const opening = Channel.open({ path });
    rmdirSync(folder);
    await new Promise((resolve) => setImmediate(resolve));
    mkdirSync(folder);
    await new Promise((resolve) => setImmediate(resolve));
    using channel = Channel.create({ path }, { capacity: 64 });
    (await opening).close();
    expect(channel.linked).toBe(true);
  });

  it('open notices that one becomes ready, of which no folder tells', async () => {
    const [ready, path] = [tempPath('ready'), tempPath('raw')];
    using channel = Channel.create({ path: ready }, { capacity: 64 });
    const bytes = readFileSync(ready);
    expect(bytes.readUInt32LE(0)).toBe(1);
    bytes.writeUInt32LE(0, 0);
    writeFileSync(path, bytes);
    const opening = Channel.open({ path });
    using memory = MappedFile.open(path);
    new Int32Array(memory.buffer)[0] = 1;
    (await opening).close();
    expect(channel.capacity).toBe(64);
  });

  it('waiting to open ends with a timeout or an abort, and keeps nothing', async () => {
    const name = channelName();
    const before = await holdings();
    await expect(Channel.open(name, { timeout: 0 })).rejects.toEqual(code('ETIMEDOUT'));
    await expect(Channel.open(name, { timeout: 5 })).rejects.toEqual(code('ETIMEDOUT'));
    expect(() => Channel.openSync(name, { timeout: 5 })).toThrow(code('ETIMEDOUT'));
    const reason = new Error('why');
    await expect(Channel.open(name, { signal: AbortSignal.abort(reason) })).rejects.toMatchObject({
      name: 'AbortError',
      code: 'ABORT_ERR',
      cause: reason,
    });
    const controller = new AbortController();
    const aborted = Channel.open(name, { signal: controller.signal });
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'ABORT_ERR' });
    expect(await holdings()).toEqual(before);
  });

  it('one that is not ready is waited for', async () => {
    const path = tempPath();
    writeFileSync(path, '');
    expect(Channel.tryOpen({ path })).toBeNull();
    const opening = Channel.open({ path });
    writeFileSync(path, Buffer.alloc(8192));
    expect(Channel.tryOpen({ path })).toBeNull();
    unlinkSync(path);
    using channel = Channel.create({ path }, { capacity: 64 });
    (await opening).close();
    expect(channel.linked).toBe(true);
  });

  it('an unlinked one is noticed: by linked, by the next attach, and by who comes with its descriptor', async () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    using other = Channel.openSync(name);
    const sender = channel.sender();
    Channel.unlink(name);
    expect([channel.linked, other.linked]).toEqual([false, false]);
    expect(() => other.receiver()).toThrow(code('ERR_INTERPROC_UNLINKED'));
    expect(() => Channel.fromFd(channel.fd)).toThrow(code('ERR_INTERPROC_UNLINKED'));
    expect(() => channel.unlink()).toThrow(code('ENOENT'));
    expect(sender.trySend('goes on')).toBe(true);
    using successor = Channel.create(name, { capacity: 64 });
    expect([channel.linked, successor.linked]).toEqual([false, true]);
    channel.close();
    other.close(); // and removes nobody else's name
    expect(inShm(name)).toBe(true);
  });

  it('list tells who has how many participants', () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    expect(Channel.list()).toContainEqual({ name, capacity: 4096, participants: 1 });
    using reader = Channel.openSync(name, { readOnly: true });
    expect(Channel.list()).toContainEqual({ name, capacity: 4096, participants: 1 });
    using stranger = SharedMemory.create(`/interproc.${channelName().slice(1)}`, { size: 64 });
    const strange = {
      name: `/${stranger.name?.slice('/interproc.'.length)}`,
      capacity: null,
      participants: null,
    };
    expect(Channel.list()).toContainEqual(strange);
    stranger.unlink();
    const raw = channelName();
    writeFileSync(`/dev/shm/interproc.${raw.slice(1)}`, Buffer.alloc(8192));
    expect(Channel.list()).toContainEqual({ name: raw, capacity: null, participants: null });
    expect([channel.closed, reader.readOnly]).toEqual([false, true]);
  });
});

describe('what is no channel of ours', () => {
  it.each([
    ['magic', 4, 0x7070_7070, 'magic 0x70707070', '0x63707269'],
    ['version', 8, 2, 'version 2', '1'],
    ['kind', 12, 9, 'kind 9', '1'],
  ])('by its %s is a mismatch, with both values', async (_, offset, value, found, expected) => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    using memory = bare(name);
    new Uint32Array(memory.buffer)[offset / 4] = value;
    const mismatch = expect.objectContaining({
      code: 'ERR_INTERPROC_MISMATCH',
      message: `The channel '${name}' has ${found}, and ${expected} was expected`,
      path: name,
    });
    expect(() => Channel.tryOpen(name)).toThrow(mismatch);
    expect(() => Channel.openSync(name)).toThrow(mismatch);
    await expect(Channel.open(name)).rejects.toEqual(mismatch);
    expect(() => Channel.openOrCreate(name, { capacity: 4096 })).toThrow(mismatch);
    expect(() => Channel.fromFd(channel.fd)).toThrow(code('ERR_INTERPROC_MISMATCH'));
  });

  it('of another capacity than expected is a mismatch, with both values', async () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    const mismatch = expect.objectContaining({
      code: 'ERR_INTERPROC_MISMATCH',
      message: `The channel '${name}' has capacity 4096, and 8192 was expected`,
    });
    await expect(Channel.open(name, { capacity: 5000 })).rejects.toEqual(mismatch);
    expect(() => Channel.fromFd(channel.fd, { capacity: 64 })).toThrow(code('ERR_INTERPROC_MISMATCH'));
    (await Channel.open(name, { capacity: 4000 })).close();
    expect(takingPart(channel)).toHaveLength(1);
  });

  it('too short, a folder, a symbolic link, a plain memfd', () => {
    const path = tempPath();
    writeFileSync(path, 'short');
    expect(() => Channel.tryOpen({ path })).toThrow(code('ERR_INTERPROC_MISMATCH'));
    expect(() => Channel.tryOpen({ path: '/dev/shm' })).toThrow(expect.objectContaining({ code: 'EISDIR' }));
    const name = channelName();
    symlinkSync(path, `/dev/shm/interproc.${name.slice(1)}`);
    expect(() => Channel.tryOpen(name)).toThrow(systemError('ELOOP', 'shm_open'));
    using memory = SharedMemory.anonymous({ size: 8192 });
    expect(() => Channel.fromFd(memory.fd)).toThrow(code('ERR_INTERPROC_MISMATCH'));
    expect(() => Channel.fromFd(12_345)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });

  it('with a capacity that can not be is corrupt', () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    using memory = bare(name);
    for (const capacity of [0, 1, 100, 8192, 0x8000_0000]) {
      new Uint32Array(memory.buffer)[4] = capacity;
      expect(() => Channel.tryOpen(name)).toThrow(code('ERR_INTERPROC_CORRUPT'));
    }
    expect(channel.capacity).toBe(4096);
  });
});

describe('bad input', () => {
  it.each<[string, (name: string) => unknown, string]>([
    ['no capacity', (name) => Channel.create(name, {} as any), 'ERR_INVALID_ARG_TYPE'],
    ['no options', (name) => (Channel as any).create(name), 'ERR_INVALID_ARG_TYPE'],
    ['a capacity of 0', (name) => Channel.create(name, { capacity: 0 }), 'ERR_OUT_OF_RANGE'],
    ['half a byte', (name) => Channel.create(name, { capacity: 64.5 }), 'ERR_OUT_OF_RANGE'],
    ['more than 1 GiB', (name) => Channel.create(name, { capacity: 2 ** 30 + 1 }), 'ERR_OUT_OF_RANGE'],
    ['a mode of 512', (name) => Channel.create(name, { capacity: 64, mode: 512 }), 'ERR_OUT_OF_RANGE'],
    [
      'persist 1',
      (name) => Channel.create(name, { capacity: 64, persist: 1 as any }),
      'ERR_INVALID_ARG_TYPE',
    ],
    ['no name', () => Channel.create('', { capacity: 64 }), 'ERR_INVALID_ARG_VALUE'],
    ['a folder in the name', () => Channel.create('/a/b', { capacity: 64 }), 'ERR_INVALID_ARG_VALUE'],
    ['a null byte', () => Channel.create('a\0b', { capacity: 64 }), 'ERR_INVALID_ARG_VALUE'],
    ['a name of 300 bytes', () => Channel.create('x'.repeat(300), { capacity: 64 }), 'ENAMETOOLONG'],
    ['a name of 246 bytes', () => Channel.create('x'.repeat(246), { capacity: 64 }), 'ENAMETOOLONG'],
    ['an array', () => Channel.create(['x'] as any, { capacity: 64 }), 'ERR_INVALID_ARG_TYPE'],
    ['an empty path', () => Channel.create({ path: '' }, { capacity: 64 }), 'ERR_INVALID_ARG_VALUE'],
    ['no path', () => Channel.create({} as any, { capacity: 64 }), 'ERR_INVALID_ARG_TYPE'],
    ['a path without folder', () => Channel.create({ path: '/no/such/x' }, { capacity: 64 }), 'ENOENT'],
    ['a descriptor of -1', () => Channel.fromFd(-1), 'ERR_OUT_OF_RANGE'],
    ['a descriptor of text', () => Channel.fromFd('3' as any), 'ERR_INVALID_ARG_TYPE'],
    ['a negative timeout', (name) => Channel.open(name, { timeout: -1 }), 'ERR_OUT_OF_RANGE'],
    ['a signal that is none', (name) => Channel.open(name, { signal: {} as any }), 'ERR_INVALID_ARG_TYPE'],
    ['new', () => new (Channel as any)(), 'ERR_ILLEGAL_CONSTRUCTOR'],
  ])('%s', async (_, call, expected) => {
    expect(await failureOf(() => call(channelName()))).toMatchObject({ code: expected });
  });

  it('to the sender and the receiver', async () => {
    using channel = Channel.anonymous({ capacity: 4096 });
    expect(() => channel.sender({ awaitPeer: 1 as any })).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    );
    const sender: any = channel.sender();
    const receiver: any = channel.receiver();
    for (const data of [undefined, null, 1, {}, [1], Symbol.iterator, 1n]) {
      expect(await failureOf(() => sender.trySend(data))).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
      expect(await failureOf(() => sender.send(data))).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
      expect(await failureOf(() => sender.sendSync(data))).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
      expect(await failureOf(() => sender.sendMany(['x', data]))).toMatchObject({
        code: 'ERR_INVALID_ARG_TYPE',
      });
    }
    for (const call of ['tryClaim', 'claim', 'claimSync']) {
      for (const size of [-1, 0.5, Number.NaN, 2 ** 40])
        expect(await failureOf(() => sender[call](size))).toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
      for (const size of ['1', 5n, Symbol('5'), null, {}])
        expect(await failureOf(() => sender[call](size))).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
    }
    for (const call of ['tryReceiveMany', 'receiveMany', 'receiveManySync'])
      for (const max of [0, -1, 1.5]) {
        expect(await failureOf(() => receiver[call](max))).toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
      }
    for (const call of ['tryDrain', 'drain', 'drainSync']) {
      expect(await failureOf(() => receiver[call]())).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
      for (const limit of [0, -1, 1.5])
        expect(await failureOf(() => receiver[call](() => {}, limit))).toMatchObject({
          code: 'ERR_OUT_OF_RANGE',
        });
    }
    for (const call of ['receive', 'receiveSync'])
      for (const timeout of [-1, Number.NaN]) {
        expect(await failureOf(() => receiver[call]({ timeout }))).toMatchObject({
          code: 'ERR_OUT_OF_RANGE',
        });
      }
    expect(channel.stats()).toMatchObject({ sent: 0, published: 0 });
  });
});

describe('an option whose getter closes what it is for', () => {
  it('ends the call in that error, and nothing is sent', async () => {
    const closed = code('ERR_INTERPROC_CLOSED');
    const closing = <T extends object>(what: { close(): void }, name: string): T =>
      Object.defineProperty({}, name, {
        get() {
          what.close();
          return undefined;
        },
      }) as T;
    const channel = Channel.create(channelName(), { capacity: 4096 });
    const calls: ((sender: Sender) => unknown)[] = [
      (sender) => sender.sendSync('x', closing(sender, 'timeout')),
      (sender) => sender.send('x', closing(sender, 'timeout')),
      (sender) => sender.claimSync(1, closing(sender, 'timeout')),
      (sender) => sender.sendManySync(['x'], closing(sender, 'timeout')),
      (sender) => sender.sendMany(['x'], closing(sender, 'signal')),
      (sender) => sender.drained(closing(sender, 'signal')),
    ];
    for (const call of calls) {
      const sender = channel.sender();
      expect(await failureOf(() => call(sender))).toEqual(closed);
    }
    expect(channel.stats()).toMatchObject({ sent: 0, published: 0 });
    for (const call of ['receiveSync', 'receive'] as const) {
      const receiver = channel.receiver();
      expect(await failureOf(() => receiver[call](closing(receiver, 'timeout')))).toEqual(closed);
    }
    expect(() => channel.sender(closing(channel, 'awaitPeer'))).toThrow(closed);
  });
});

describe('closing', () => {
  it('is idempotent, closes both sides, and every use after it is one clear error', async () => {
    const channel = Channel.anonymous({ capacity: 4096 });
    const sender = channel.sender();
    const receiver = channel.receiver();
    const iterator = receiver[Symbol.asyncIterator]();
    const pending = [receiver.receive(), receiver.drain(() => {})];
    const iterating = iterator.next();
    channel.close();
    channel.close();
    sender.close();
    receiver.close();
    for (const each of pending) await expect(each).rejects.toEqual(code('ERR_INTERPROC_CLOSED'));
    expect(await iterating).toEqual({ done: true, value: undefined });
    expect([channel.closed, sender.closed, receiver.closed]).toEqual([true, true, true]);
    const uses: (() => unknown)[] = [
      () => channel.sender(),
      () => channel.receiver(),
      () => channel.stats(),
      () => channel.participants(),
      () => channel.fd,
      () => channel.linked,
      () => sender.trySend('x'),
      () => sender.send('x'),
      () => sender.sendSync('x'),
      () => sender.sendMany(['x']),
      () => sender.sendManySync(['x']),
      () => sender.tryClaim(1),
      () => sender.claim(1),
      () => sender.claimSync(1),
      () => sender.flush(),
      () => sender.drained(),
      () => sender.peer,
      () => receiver.tryReceive(),
      () => receiver.receive(),
      () => receiver.receiveSync(),
      () => receiver.receiveMany(1),
      () => receiver.tryReceiveMany(1),
      () => receiver.receiveManySync(1),
      () => receiver.tryDrain(() => {}),
      () => receiver.drain(() => {}),
      () => receiver.drainSync(() => {}),
    ];
    for (const use of uses)
      expect(await failureOf(use), String(use)).toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('leaves no descriptor, no mapping and no thread behind, whatever was pending', async () => {
    const before = await holdings();
    const threads = () => readdirSync('/proc/self/task').length;
    const count = threads();
    await (async () => {
      for (let round = 0; round < 20; round++) {
        const name = channelName();
        const channel = Channel.create(name, { capacity: 4096 });
        const same = Channel.openSync(name);
        const ends = [channel.receiver().receive(), same.sender().drained()].map((each) =>
          each.catch(() => {}),
        );
        await new Promise((resolve) => setImmediate(resolve));
        channel.close();
        same.close();
        await Promise.all(ends);
        using anonymous = Channel.anonymous({ capacity: 1 << 16 });
        using again = Channel.fromFd(anonymous.fd);
        again.receiver();
      }
    })();
    await expect.poll(holdings).toEqual(before);
    // Two lanes of waits and the poller of pidfds may stay.
    await expect.poll(threads).toBeLessThanOrEqual(count + 3);
  });

  it('by garbage collection: a handle that is dropped leaves, and its peer is told', async () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    const peer = startPeer(
      `import { setFlagsFromString } from 'node:v8';
       import { runInNewContext } from 'node:vm';
       setFlagsFromString('--expose-gc');
       const gc = runInNewContext('gc');
       (() => { Channel.openSync(args[0]).sender().trySend('accepted'); })();
       let stop = false;
       next().then(() => { stop = true; });
       process.channel.ref();
       while (!stop) { gc(); await new Promise((resolve) => setTimeout(resolve, 1)); }`,
      { args: [name] },
    );
    const receiver = channel.receiver();
    expect((await receiver.receive())?.toString()).toBe('accepted');
    await expect(receiver.receive()).rejects.toEqual(code('ERR_INTERPROC_PEER_DIED'));
    await expect.poll(() => takingPart(channel)).toHaveLength(1);
    peer.send('stop');
    expect(await peer.exited).toMatchObject(clean);
  });

  it('by garbage collection also where it has watched its peer', async () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    channel.sender();
    await (async () => {
      const dropped = Channel.openSync(name);
      const receiver = dropped.receiver();
      await receiver.receive({ timeout: 20 }).catch(() => {}); // expect() would hold on to it
    })();
    expect(channel.stats().timesSlept.receiver).toBeGreaterThan(0);
    await expect
      .poll(async () => {
        await collectGarbage();
        return channel.stats().peers.receiver;
      })
      .toBe('died');
  });

  it('two handles on one channel in one process take part once, and leave one by one', () => {
    const name = channelName();
    using one = Channel.create(name, { capacity: 4096 });
    using two = Channel.openSync(name);
    expect(takingPart(one)).toHaveLength(1);
    const sender = one.sender();
    const receiver = two.receiver();
    one.close();
    expect(inShm(name)).toBe(true);
    expect(sender.closed).toBe(true);
    expect(receiver.tryReceive()).toBeUndefined();
    two.close();
    expect(inShm(name)).toBe(false);
  });
});

describe('limits', () => {
  it('a full /dev/shm is an error that names it, and leaves nothing', async () => {
    if (!isRoot) return;
    const { inNamespaces } = await import('../support/namespaces.js');
    const source = `
      import { readdirSync } from 'node:fs';
      assert.throws(() => Channel.create('big', { capacity: 1 << 24 }), { code: 'ENOSPC', message: /\\/dev\\/shm holds 4194304 bytes.*shm-size/ });
      assert.deepEqual(readdirSync('/dev/shm'), []);
      Channel.create('small', { capacity: 1 << 20 }).close();
      assert.deepEqual(readdirSync('/dev/shm'), []);`;
    const wrapper = inNamespaces(['--mount'], 'mount -t tmpfs -o size=4m tmpfs /dev/shm');
    expect(await runPeer(source, { wrapper })).toMatchObject(clean);
  });

  it('the 49th participant is told so', async () => {
    using channel = Channel.anonymous({ capacity: 64 });
    const source = `
      import { Worker } from 'node:worker_threads';
      import { once } from 'node:events';
      const workers = [];
      for (let count = 0; count < 47; count++) {
        const worker = new Worker(\`
          import { parentPort, workerData } from 'node:worker_threads';
          import { Channel } from 'interproc';
          globalThis.channel = Channel.fromFd(workerData);
          parentPort.once('message', () => {});
          parentPort.postMessage('open');\`, { eval: true, workerData: 4, resourceLimits: { maxYoungGenerationSizeMb: 2 } });
        await once(worker, 'message');
        workers.push(worker);
      }
      const last = new Worker(\`
        import { workerData, parentPort } from 'node:worker_threads';
        import { Channel } from 'interproc';
        try { Channel.fromFd(workerData); } catch (error) { parentPort.postMessage({ code: error.code, message: error.message }); }\`, { eval: true, workerData: 4 });
      const [error] = await once(last, 'message');
      assert.equal(error.code, 'ERR_INTERPROC_BUSY');
      assert.match(error.message, /48 participants/);
      await workers.pop().terminate();
      Channel.fromFd(4).close();
      await Promise.all(workers.map((worker) => worker.terminate()));`;
    expect(await runPeer(source, { fds: [channel.fd] })).toMatchObject(clean);
    expect(takingPart(channel)).toHaveLength(1);
  });

  it.runIf(isRoot)("another user's is EACCES, and with a mode for all it works", async () => {
    const [closed, open] = [channelName(), channelName()];
    using mine = Channel.create(closed, { capacity: 64 });
    using everybodys = Channel.create(open, { capacity: 64, mode: 0o666 });
    using anonymous = Channel.anonymous({ capacity: 64 });
    const source = `${failing}
      becomeNobody();
      fails(() => Channel.tryOpen(args[0]), 'EACCES', 'shm_open', args[0].replace('/', '/interproc.'));
      fails(() => Channel.create(args[0], { capacity: 64 }), 'EEXIST', 'shm_open');
      fails(() => Channel.fromFd(4), 'EACCES', 'open');
      const channel = Channel.openSync(args[1]);
      channel.sender().sendSync('from nobody');
      channel.close();`;
    expect(await runPeer(source, { args: [closed, open], fds: [anonymous.fd] })).toMatchObject(clean);
    expect(everybodys.receiver().tryReceive()?.toString()).toBe('from nobody');
    expect(takingPart(mine)).toHaveLength(1);
  });

  it.runIf(isRoot)("another user's that nobody has open is not replaced: EPERM, and it stays", async () => {
    // In /dev/shm, which is sticky: whoever may write it may not remove it.
    const name = channelName();
    const made = Channel.create(name, { capacity: 64, mode: 0o666, persist: true });
    made.sender().sendSync('kept');
    made.close();
    const source = `${failing}
      becomeNobody();
      const label = args[0].replace('/', '/interproc.');
      fails(() => Channel.create(args[0], { capacity: 64 }), 'EPERM', 'unlink', label);
      fails(() => Channel.unlink(args[0]), 'EPERM', 'shm_unlink', label);`;
    expect(await runPeer(source, { args: [name] })).toMatchObject(clean);
    const there = Channel.openSync(name);
    expect(there.receiver().tryReceive()?.toString()).toBe('kept');
    there.unlink();
    there.close();
  });

  it.runIf(isRoot)('whose name the last who leaves may not remove stays for those who come', async () => {
    const name = channelName();
    const made = Channel.create(name, { capacity: 64, mode: 0o666 });
    const peer = startPeer(
      `${failing}
      becomeNobody();
      const channel = Channel.openSync(args[0]);
      await send('open');
      await next();
      channel.close();
      const again = Channel.openOrCreate(args[0], { capacity: 64 });
      assert.equal(again.created, false);
      again.sender().sendSync('from nobody');
      again.close();`,
      { args: [name] },
    );
    await peer.next();
    made.close();
    peer.send('leave');
    expect(await peer.exited).toMatchObject(clean);
    const there = Channel.create(name, { capacity: 64 });
    expect(there.receiver().tryReceive()).toBe(null);
    there.close();
  });

  it('one that another process truncates gives errors and no crash', () => {
    const path = tempPath();
    const channel = Channel.create({ path }, { capacity: 1 << 16 });
    const sender = channel.sender();
    const receiver = channel.receiver();
    sender.sendSync('x');
    truncateSync(path, 0);
    const truncated = code('ERR_INTERPROC_TRUNCATED');
    expect(() => {
      for (;;) receiver.tryReceive();
    }).toThrow(truncated);
    expect(() => {
      for (;;) sender.sendSync(Buffer.alloc(1000));
    }).toThrow(truncated);
    expect(() => channel.stats()).toThrow(truncated);
    channel.close();
  });

  it('closes also where another process has truncated it under a peer that sleeps', async () => {
    const path = tempPath();
    const peer = startPeer(
      `const channel = Channel.openSync({ path: args[0] });
       const sender = channel.sender();
       while (sender.trySend('x'.repeat(1000)));
       sender.send('x'.repeat(1000)).catch(() => {});
       while (channel.stats().timesSlept.sender === 0) await new Promise(setImmediate);
       await send('asleep');
       await next();
       process.exit();`,
      { args: [path] },
    );
    const channel = Channel.create({ path }, { capacity: 1 << 16 });
    const receiver = channel.receiver();
    expect(await peer.next()).toBe('asleep');
    expect(receiver.tryReceiveMany(3)).toHaveLength(3);
    truncateSync(path, 4096);
    expect(() => receiver.tryReceive()).toThrow(code('ERR_INTERPROC_TRUNCATED'));
    // What it has finished goes back with closing, which would wake the sender.
    receiver.close();
    channel.close();
    expect([receiver.closed, channel.closed]).toEqual([true, true]);
    peer.send('go');
    await peer.exited;
  });

  it('is called by its name in errors, and what it is not by none', () => {
    const name = channelName();
    const channel = Channel.create(name, { capacity: 64 });
    channel.close();
    const closed = (call: () => unknown) =>
      expect(call).toThrow(expect.objectContaining({ message: `The channel '${name}' is closed` }));
    closed(() => channel.stats());
    closed(() => channel.sender());
    closed(() => channel.fd);
    const path = tempPath();
    const truncated = Channel.create({ path }, { capacity: 64 });
    truncateSync(path, 0);
    expect(() => {
      for (;;) truncated.stats();
    }).toThrow(/^The channel '.*' was truncated by another process: the missing bytes read as zeros$/);
    truncated.close();
  });
});

it('features tell that channels work, and how a death is noticed', () => {
  expect(features.channel).toBe(true);
  expect(features.pidfd).toBe(!process.env.INTERPROC_NO_PIDFD);
});
