/** How one side fares when the other ends, in every way that it can end, and what a successor finds. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Channel } from 'interproc';
import { describe, expect, it } from 'vitest';
import { channelName } from '../support/names.js';
import { canMount, isRoot } from '../support/namespaces.js';
import { takingPart } from '../support/participants.js';
import { clean, runPeer, startPeer } from '../support/peer.js';

const code = (expected: string) => expect.objectContaining({ name: 'IpcError', code: expected });
const died = code('ERR_INTERPROC_PEER_DIED');

/** How a peer ends without closing: what its script does last. SIGKILL comes from here. */
const endings: [string, string, object][] = [
  ['SIGKILL', 'await next();', { signal: 'SIGKILL' }],
  ['a crash', 'process.abort();', { signal: 'SIGABRT' }],
  ['an uncaught exception', "process.stderr.write = () => {}; throw new Error('bug');", { code: 1 }],
  ['process.exit(3)', 'process.exit(3);', { code: 3 }],
  [
    'exec',
    "process.execve ? process.execve('/bin/true', ['true'], {}) : process.kill(process.pid, 'SIGKILL');",
    {},
  ],
];

describe('roles', () => {
  it('have one living owner: a second is told who it is', async () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    const sender = channel.sender();
    using other = Channel.openSync(name);
    const busy = expect.objectContaining({
      code: 'ERR_INTERPROC_BUSY',
      message: `The channel '${name}' has a living sender, in process ${process.pid} (thread ${process.pid})`,
    });
    expect(() => channel.sender()).toThrow(busy);
    expect(() => other.sender()).toThrow(busy);
    const source = `
      const channel = Channel.openSync(args[0]);
      assert.throws(() => channel.sender(), { code: 'ERR_INTERPROC_BUSY', message: new RegExp('process ' + args[1]) });
      channel.receiver();
      await send('receiving');
      await next();`;
    const peer = startPeer(source, { args: [name, process.pid] });
    await peer.next();
    expect(() => channel.receiver()).toThrow(code('ERR_INTERPROC_BUSY'));
    expect([sender.peer, channel.stats().peers]).toEqual(['alive', { sender: 'alive', receiver: 'alive' }]);
    peer.send('end');
    expect(await peer.exited).toMatchObject(clean);
    expect(sender.peer).toBe('closed');
    sender.close();
    other.sender().close();
    channel.sender();
  });

  it('can be taken by one of many who want it', async () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    const source = `
      const channel = Channel.openSync(args[0]);
      await send('open');
      await next();
      let won = false;
      try { channel.sender(); won = true; } catch (error) { assert.equal(error.code, 'ERR_INTERPROC_BUSY'); }
      await send(won);
      await next();`;
    const peers = Array.from({ length: 4 }, () => startPeer(source, { args: [name] }));
    for (const peer of peers) await peer.next();
    for (const peer of peers) peer.send('go');
    const results = await Promise.all(peers.map((peer) => peer.next()));
    expect(results.filter(Boolean)).toHaveLength(1);
    for (const peer of peers) peer.send('end');
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    expect(takingPart(channel)).toHaveLength(1);
  });
});

