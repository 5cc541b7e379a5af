/** Names of queues: which queue one leads to, races of processes that make and remove it, and the list of all. */
import { MessageQueue } from 'interproc';
import { describe, expect, it } from 'vitest';
import { systemError } from '../support/failures.js';
import { openDescriptors } from '../support/leaks.js';
import { drain, makeQueue, small } from '../support/message-queues.js';
import { queueName } from '../support/names.js';
import { canMount, canMountQueues, inNamespaces } from '../support/namespaces.js';
import { clean, runPeer, startPeer } from '../support/peer.js';
import { leavesNothingOpen } from '../support/pipes.js';
import { closing } from '../support/sockets.js';

leavesNothingOpen();

describe('a queue', () => {
  it('is linked while its name leads to it, and not to another of that name', async () => {
    const queue = makeQueue();
    const name = queue.name as string;
    const handles = [
      queue,
      closing(MessageQueue.open(name, { readOnly: true })),
      closing(MessageQueue.open(name.slice(1), { writeOnly: true })),
    ];
    const linked = () => handles.map((each) => each.linked);
    expect(linked()).toEqual([true, true, true]);
    MessageQueue.unlink(name);
    expect(linked()).toEqual([false, false, false]);
    const another = closing(MessageQueue.create(name, small));
    expect(linked()).toEqual([false, false, false]);
    expect(another.linked).toBe(true);
    const before = await openDescriptors();
    for (let look = 0; look < 20; look++) linked();
    expect(await openDescriptors()).toEqual(before);
  });

  it('removes its own name, and none that leads elsewhere by now', () => {
    const queue = makeQueue();
    const name = queue.name as string;
    queue.unlink();
    expect(() => queue.unlink()).toThrow(systemError('ENOENT', 'mq_unlink', name));
    const another = closing(MessageQueue.create(name, small));
    expect(() => queue.unlink()).toThrow(systemError('ENOENT', 'mq_unlink', name));
    expect(another.linked).toBe(true);
    another.unlink();
    expect(() => MessageQueue.open(name)).toThrow(systemError('ENOENT', 'mq_open', name));
  });

  it('lives on without a name for those who have it open', async () => {
    const queue = makeQueue();
    const other = closing(MessageQueue.open(queue.name as string));
    const received = other.receive();
    queue.unlink();
    queue.trySend('x');
    expect(String((await received).data)).toBe('x');
  });

  it('tells who made it', () => {
    const name = queueName();
    const first = closing(MessageQueue.openOrCreate(name, small));
    const second = closing(MessageQueue.openOrCreate(name, { maxMessages: 1, messageSize: 1 }));
    const third = closing(MessageQueue.open(name));
    expect([first.created, second.created, third.created]).toEqual([true, false, false]);
    expect(second.attributes()).toMatchObject(small);
    expect([first.name, closing(MessageQueue.open(name.slice(1))).name]).toEqual([name, name]);
  });
});

describe('processes that race for a name', () => {
  it('open or create one queue: one makes it, and what each sends is in it', async () => {
    const rounds = 60;
    const names = Array.from({ length: rounds }, queueName);
    const madeHere: string[] = [];
    const source = `
      const [names, own] = args;
      const made = [];
      for (const name of names) {
        await send('ready');
        await next();
        const queue = MessageQueue.openOrCreate(name, { maxMessages: 4, messageSize: 8 });
        queue.sendSync(own);
        if (queue.created) made.push(name);
        queue.close();
      }
      await send(made);`;
    const peers = ['a', 'b', 'c', 'd'].map((own) => startPeer(source, { args: [names, own] }));
    for (const name of names) {
      for (const peer of peers) expect(await peer.next()).toBe('ready');
      for (const peer of peers) peer.send('go');
      const queue = MessageQueue.openOrCreate(name, { maxMessages: 4, messageSize: 8 });
      const got: string[] = [];
      while (got.length < 4) got.push(String((await queue.receive()).data));
      expect(got.sort()).toEqual(['a', 'b', 'c', 'd']);
      queue.close();
      if (queue.created) madeHere.push(name);
    }
    const made = await Promise.all(peers.map((peer) => peer.next()));
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    expect([...made.flat(), ...madeHere].sort()).toEqual([...names].sort());
  });

  it('and unlink it meanwhile get a queue each time, and remove none twice', async () => {
    const name = queueName();
    const source = `
      const [name, own] = args;
      let removed = 0, made = 0;
      await send('ready');
      await next();
      for (let round = 0; round < 400; round++) {
        const queue = MessageQueue.openOrCreate(name, { maxMessages: 10, messageSize: 8 });
        if (queue.created) made++;
        queue.trySend(own);
        try {
          MessageQueue.unlink(name);
          removed++;
        } catch (error) {
          if (error.code !== 'ENOENT') throw error;
        }
        queue.close();
      }
      await send([made, removed]);`;
    const peers = ['a', 'b', 'c'].map((own) => startPeer(source, { args: [name, own] }));
    for (const peer of peers) expect(await peer.next()).toBe('ready');
    for (const peer of peers) peer.send('go');
    const counts: [number, number][] = await Promise.all(peers.map((peer) => peer.next()));
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    const sum = (index: 0 | 1) => counts.reduce((total, each) => total + each[index], 0);
    expect(sum(0)).toBe(sum(1));
    expect(sum(0)).toBeGreaterThanOrEqual(400);
    expect(() => MessageQueue.open(name)).toThrow(systemError('ENOENT', 'mq_open', name));
  });
});

