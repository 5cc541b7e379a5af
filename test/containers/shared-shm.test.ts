/**
 * Containers that share nothing but /dev/shm. In each the program is process 1, so that pids tell nothing: who is alive,
 * and who has died, is known all the same.
 */
import { describe, expect, it } from 'vitest';
import { failing } from '../support/failures.js';
import {
  type ContainerOptions,
  canContain,
  canContainRootless,
  killContainer,
  startPod,
} from '../support/namespaces.js';
import { clean, type Exit, type Peer, startPeer } from '../support/peer.js';

/** How two containers are run, and with which mode they share what they make. */
interface Pair {
  name: string;
  can: boolean;
  options: [ContainerOptions, ContainerOptions];
  mode: number;
}

const pairs: Pair[] = [
  { name: 'of one user', can: canContain, options: [{ uid: 65534 }, { uid: 65534 }], mode: 0o600 },
  { name: 'of two users', can: canContain, options: [{ uid: 20_001 }, { uid: 20_002 }], mode: 0o666 },
  {
    name: 'of two users, each in a user namespace',
    can: canContainRootless,
    options: [
      { uid: 20_001, rootless: true },
      { uid: 20_002, rootless: true },
    ],
    mode: 0o666,
  },
];

const head = `${failing}
  const [mode, ...rest] = args;
  const isInit = process.pid === 1;
  const until = async (holds) => { while (!(await holds())) await new Promise((later) => setTimeout(later, 1)); };
  const ways = { mode, capacity: 4096 };`;

/** Two containers, each with its program, and what starts another one in the place of one that has ended. */
async function containers(pair: Pair, sources: [string, string], more: ContainerOptions = {}) {
  const pod = await startPod();
  const start = (which: 0 | 1, source: string): Peer =>
    startPeer(head + source, {
      args: [pair.mode],
      wrapper: pod.container({ ...pair.options[which], ...more }),
    });
  return { first: start(0, sources[0]), second: start(1, sources[1]), start };
}

const endOf = ({ code, signal, stderr }: Exit) => ({ code, signal, stderr });

/** Sends numbers, on from where its predecessor stopped. */
const counting = `
  const sender = Channel.openSync('numbers').sender({ awaitPeer: true });
  const start = sender.predecessorPublished;
  const last = await Promise.race([next(), (async () => {
    for (let number = start; ; number++) {
      await sender.send(String(number));
      if (number !== start + 1000) continue;
      sender.flush();
      send('sends');
    }
  })()]);`;