describe('a sender that ends without closing', () => {
  it.each(endings)('by %s: what it published comes, and then PEER_DIED', async (_, ending, exit) => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    const peer = startPeer(
      `const sender = Channel.openSync(args[0]).sender();
       sender.sendManySync(['a', 'b']);
       await send('sent');
       ${ending}`,
      { args: [name] },
    );
    await peer.next();
    if (ending.startsWith('await next')) peer.process.kill('SIGKILL');
    const receiver = channel.receiver();
    expect((await receiver.receive())?.toString()).toBe('a');
    expect((await receiver.receive())?.toString()).toBe('b');
    await expect(receiver.receive()).rejects.toEqual(died);
    expect(() => receiver.receiveSync()).toThrow(died);
    await expect(receiver.drain(() => {})).rejects.toEqual(died);
    await expect(receiver.receiveMany(2)).rejects.toEqual(died);
    await expect(async () => {
      for await (const message of receiver) expect.fail(`${message}`);
    }).rejects.toEqual(died);
    expect([receiver.peer, receiver.tryReceive()]).toEqual(['died', null]);
    expect(await peer.exited).toMatchObject(exit);
  });

  it('is noticed by who sleeps, awaiting and blocking', async () => {
    for (const how of [
      'await receiver.receive()',
      'receiver.receiveSync()',
      'await receiver.drain(() => {})',
    ]) {
      const name = channelName();
      using channel = Channel.create(name, { capacity: 4096 });
      const victim = startPeer(
        `hold(Channel.openSync(args[0]).sender()); await send('sending'); await next();`,
        { args: [name] },
      );
      await victim.next();
      const waiting = startPeer(
        `const receiver = Channel.openSync(args[0]).receiver();
         await send('waiting');
         try { ${how}; } catch (error) { assert.equal(error.code, 'ERR_INTERPROC_PEER_DIED'); process.exit(9); }`,
        { args: [name] },
      );
      await waiting.next();
      await expect.poll(() => channel.stats().timesSlept.receiver).toBeGreaterThan(0);
      victim.process.kill('SIGKILL');
      expect(await waiting.exited).toMatchObject({ code: 9, stderr: '' });
    }
  });

  it('with awaitPeer its successor is waited for, and the stream goes on', async () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    const receiver = channel.receiver({ awaitPeer: true });
    const source = `const sender = Channel.openSync(args[0]).sender();
      await send(sender.predecessorPublished);
      sender.sendManySync([args[1], args[1]]);
      sender.tryClaim(100); // an uncommitted claim vanishes
      await send('sent');
      await next();
      sender.close();`;
    const texts: string[] = [];
    const all = (async () => {
      for await (const message of receiver) texts.push(`${message}`);
    })();
    for (let round = 0; round < 4; round++) {
      const peer = startPeer(source, { args: [name, `${round}`] });
      expect(await peer.next()).toBe(round * 2);
      await peer.next();
      await expect.poll(() => texts).toHaveLength(2 * round + 2);
      if (round < 3) peer.process.kill('SIGKILL');
      else peer.send('close');
      await peer.exited;
    }
    await all;
    expect(texts).toEqual(['0', '0', '1', '1', '2', '2', '3', '3']);
  });

  it('that was terminated as a worker is noticed, and another can take its place', async () => {
    using channel = Channel.anonymous({ capacity: 4096 });
    const receiver = channel.receiver();
    for (let round = 0; round < 3; round++) {
      const worker = new Worker(
        `import { parentPort, workerData } from 'node:worker_threads';
         import { Channel } from 'interproc';
         const channel = Channel.fromFd(workerData);
         const sender = channel.sender();
         sender.sendSync('from ' + sender.predecessorPublished);
         parentPort.once('message', () => {});
         parentPort.postMessage('sent');`,
        { eval: true, workerData: channel.fd },
      );
      await once(worker, 'message');
      expect((await receiver.receive())?.toString()).toBe(`from ${round}`);
      const waiting = expect(receiver.receive()).rejects.toEqual(died);
      expect(takingPart(channel)).toHaveLength(2);
      await worker.terminate();
      await waiting;
      expect(takingPart(channel)).toHaveLength(1);
    }
  });
});