describe('list', () => {
  const ownQueues = (where = '/dev/shm') =>
    inNamespaces(['--ipc', '--mount'], `mkdir -p '${where}'; mount -t mqueue mqueue '${where}'`);

  it.skipIf(!canMountQueues)(
    'has every queue of the namespace, with what is in it and who is told of it',
    async () => {
      const source = `
      assert.deepEqual(MessageQueue.list(), []);
      const one = MessageQueue.create('one', { mode: 0o640 });
      const other = MessageQueue.create('other, with spaces: QSIZE:7', { maxMessages: 2, messageSize: 8 });
      one.trySend('12345');
      one.trySend('678');
      const noticed = other.notifications().next();
      const { uid, gid } = one.stat();
      const all = () => MessageQueue.list().sort((a, b) => (a.name < b.name ? -1 : 1));
      const first = { name: '/one', bytes: 8, mode: 0o640, uid, gid, notifyPid: null };
      assert.deepEqual(all(), [
        first,
        { name: '/other, with spaces: QSIZE:7', bytes: 0, mode: 0o600, uid, gid, notifyPid: process.pid },
      ]);
      // Looking has harmed no registration.
      other.trySend('x');
      assert.equal((await noticed).value, 1);
      other.unlink();
      assert.deepEqual(all(), [first]);
      one.unlink();
      assert.deepEqual(all(), []);`;
      expect(await runPeer(source, { wrapper: ownQueues() })).toMatchObject(clean);
    },
  );

  it.skipIf(!canMountQueues || process.getuid?.() !== 0)(
    'tells of queues that one may not look into that they are there',
    async () => {
      const source = `
        MessageQueue.create('secret', { maxMessages: 2, messageSize: 8 }).trySend('x');
        MessageQueue.create('open to all', { maxMessages: 2, messageSize: 8, mode: 0o644 }).trySend('x');
        process.setgroups([]);
        process.setgid(65534);
        process.setuid(65534);
        const all = MessageQueue.list().sort((a, b) => (a.name < b.name ? -1 : 1));
        assert.deepEqual(all.map(({ name, bytes, uid }) => [name, bytes, uid]), [['/open to all', 1, 0], ['/secret', null, 0]]);`;
      expect(await runPeer(source, { wrapper: ownQueues() })).toMatchObject(clean);
    },
  );

  it.skipIf(!canMountQueues)('finds the file system wherever it is mounted', async () => {
    const source = `
      MessageQueue.create('there', { maxMessages: 2, messageSize: 8 });
      assert.deepEqual(MessageQueue.list().map(({ name }) => name), ['/there']);`;
    const wrapper = inNamespaces(
      ['--ipc', '--mount'],
      "umount -a -t mqueue || true; mount -t tmpfs tmpfs /dev/shm; mkdir '/dev/shm/a b'; mount -t mqueue mqueue '/dev/shm/a b'",
    );
    expect(await runPeer(source, { wrapper })).toMatchObject(clean);
  });

  it.skipIf(!canMountQueues)('is not disturbed by queues that go while it looks', async () => {
    const source = `
      import fs from 'node:fs';
      import { syncBuiltinESMExports } from 'node:module';
      for (const name of ['goes', 'goes, too', 'stays']) MessageQueue.create(name, { maxMessages: 1, messageSize: 8 });
      // Between its steps: after the names, and before it looks into one.
      const { readdirSync, readFileSync } = fs;
      fs.readdirSync = (...args) => {
        const names = readdirSync(...args);
        MessageQueue.unlink('goes');
        return names;
      };
      fs.readFileSync = (path, ...args) => {
        if (path.endsWith('goes, too')) MessageQueue.unlink('goes, too');
        return readFileSync(path, ...args);
      };
      syncBuiltinESMExports();
      assert.deepEqual(MessageQueue.list().map(({ name }) => name), ['/stays']);`;
    expect(await runPeer(source, { wrapper: ownQueues() })).toMatchObject(clean);
  });

  it.skipIf(!canMount)('says what is missing where the file system is not mounted', async () => {
    const source = `
      assert.throws(() => MessageQueue.list(), {
        name: 'IpcError',
        code: 'ERR_INTERPROC_UNSUPPORTED',
        message: /mount -t mqueue none \\/dev\\/mqueue/,
      });`;
    const wrapper = inNamespaces(['--mount'], 'umount -a -t mqueue || true');
    expect(await runPeer(source, { wrapper })).toMatchObject(clean);
  });
});

it('messages of a queue that was removed are gone with it', () => {
  const queue = makeQueue();
  queue.trySend('gone');
  queue.unlink();
  queue.close();
  const again = closing(MessageQueue.create(queue.name as string, small));
  expect(drain(again)).toEqual([]);
});