describe.each(pairs)('two containers $name', (pair) => {
  it.skipIf(!pair.can)('send each other messages, and close', async () => {
    const { first, second } = await containers(pair, [
      `const there = Channel.create('there', ways);
        const back = Channel.create('back', ways);
        send('made');
        const sender = there.sender();
        const receiver = back.receiver();
        const answers = (async () => {
          const numbers = [];
          for await (const message of receiver) numbers.push(Number(message));
          return numbers;
        })();
        for (let number = 0; number < 5000; number++) await sender.send(String(number));
        sender.close();
        assert.deepEqual(await answers, Array.from({ length: 5000 }, (_, number) => 2 * number));
        assert.deepEqual([receiver.peer, back.stats().peers], ['closed', { sender: 'closed', receiver: 'alive' }]);`,
      `await next();
        const receiver = Channel.openSync('there').receiver();
        const sender = Channel.openSync('back').sender();
        for await (const message of receiver) await sender.send(String(2 * Number(message)));
        sender.close();
        await next();`,
    ]);
    expect(await first.next()).toBe('made');
    second.send('made');
    expect(endOf(await first.exited)).toEqual(clean);
    second.send('end');
    expect(endOf(await second.exited)).toEqual(clean);
  });

  it.skipIf(!pair.can)('sleep on words of a memory, and wake each other', async () => {
    const { first, second } = await containers(pair, [
      `const memory = SharedMemory.create('words', { size: 4096, mode });
        const words = new Int32Array(memory.buffer);
        send('made');
        for (let turn = 1; turn < 200; turn += 2) {
          Atomics.store(words, 0, turn);
          wake(memory, 0);
          // Again: a wake-up of the turn before may come late.
          while (Atomics.load(words, 0) === turn) await waitOn(memory, 0, turn);
          assert.equal(Atomics.load(words, 0), turn + 1);
        }`,
      `await next();
        const memory = SharedMemory.open('words');
        const words = new Int32Array(memory.buffer);
        for (let turn = 0; turn < 199; turn += 2) {
          while (Atomics.load(words, 0) === turn) waitOnSync(memory, 0, turn);
          Atomics.store(words, 0, turn + 2);
          wake(memory, 0);
        }`,
    ]);
    expect(await first.next()).toBe('made');
    second.send('made');
    expect(endOf(await first.exited)).toEqual(clean);
    expect(endOf(await second.exited)).toEqual(clean);
  });

  it.skipIf(!pair.can)('take turns at a mutex, and at a semaphore', async () => {
    const work = `
      const mutex = Mutex.at(memory, 64);
      const words = new Int32Array(memory.buffer);
      const step = () => { const seen = words[0]; for (let at = 0; at < 50; at++); words[0] = seen + 1; };
      for (let count = 0; count < 500; count++) {
        const guard = count % 2 ? mutex.lockSync() : await mutex.lock();
        step();
        guard.unlock();
      }
      const step2 = () => { const seen = words[1]; for (let at = 0; at < 50; at++); words[1] = seen + 1; };
      for (let count = 0; count < 500; count++) {
        if (count % 2) semaphore.acquireSync();
        else await semaphore.acquire();
        step2();
        semaphore.release();
      }`;
    const { first, second } = await containers(pair, [
      `const memory = SharedMemory.create('counts', { size: 4096, mode });
        const semaphore = Semaphore.create('turns', { initial: 1, mode });
        send('made');
        ${work}
        send('done');
        await next();
        assert.deepEqual([...words.subarray(0, 2)], [1000, 1000]);`,
      `await next();
        const memory = SharedMemory.open('counts');
        const semaphore = Semaphore.open('turns');
        ${work}`,
    ]);
    expect(await first.next()).toBe('made');
    second.send('made');
    expect(await first.next()).toBe('done');
    expect(endOf(await second.exited)).toEqual(clean);
    first.send('look');
    expect(endOf(await first.exited)).toEqual(clean);
  });

  it.skipIf(!pair.can)('never take one for the other, though each is process 1 of its own', async () => {
    const { first, second } = await containers(pair, [
      `const channel = Channel.create('who', ways);
        const memory = SharedMemory.create('lock', { size: 4096, mode });
        channel.receiver();
        send('made');
        await next();
        const mutex = Mutex.at(memory, 0);
        assert.deepEqual(mutex.holder, { pid: null, alive: true });
        const lock = RwLock.at(memory, 64);
        assert.deepEqual(lock.writer, { pid: null, alive: true });
        const guard = Mutex.at(memory, 1024).lockSync();
        assert.deepEqual(Mutex.at(memory, 1024).holder, { pid: 1, alive: true });
        const [me, other] = channel.participants();
        assert.deepEqual([me.pid, me.thread, me.elsewhere, me.roles], [1, 1, null, ['receiver']]);
        const { pid, thread, elsewhere, roles } = other;
        assert.deepEqual([pid, thread, roles], [null, null, ['sender']]);
        assert.deepEqual({ ...elsewhere, pidNamespace: 0 }, { pidNamespace: 0, pid: 1, thread: 1 });
        assert.throws(() => channel.sender(), {
          code: 'ERR_INTERPROC_BUSY',
          message: "The channel '/who' has a living sender, in process 1 (thread 1) of another pid namespace, " +
            elsewhere.pidNamespace,
        });
        send(elsewhere.pidNamespace);
        await next();`,
      `await next();
        const channel = Channel.openSync('who');
        const memory = SharedMemory.open('lock');
        channel.sender();
        const guards = [Mutex.at(memory, 0).lockSync(), RwLock.at(memory, 64).writeSync()];
        send(Number(/\\d+/.exec(readlinkSync('/proc/self/ns/pid'))[0]));
        await next();`,
    ]);
    expect(await first.next()).toBe('made');
    second.send('made');
    const pidNamespace = await second.next();
    first.send('look');
    expect(await first.next()).toBe(pidNamespace);
    for (const peer of [first, second]) {
      peer.send('end');
      expect(endOf(await peer.exited)).toEqual(clean);
    }
  });

  const dying = `
    await next();
    const receiver = Channel.openSync('from-survivor').receiver();
    const sender = Channel.openSync('to-survivor').sender();
    const memory = SharedMemory.open('locks');
    sender.sendSync('last words');
    const guards = [Mutex.at(memory, 0).lockSync(), RwLock.at(memory, 64).writeSync()];
    const barrier = Barrier.at(memory, 1024, { parties: 2 });
    send({ holds: true, isInit });
    await next();`;

  const surviving = `
    const out = Channel.create('from-survivor', ways);
    const into = Channel.create('to-survivor', ways);
    const memory = SharedMemory.create('locks', { size: 4096, mode });
    const mutex = Mutex.at(memory, 0);
    const lock = RwLock.at(memory, 64);
    const barrier = Barrier.at(memory, 1024, { parties: 2 });
    send('made');
    await next();
    const sender = out.sender();
    const receiver = into.receiver();
    assert.deepEqual([sender.peer, receiver.peer, mutex.holder.alive], ['alive', 'alive', true]);
    assert.equal(String(await receiver.receive()), 'last words');
    while (sender.trySend('too much'));
    const outcome = (promise) => promise.then((value) => value.abandoned ?? value, (error) => error.code);
    const all = Promise.all([receiver.receive(), sender.send('more'), mutex.lock(), lock.write(), barrier.wait()].map(outcome));
    send('waits');
    const died = 'ERR_INTERPROC_PEER_DIED';
    assert.deepEqual(await all, [died, died, true, true, 'ERR_INTERPROC_BROKEN']);
    assert.deepEqual([sender.peer, receiver.peer], ['died', 'died']);
    assert.deepEqual(out.stats().peers, { sender: 'alive', receiver: 'died' });
    assert.deepEqual([out, into].map((channel) => channel.participants().length), [1, 1]);`;

  it.skipIf(!pair.can).each([
    { what: 'the other', init: false },
    { what: 'process 1 of the other, a shell,', init: true },
  ])('notice that $what was killed, whatever they wait for', async ({ init }) => {
    const { first, second } = await containers(pair, [surviving, dying], { init });
    expect(await first.next()).toBe('made');
    second.send('made');
    expect(await second.next()).toEqual({ holds: true, isInit: !init });
    first.send('wait');
    expect(await first.next()).toBe('waits');
    await killContainer(second);
    expect(endOf(await first.exited)).toEqual(clean);
  });

  it.skipIf(!pair.can)(
    'go on after one was killed in the middle of sending: nothing is lost, torn or repeated',
    async () => {
      const { first, second, start } = await containers(pair, [
        `const receiver = Channel.create('numbers', ways).receiver({ awaitPeer: true });
      send('made');
      let count = 0;
      for await (const message of receiver) {
        if (String(message) === 'end') break;
        assert.equal(Number(message), count);
        count++;
      }
      send(count);
      await next();`,
        `await next();${counting}`,
      ]);
      expect(await first.next()).toBe('made');
      second.send('made');
      let sender = second;
      for (let kills = 0; kills < 2; kills++) {
        expect(await sender.next()).toBe('sends');
        await killContainer(sender);
        sender = start(1, counting);
      }
      expect(await sender.next()).toBe('sends');
      await killContainer(sender);
      const successor = start(
        1,
        `const sender = Channel.openSync('numbers').sender();
      await sender.send('end');
      await sender.flush();
      send(sender.predecessorPublished);
      await next();`,
      );
      const published = await successor.next();
      expect(published).toBeGreaterThan(3000);
      expect(await first.next()).toBe(published);
      for (const peer of [successor, first]) {
        peer.send('end');
        expect(endOf(await peer.exited)).toEqual(clean);
      }
    },
  );

  it.skipIf(!pair.can)(
    'go on after one was killed in the middle of receiving: what it had in hand comes again',
    async () => {
      const receiving = `
      const receiver = Channel.openSync('numbers').receiver();
      let expected;
      for await (const message of receiver) {
        const number = Number(message);
        if (expected !== undefined) assert.equal(number, expected);
        else send({ first: number, received: receiver.received, redelivered: receiver.redelivered });
        expected = number + 1;
        if (receiver.received % 1000 === 0) send('receives');
      }`;
      const { first, second, start } = await containers(pair, [
        `const sender = Channel.create('numbers', ways).sender({ awaitPeer: true });
      send('made');
      const stop = next();
      let stopped = false;
      stop.then(() => { stopped = true; });
      for (let number = 0; !stopped; number++) await sender.send(String(number));
      await sender.drained();
      sender.close();
      await next();`,
        `await next();${receiving}`,
      ]);
      expect(await first.next()).toBe('made');
      second.send('made');
      let receiver = second;
      for (let kills = 0; kills < 2; kills++) {
        const { first: number, received } = await receiver.next();
        expect(number).toBe(received);
        expect(await receiver.next()).toBe('receives');
        await killContainer(receiver);
        receiver = start(1, receiving);
      }
      await receiver.next();
      first.send('stop');
      expect(endOf(await receiver.exited)).toEqual(clean);
      first.send('end');
      expect(endOf(await first.exited)).toEqual(clean);
    },
  );

  it.skipIf(!pair.can)('know a restarted one, of the same pid, from the one before', async () => {
    const { first, second, start } = await containers(pair, [
      `const channel = Channel.create('who', ways);
      const memory = SharedMemory.create('lock', { size: 4096, mode });
      const receiver = channel.receiver({ awaitPeer: true });
      const mutex = Mutex.at(memory, 0);
      send('made');
      const received = [];
      for await (const message of receiver) {
        received.push(String(message));
        if (received.length === 1) send('received');
        if (received.length !== 2) continue;
        // The one before had it: that somebody of the same pid lives makes nobody take him for the holder.
        assert.deepEqual(mutex.holder, { pid: null, alive: false });
        assert.equal(channel.participants().length, 2);
      }
      assert.deepEqual(received, ['one', 'two', 'three']);
      assert.equal((await mutex.lock()).abandoned, true);`,
      `await next();
      const guard = Mutex.at(SharedMemory.open('lock'), 0).lockSync();
      const sender = Channel.openSync('who').sender();
      await sender.send('one');
      await sender.flush();
      await next();`,
    ]);
    expect(await first.next()).toBe('made');
    second.send('made');
    expect(await first.next()).toBe('received');
    await killContainer(second);
    const successor = start(
      1,
      `const sender = Channel.openSync('who').sender();
      assert.equal(sender.predecessorPublished, 1);
      await sender.send('two');
      await sender.drained();
      await sender.send('three');
      sender.close();`,
    );
    expect(endOf(await successor.exited)).toEqual(clean);
    expect(endOf(await first.exited)).toEqual(clean);
  });
});