describe('a receiver that ends without closing', () => {
  it.each(endings)('by %s: PEER_DIED once the ring is full', async (_, ending, exit) => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 64 });
    const peer = startPeer(`Channel.openSync(args[0]).receiver(); await send('receiving'); ${ending}`, {
      args: [name],
    });
    await peer.next();
    const sender = channel.sender();
    while (sender.trySend('12345678'));
    const waiting = expect(sender.send('x'.repeat(20))).rejects.toEqual(died);
    if (ending.startsWith('await next')) peer.process.kill('SIGKILL');
    await waiting;
    await expect(sender.claim(20)).rejects.toEqual(died);
    await expect(sender.drained()).rejects.toEqual(died);
    expect(() => sender.sendSync('x'.repeat(20))).toThrow(died);
    expect(() => sender.claimSync(20)).toThrow(died);
    await expect(sender.sendMany(['1', '2'])).rejects.toMatchObject({
      code: 'ERR_INTERPROC_PEER_DIED',
      sent: 0,
    });
    expect([sender.peer, sender.trySend('x'.repeat(20)), sender.tryClaim(20)]).toEqual(['died', false, null]);
    expect(await peer.exited).toMatchObject(exit);
    // What is in the ring is still there for a successor.
    expect(channel.receiver().tryReceive()?.toString()).toBe('12345678');
  });

  it('while a claim was open: who waits behind it is told once it is committed', async () => {
    const channel = Channel.anonymous({ capacity: 64 });
    const peer = startPeer(`Channel.fromFd(4).receiver(); await send('receiving'); await next();`, {
      fds: [channel.fd],
    });
    await peer.next();
    const sender = channel.sender();
    for (let each = 0; each < 3; each++) sender.trySend('12345678');
    const slot = sender.claimSync(8);
    const waiting = expect(sender.send('12345678')).rejects.toEqual(died);
    peer.process.kill('SIGKILL');
    await peer.exited;
    await expect.poll(() => channel.stats().timesSlept.sender).toBeGreaterThan(0);
    expect(sender.peer).toBe('died');
    await new Promise((resolve) => setImmediate(resolve));
    slot.commit();
    await waiting;
    channel.close();
  });

  it('with awaitPeer its successor is waited for, also asleep and blocking', async () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 64 });
    const source = `const receiver = Channel.openSync(args[0]).receiver(); await send('receiving'); await next(); await receiver.receive(); await receiver.receive();`;
    const first = startPeer(source, { args: [name] });
    await first.next();
    const sender = channel.sender({ awaitPeer: true });
    while (sender.trySend('12345678'));
    const waiting = sender.send('after');
    first.process.kill('SIGKILL');
    await first.exited;
    await expect(sender.send('never', { timeout: 5 })).rejects.toEqual(code('ETIMEDOUT'));
    const second = startPeer(source, { args: [name] });
    await second.next();
    second.send('go');
    await waiting;
    await second.exited;
  });

  it('what it had finished does not come again; what it had in hand does, flagged', async () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    const sender = channel.sender();
    sender.sendManySync(Array.from({ length: 20 }, (_, at) => `${at}`));
    const victim = async (take: string) => {
      const peer = startPeer(
        `const receiver = Channel.openSync(args[0]).receiver();
         const redelivered = [];
         ${take}
         await send({ redelivered, received: receiver.received });
         await next();`,
        { args: [name] },
      );
      const told = await peer.next();
      peer.process.kill('SIGKILL');
      await peer.exited;
      return told;
    };
    // 0 and 1 finished, 2 in hand.
    expect(
      await victim(
        `for (let each = 0; each < 3; each++) { await receiver.receive(); redelivered.push(receiver.redelivered); }`,
      ),
    ).toEqual({ redelivered: [0, 0, 0], received: 2 });
    // 2 again, then 3 to 5 finished by a drain, 6 to 8 in hand at once.
    expect(
      await victim(`receiver.tryDrain((message) => redelivered.push(message.toString() + message.redelivered), 4);
        receiver.tryReceiveMany(3);
        redelivered.push(receiver.redelivered);`),
    ).toEqual({ redelivered: ['2true', '3false', '4false', '5false', 0], received: 6 });
    // 6 in hand a second time; 7 and 8 stay flagged for the next one, who did not have them itself.
    expect(await victim('receiver.tryReceive(); redelivered.push(receiver.redelivered);')).toEqual({
      redelivered: [1],
      received: 6,
    });
    // One dies inside of a handler, before anything of it is said.
    const inside = startPeer(
      `Channel.openSync(args[0]).receiver().tryDrain((m) => { if (m.toString() === '7') process.kill(process.pid, 'SIGKILL'); });`,
      { args: [name] },
    );
    expect(await inside.exited).toMatchObject({ signal: 'SIGKILL' });
    const receiver = channel.receiver();
    expect(receiver.received).toBe(7);
    expect(receiver.tryReceiveMany(3)?.map(String)).toEqual(['7', '8', '9']);
    expect(receiver.redelivered).toBe(2);
    expect(receiver.tryReceiveMany(100)).toHaveLength(10);
    expect([receiver.redelivered, receiver.tryReceive(), receiver.received]).toEqual([0, null, 20]);
  });

  it('what its handler threw at stays unread for a successor, too', async () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    channel.sender().sendManySync(['a', 'b']);
    const first = Channel.openSync(name);
    const receiver = first.receiver();
    expect(() =>
      receiver.tryDrain((message) => {
        if (message.toString() === 'b') throw new Error('handler');
      }),
    ).toThrow('handler');
    first.close(); // it closes, so b was not in hand
    expect(channel.receiver().tryReceive()?.toString()).toBe('b');
  });
});

describe('closing', () => {
  it('the sender ends the iteration after the last message, for every form', async () => {
    using channel = Channel.anonymous({ capacity: 4096 });
    const receiver = channel.receiver();
    for (let round = 0; round < 2; round++) {
      const sender = channel.sender();
      const texts: string[] = [];
      const all = (async () => {
        for await (const message of receiver) texts.push(`${message}`);
      })();
      await sender.sendMany(['1', '2', '3']);
      sender.close();
      await all;
      expect(texts).toEqual(['1', '2', '3']);
      expect(receiver.tryReceive()).toBeUndefined();
      expect(await receiver.receive()).toBeUndefined();
      expect(receiver.receiveSync()).toBeUndefined();
      expect(await receiver.receiveMany(3)).toBeUndefined();
      expect(receiver.tryReceiveMany(3)).toBeUndefined();
      expect(receiver.tryDrain(() => {})).toBeUndefined();
      expect(await receiver.drain(() => {})).toBeUndefined();
      expect(receiver.drainSync(() => {})).toBeUndefined();
      expect(receiver.peer).toBe('closed');
    }
  });

  it('the receiver: its sender fills the ring, and is told then', async () => {
    using channel = Channel.anonymous({ capacity: 64 });
    const sender = channel.sender();
    channel.receiver().close();
    while (sender.trySend('12345678'));
    const closed = code('ERR_INTERPROC_PEER_CLOSED');
    await expect(sender.send('x'.repeat(20))).rejects.toEqual(closed);
    expect(() => sender.sendSync('x'.repeat(20))).toThrow(closed);
    await expect(sender.drained()).rejects.toEqual(closed);
    expect(sender.peer).toBe('closed');
    const receiver = channel.receiver();
    const sent = sender.send('x'.repeat(20));
    while (receiver.tryReceive());
    await sent;
  });

  it('a process that ends by itself closes what it has open, with all that was accepted', async () => {
    for (const ending of ['', 'process.exit(0);']) {
      const name = channelName();
      using channel = Channel.create(name, { capacity: 4096 });
      const source = `globalThis.sender = Channel.openSync(args[0]).sender();
        sender.trySend('accepted');
        ${ending}`;
      const exited = runPeer(source, { args: [name] });
      const receiver = channel.receiver({ awaitPeer: true });
      expect((await receiver.receive())?.toString()).toBe('accepted');
      expect(await receiver.receive()).toBeUndefined();
      expect(await exited).toMatchObject(clean);
    }
  });

  it('a process that ends with another code has published what was accepted, and counts as dead', async () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    const exited = runPeer(
      `const sender = Channel.openSync(args[0]).sender(); sender.trySend('accepted'); process.exit(2);`,
      { args: [name] },
    );
    const receiver = channel.receiver();
    expect((await receiver.receive())?.toString()).toBe('accepted');
    await expect(receiver.receive()).rejects.toEqual(died);
    expect(await exited).toMatchObject({ code: 2, stderr: '' });
  });

  it('a worker that ends by itself closes what it has open', async () => {
    using channel = Channel.anonymous({ capacity: 4096 });
    const worker = new Worker(
      `import { workerData } from 'node:worker_threads';
       import { Channel } from 'interproc';
       Channel.fromFd(workerData).sender().trySend('accepted');`,
      { eval: true, workerData: channel.fd },
    );
    const exited = once(worker, 'exit');
    const receiver = channel.receiver();
    expect((await receiver.receive())?.toString()).toBe('accepted');
    expect(await receiver.receive()).toBeUndefined();
    await exited;
  });
});