describe('what the container of another user has left', () => {
  const left = `
    Channel.create('left', ways);
    Channel.create('private', { capacity: 64 });
    SharedMemory.create('memory', { size: 4096, mode });
    Semaphore.create('turns', { initial: 1, mode });
    send('made');
    await next();`;
  const sticky = 'only its owner may remove what lies in a folder with the sticky bit, such as .dev.shm';

  it.skipIf(!canContain)('is of use as far as its mode goes, and is his to remove', async () => {
    const pair = pairs[1] as Pair;
    const { first, second, start } = await containers(pair, [
      left,
      `await next();
      const refused = (call, code, syscall, path) => fails(call, code, syscall, path, /: ${sticky}$/);
      refused(() => Channel.create('left', ways), 'EPERM', 'unlink', '/interproc.left');
      refused(() => Channel.unlink('left'), 'EPERM', 'shm_unlink', '/interproc.left');
      refused(() => SharedMemory.unlink('memory'), 'EPERM', 'shm_unlink', '/memory');
      refused(() => Semaphore.unlink('turns'), 'EPERM', 'sem_unlink', '/turns');
      fails(() => Channel.create('private', ways), 'EEXIST', 'shm_open', '/interproc.private');
      fails(() => Channel.openSync('private'), 'EACCES', 'shm_open', '/interproc.private',
        /: it belongs to user 20001 and group 20001, with mode 0600, and this process is of user 20002 and group 20002$/);
      for (let count = 0; count < 2; count++) {
        // The last one who leaves can't remove the name: what has it is open to the next one.
        const channel = Channel.openOrCreate('left', ways);
        assert.deepEqual([channel.created, channel.participants().length], [false, 1]);
        channel.sender().sendSync('works');
        assert.equal(String(channel.receiver().receiveSync()), 'works');
        channel.close();
      }
      send('went on');
      await next();`,
    ]);
    expect(await first.next()).toBe('made');
    await killContainer(first);
    second.send('made');
    expect(await second.next()).toBe('went on');
    const again = start(
      0,
      `assert.equal(Channel.openOrCreate('left', ways).created, false);
      assert.deepEqual(Channel.list().map(({ name, participants }) => [name, participants]).sort(), [['/left', 1], ['/private', 0]]);
      Channel.create('private', ways).close();
      assert.deepEqual(Channel.list().map(({ name }) => name), ['/left']);
      for (const [kind, name] of [[SharedMemory, 'memory'], [Semaphore, 'turns']]) kind.unlink(name);`,
    );
    expect(endOf(await again.exited)).toEqual(clean);
    second.send('end');
    expect(endOf(await second.exited)).toEqual(clean);
  });
});