describe('participants', () => {
  it('are told with pid, thread, start and since when, and what they are', async () => {
    const name = channelName();
    const start = Date.now();
    using channel = Channel.create(name, { capacity: 4096 });
    const peer = startPeer(`Channel.openSync(args[0]).receiver(); await send(process.pid); await next();`, {
      args: [name],
    });
    const pid = await peer.next();
    channel.sender();
    const all = channel
      .participants()
      .sort((a, b) => Number(b.pid === process.pid) - Number(a.pid === process.pid));
    expect(all).toEqual([
      {
        pid: process.pid,
        thread: process.pid,
        elsewhere: null,
        started: expect.any(Date),
        since: expect.any(Date),
        readOnly: false,
        roles: ['sender'],
      },
      {
        pid,
        thread: pid,
        elsewhere: null,
        started: expect.any(Date),
        since: expect.any(Date),
        readOnly: false,
        roles: ['receiver'],
      },
    ]);
    const [me, other] = all as [(typeof all)[0], (typeof all)[0]];
    const second = 1000; // the kernel counts in ticks, and clocks are read one after the other
    expect(Math.abs(+(me.started as Date) - (Date.now() - process.uptime() * 1000))).toBeLessThan(5 * second);
    expect(+(me.since as Date)).toBeGreaterThanOrEqual(start - second);
    expect(+(other.started as Date)).toBeGreaterThanOrEqual(start - second);
    expect(+(other.since as Date)).toBeGreaterThanOrEqual(+(other.started as Date) - second);
    peer.process.kill('SIGKILL');
    await peer.exited;
    expect(takingPart(channel)).toHaveLength(1);
    expect(channel.stats().peers.receiver).toBe('died');
  });

  it('who only reads is one, sees the living, and is seen', async () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    channel.sender().sendSync('x');
    const peer = startPeer(
      `const channel = Channel.openSync(args[0], { readOnly: true });
       assert.throws(() => channel.sender(), { code: 'ERR_INTERPROC_READ_ONLY' });
       assert.throws(() => channel.receiver(), { code: 'ERR_INTERPROC_READ_ONLY' });
       await send({ participants: channel.participants(), stats: channel.stats() });
       await next();
       assert.equal(channel.stats().peers.sender, 'closed');
       await send(channel.participants().length);
       await next();`,
      { args: [name] },
    );
    const { participants, stats } = await peer.next();
    expect(participants).toHaveLength(2);
    expect(participants).toContainEqual(
      expect.objectContaining({ pid: process.pid, readOnly: false, roles: ['sender'] }),
    );
    expect(participants).toContainEqual({
      pid: null,
      thread: null,
      elsewhere: null,
      started: null,
      since: null,
      readOnly: true,
      roles: [],
    });
    expect(stats).toMatchObject({ published: 1, peers: { sender: 'alive', receiver: 'none' } });
    expect(channel.participants()).toHaveLength(2);
    channel.close(); // who only looks on keeps no name alive
    expect(Channel.tryOpen(name)).toBeNull();
    peer.send('closed');
    expect(await peer.next()).toBe(1);
    peer.process.kill('SIGKILL');
    await peer.exited;
  });

  it.skipIf(!isRoot || !canMount)('a peer in another pid namespace is noticed when it dies', async () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    const wrapper = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
    const peer = startPeer(`Channel.openSync(args[0]).sender(); await send(process.pid); await next();`, {
      args: [name],
      wrapper,
    });
    expect(await peer.next()).toBeLessThan(10); // a number of its own world
    const receiver = channel.receiver();
    const waiting = receiver.receive();
    await expect.poll(() => channel.stats().timesSlept.receiver).toBe(1);
    peer.process.kill('SIGKILL');
    await expect(waiting).rejects.toEqual(died);
  });

  it('a process that a peer has forked does not keep it alive', async () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 4096 });
    const peer = startPeer(
      `import { spawn } from 'node:child_process';
       Channel.openSync(args[0]).sender();
       const child = spawn('sleep', ['60'], { stdio: 'ignore', detached: true });
       await send(child.pid);
       await next();`,
      { args: [name] },
    );
    const child = await peer.next();
    const waiting = channel.receiver().receive();
    peer.process.kill('SIGKILL');
    await expect(waiting).rejects.toEqual(died);
    process.kill(child, 'SIGKILL');
  });
});
