/** Waiting for the other side: timeouts, aborts, order, the event loop, and what a wait keeps alive. */
import { once, setMaxListeners } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Channel } from 'interproc';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { failureOf } from '../support/failures.js';
import { channelName, tempPath } from '../support/names.js';
import { takingPart } from '../support/participants.js';
import { clean, runPeer, runProgram, startPeer } from '../support/peer.js';

const code = (expected: string) => expect.objectContaining({ name: 'IpcError', code: expected });
const turn = () => new Promise((resolve) => setImmediate(resolve));

function open(capacity = 4096): Channel {
  const channel = Channel.anonymous({ capacity });
  onTestFinished(() => channel.close());
  return channel;
}

describe('a timeout', () => {
  it('ends each kind of wait, and takes nothing', async () => {
    const channel = open(64);
    const sender = channel.sender();
    const receiver = channel.receiver();
    const timedOut = code('ETIMEDOUT');
    for (const timeout of [0, 0.5, 3]) {
      await expect(receiver.receive({ timeout })).rejects.toEqual(timedOut);
      await expect(receiver.receiveMany(3, { timeout })).rejects.toEqual(timedOut);
      await expect(receiver.drain(() => {}, 1, { timeout })).rejects.toEqual(timedOut);
      expect(() => receiver.receiveSync({ timeout })).toThrow(timedOut);
      expect(() => receiver.receiveManySync(3, { timeout })).toThrow(timedOut);
      expect(() => receiver.drainSync(() => {}, 1, { timeout })).toThrow(timedOut);
    }
    while (sender.trySend('12345678'));
    for (const timeout of [0, 0.5, 3]) {
      await expect(sender.send('12345678', { timeout })).rejects.toEqual(timedOut);
      await expect(sender.claim(8, { timeout })).rejects.toEqual(timedOut);
      await expect(sender.drained({ timeout })).rejects.toEqual(timedOut);
      await expect(sender.sendMany(['', ''], { timeout })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
      expect(() => sender.sendSync('12345678', { timeout })).toThrow(timedOut);
      expect(() => sender.claimSync(8, { timeout })).toThrow(timedOut);
    }
    const { sent } = sender;
    expect((await receiver.receive({ timeout: 0 }))?.toString()).toBe('12345678');
    expect(receiver.tryReceive()?.toString()).toBe('12345678');
    await sender.send('12345678', { timeout: 0 });
    expect(sender.sent).toBe(sent + 1);
  });

  it('of sendMany tells how many were accepted', async () => {
    const channel = open(64);
    const sender = channel.sender();
    const receiver = channel.receiver();
    const list = Array.from({ length: 10 }, (_, at) => `message${at}`);
    await expect(sender.sendMany(list, { timeout: 2 })).rejects.toMatchObject({ code: 'ETIMEDOUT', sent: 4 });
    expect(receiver.tryReceiveMany(10)?.map(String)).toEqual(list.slice(0, 4));
    expect(receiver.tryReceive()).toBeNull();
    try {
      sender.sendManySync(list, { timeout: 2 });
      expect.fail('it fits');
    } catch (error) {
      expect(error).toMatchObject({ code: 'ETIMEDOUT', sent: 4 });
    }
    expect(receiver.tryReceiveMany(10)?.map(String)).toEqual(list.slice(0, 4));
  });
});

describe('one try', () => {
  it('is made with a timeout of 0, however long this turn of the event loop has taken', async () => {
    const channel = open();
    const sender = channel.sender();
    const receiver = channel.receiver();
    sender.sendManySync(['a', 'b', 'c']);
    await receiver.receive(); // from here on the turn is measured
    const until = performance.now() + 10;
    while (performance.now() < until);
    expect((await receiver.receive({ timeout: 0 }))?.toString()).toBe('b');
    expect(await receiver.drain(() => {}, 1, { timeout: 0 })).toBe(1);
    await sender.send('d', { timeout: 0 });
    expect(sender.sent).toBe(4);
  });

  it('is made before a timeout is told of, where the event loop was held until then', async () => {
    const channel = open();
    const sender = channel.sender();
    const receiver = channel.receiver();
    const received = receiver.receive({ timeout: 100 });
    while (channel.stats().timesSlept.receiver === 0) await turn();
    sender.sendSync('in time');
    const until = performance.now() + 120;
    while (performance.now() < until);
    expect((await received)?.toString()).toBe('in time');
  });
});

describe('an abort', () => {
  it('by a signal that is none is an error, and takes nothing', async () => {
    const channel = open();
    const sender = channel.sender();
    const receiver = channel.receiver();
    for (const signal of [
      Object.create(AbortSignal.prototype),
      Object.create(AbortSignal.prototype, { aborted: { value: false } }),
    ]) {
      // Node 24 takes the second one for a signal.
      const failure = (await failureOf(() => receiver.receive({ signal, timeout: 0 }))) as Error;
      expect(['TypeError', 'IpcError']).toContain(failure.name);
    }
    sender.sendSync('stays');
    expect(await receiver.receive()).toEqual(Buffer.from('stays'));
  });

  it('rejects with AbortError and its reason, and takes nothing', async () => {
    const channel = open();
    const sender = channel.sender();
    const receiver = channel.receiver();
    const reason = new Error('why');
    const aborted = { name: 'AbortError', code: 'ABORT_ERR', cause: reason };
    await sender.send('stays');
    sender.flush();
    await expect(receiver.receive({ signal: AbortSignal.abort(reason) })).rejects.toMatchObject(aborted);
    expect((await receiver.receive())?.toString()).toBe('stays');
    const controllers = Array.from({ length: 3 }, () => new AbortController());
    const waits = controllers.map(({ signal }) => receiver.receive({ signal }));
    controllers[1]?.abort(reason);
    await expect(waits[1]).rejects.toMatchObject(aborted);
    await sender.sendMany(['first', 'second']);
    expect((await waits[0])?.toString()).toBe('first');
    expect((await waits[2])?.toString()).toBe('second');
    controllers[0]?.abort(reason); // too late for anybody
  });

  it('in the turn in which a message came does not lose it', async () => {
    const channel = open();
    const sender = channel.sender();
    const receiver = channel.receiver();
    let got = 0;
    const rounds = 200;
    for (let round = 0; round < rounds; round++) {
      const controller = new AbortController();
      const waiting = receiver.receive({ signal: controller.signal });
      for (let turns = 0; turns < round % 7; turns++) await turn();
      sender.sendSync(`${round}`);
      for (let turns = 0; turns < round % 3; turns++) await turn();
      controller.abort();
      try {
        expect((await waiting)?.toString()).toBe(`${round}`);
        got++;
      } catch (error) {
        expect(error).toMatchObject({ code: 'ABORT_ERR' });
        expect((await receiver.receive())?.toString()).toBe(`${round}`);
      }
    }
    expect(receiver.tryReceive()).toBeNull();
    expect(got).toBeGreaterThan(0);
  });
});

describe('calls that wait', () => {
  it('are served in their order, whatever their form', async () => {
    const channel = open(64);
    const sender = channel.sender();
    const receiver = channel.receiver();
    const order: string[] = [];
    const sends = ['a', 'b', 'c', 'd', 'e', 'f'].map(async (text) => {
      await sender.send(text.repeat(16));
      order.push(text);
    });
    expect(sender.trySend('')).toBe(false); // it would overtake
    expect(sender.tryClaim(0)).toBeNull();
    expect(sender.trySendMany([''])).toBe(0);
    expect(() => sender.sendSync('')).toThrow(code('ERR_INTERPROC_BUSY'));
    const received: string[] = [];
    while (received.length < 6) received.push((await receiver.receive())?.toString()[0] as string);
    await Promise.all(sends);
    expect([order.join(''), received.join('')]).toEqual(['abcdef', 'abcdef']);

    const takes = [
      receiver.receive().then(String),
      receiver.receiveMany(2).then((list) => list?.join()),
      receiver.drain((message) => received.push(`${message}`), 1),
      receiver.receive().then(String),
    ];
    expect(receiver.tryReceive()).toBeNull();
    expect(receiver.tryReceiveMany(1)).toBeNull();
    expect(receiver.tryDrain(() => {})).toBe(0);
    expect(() => receiver.receiveSync()).toThrow(code('ERR_INTERPROC_BUSY'));
    await sender.sendMany(['1', '2', '3', '4', '5']);
    expect(await Promise.all(takes)).toEqual(['1', '2,3', 1, '5']);
    expect(received.at(-1)).toBe('4');
  });

  it('wait for a peer that was never there, and are served when it comes', async () => {
    const channel = open(64);
    const receiver = channel.receiver();
    expect(receiver.peer).toBe('none');
    const received = receiver.receive();
    await expect.poll(() => channel.stats().timesSlept.receiver).toBe(1);
    const sender = channel.sender();
    sender.sendSync('x');
    expect((await received)?.toString()).toBe('x');
    const other = open(64);
    const lonely = other.sender();
    while (lonely.trySend('12345678'));
    const sent = lonely.send('12345678');
    await expect.poll(() => other.stats().timesSlept.sender).toBe(1);
    const late = other.receiver();
    for (let each = 0; each < 3; each++) late.tryReceive();
    await sent;
  });

  it('are all woken, also where the first is served on the way to sleep', async () => {
    const channel = open();
    const sender = channel.sender();
    const receiver = channel.receiver();
    const waits = [receiver.receive(), receiver.receive()];
    // Between the last poll and falling asleep the clock is asked: that stands for the sender's process.
    const now = vi.spyOn(performance, 'now').mockImplementationOnce(() => {
      sender.trySend('one');
      sender.flush();
      return Number.MAX_SAFE_INTEGER;
    });
    onTestFinished(() => now.mockRestore());
    expect((await waits[0])?.toString()).toBe('one');
    now.mockRestore();
    await expect.poll(() => channel.stats().timesSlept.receiver).toBe(1);
    sender.sendSync('two');
    expect((await waits[1])?.toString()).toBe('two');
  });

  it('between a process and itself end by what its own other side does', async () => {
    const channel = open(64);
    const sender = channel.sender();
    const receiver = channel.receiver();
    for (let round = 0; round < 50; round++) {
      const waiting = receiver.receive();
      if (round % 2) await expect.poll(() => channel.stats().timesSlept.receiver).toBeGreaterThan(round / 2);
      sender.trySend(`${round}`);
      expect((await waiting)?.toString()).toBe(`${round}`);
    }
  });
});

describe('a side that has left', () => {
  it('wakes nobody and lets nobody sleep on: its successor is told of the next message', async () => {
    const channel = Channel.create(channelName(), { capacity: 4096 });
    onTestFinished(() => channel.close());
    const sender = channel.sender();
    const receiver = channel.receiver();
    const slept = () => channel.stats().timesSlept.receiver;
    const successor = startPeer(
      `const channel = Channel.openSync(args[0]);
       await send('here');
       await next();
       console.log(String(await channel.receiver().receive()));`,
      { args: [channel.name] },
    );
    expect(await successor.next()).toBe('here');
    const drained = receiver.drain(() => {
      receiver.close();
      const before = slept();
      successor.process.send('go');
      while (slept() === before); // the handler goes on until its successor is asleep,
      const until = performance.now() + 20; // and in the kernel
      while (performance.now() < until);
    });
    await expect.poll(slept).toBe(1);
    sender.sendSync('first');
    expect(await drained).toBe(1);
    sender.sendSync('second');
    expect(await successor.exited).toMatchObject({ ...clean, stdout: 'second\n' });
  });

  it('late word of a sleep that was given up ends no later one: the process ends when that is aborted', async () => {
    const source = `
      import { connect, createServer } from 'node:net';
      const channel = Channel.anonymous({ capacity: 4096 });
      const sender = channel.sender();
      const receiver = channel.receiver();
      const slept = () => channel.stats().timesSlept.receiver;
      const turn = () => new Promise(setImmediate);
      const busy = (ms) => { const until = performance.now() + ms; while (performance.now() < until); };
      const [first, second] = [new AbortController(), new AbortController()];
      receiver.receive({ signal: first.signal }).catch(() => {});
      while (slept() === 0) await turn();
      const path = '\\0interproc-test-' + process.pid;
      const server = createServer((socket) => { server.close(); setTimeout(() => socket.end('x'), 1); }).listen(path);
      // In this phase of the event loop the next poll comes before word of what has happened meanwhile.
      await new Promise((resolve) => connect(path).once('data', () => {
        sender.sendSync('one');
        busy(20); // the waiter thread has told
        first.abort();
        receiver.tryReceive();
        receiver.receive({ signal: second.signal }).catch(() => console.log('aborted'));
        busy(1); // polling will be over at once
        resolve();
      }));
      while (slept() === 1) await turn();
      for (let turns = 0; turns < 50; turns++) await turn(); // word of the first comes, and it does not sleep anew
      console.log(slept());
      second.abort();`;
    expect(await runPeer(source)).toMatchObject({ ...clean, stdout: '2\naborted\n' });
  });
});

describe.skipIf(process.env.INTERPROC_NO_FUTEX_WAITV)('a thread that watches for many sides', () => {
  it('and has no memory for once loses none of them: each wait goes on, and keeps its process alive', async () => {
    const library = tempPath('no-memory.so');
    const source = fileURLToPath(new URL('no-memory.c', import.meta.url));
    const compiled = await runProgram('g++', ['-x', 'c', '-shared', '-fPIC', '-o', library, source, '-ldl']);
    expect(compiled).toMatchObject(clean);
    const flag = tempPath('now');
    const [one, two] = [open(), open()];
    const [first, second] = [one.sender(), two.sender()];
    const peer = startPeer(
      `import { existsSync, writeFileSync } from 'node:fs';
       const channels = [4, 5].map((fd) => Channel.fromFd(fd));
       const waits = channels.map((channel) => channel.receiver().receive());
       const slept = (at) => channels[at].stats().timesSlept.receiver;
       while (slept(0) === 0 || slept(1) === 0) await new Promise(setImmediate);
       writeFileSync(process.env.NO_MEMORY, '');
       await send('asleep');
       console.log(String(await waits[0]));
       while (existsSync(process.env.NO_MEMORY)) await new Promise(setImmediate);
       await send('failed');
       console.log(String(await waits[1]));`,
      { fds: [one.fd, two.fd], env: { LD_PRELOAD: library, NO_MEMORY: flag } },
    );
    expect(await peer.next()).toBe('asleep');
    first.sendSync('one');
    expect(await peer.next()).toBe('failed');
    await expect.poll(() => two.stats().timesSlept.receiver).toBe(2); // anew
    second.sendSync('two');
    expect(await peer.exited).toMatchObject({ ...clean, stdout: 'one\ntwo\n' });
  });
});

describe('the event loop', () => {
  it('has its turns while a hundred thousand calls that waited are served', async () => {
    const channel = open(1 << 22);
    const sender = channel.sender();
    const receiver = channel.receiver();
    const count = 100_000;
    const aborts = new AbortController();
    setMaxListeners(0, aborts.signal);
    const waits = Array.from({ length: count }, () => receiver.receive());
    const given = Array.from({ length: count / 10 }, () =>
      receiver.receive({ signal: aborts.signal }).catch(({ code }) => code),
    );
    let turns = 0;
    let over = false;
    const counting = () => {
      turns++;
      if (!over) setImmediate(counting);
    };
    await sender.sendMany(Array.from({ length: count }, (_, at) => `${at}`));
    counting();
    const received = await Promise.all(waits);
    over = true;
    expect(received.every((message, at) => `${message}` === `${at}`)).toBe(true);
    expect(turns).toBeGreaterThan(2);
    aborts.abort();
    expect(new Set(await Promise.all(given))).toEqual(new Set(['ABORT_ERR']));
  });

  it.each([
    ['for await', 'for await (const m of receiver) if (stop) break;'],
    ['receive', 'while (!stop) await receiver.receive();'],
    ['receiveMany', 'while (!stop) await receiver.receiveMany(4);'],
    ['drain', 'while (!stop) await receiver.drain(() => {});'],
  ])('goes on under a channel that never runs empty: %s', async (_, loop) => {
    const channel = open(1 << 20);
    const source = `
      import { readFile } from 'node:fs';
      const receiver = Channel.fromFd(4).receiver();
      let stop = false;
      let timers = 0;
      let reads = 0;
      const ticking = setInterval(() => { if (++timers >= 3 && reads >= 3) { stop = true; clearInterval(ticking); } }, 1);
      const read = () => readFile('/proc/self/stat', () => { if (++reads < 3) read(); });
      read();
      ${loop}
      console.log(timers >= 3, reads >= 3);
      process.exit(0);`;
    const worker = new Worker(
      `import { workerData } from 'node:worker_threads';
       import { Channel } from 'interproc';
       const sender = Channel.fromFd(workerData).sender();
       const list = Array.from({ length: 100 }, () => 'message');
       try {
         for (;;) sender.sendManySync(list);
       } catch (error) {
         if (error.code !== 'ERR_INTERPROC_PEER_CLOSED') throw error;
       }`,
      { eval: true, workerData: channel.fd },
    );
    const ended = once(worker, 'exit');
    expect(await runPeer(source, { fds: [channel.fd] })).toMatchObject({ ...clean, stdout: 'true true\n' });
    await ended;
  });

  it('goes on while a sender finds room again and again', async () => {
    const channel = open(1 << 16);
    const peer = startPeer(
      `while (Channel.fromFd(4).receiver && receiver.drainSync(() => {}) !== undefined);`
        .replace('Channel.fromFd(4).receiver && ', '')
        .replace('while', 'const receiver = Channel.fromFd(4).receiver(); while'),
      { fds: [channel.fd] },
    );
    const sender = channel.sender();
    let timers = 0;
    const ticking = setInterval(() => timers++, 1);
    while (timers < 3) await sender.send('x');
    while (timers < 6) await sender.sendMany(['x', 'y', 'z']);
    while (timers < 9) (await sender.claim(8)).commit();
    clearInterval(ticking);
    sender.close();
    expect(await peer.exited).toMatchObject(clean);
  });

  it('is not held by one sendMany that is larger than what a fast receiver leaves room for', async () => {
    const channel = open(1 << 20);
    const peer = startPeer(
      `const receiver = Channel.fromFd(4).receiver(); while (receiver.drainSync(() => {}) !== undefined);`,
      {
        fds: [channel.fd],
      },
    );
    const sender = channel.sender();
    let timers = 0;
    const ticking = setInterval(() => timers++, 1);
    const list = Array.from({ length: 300_000 }, () => 'message');
    expect(await sender.sendMany(list)).toBe(list.length);
    expect(timers).toBeGreaterThan(1);
    clearInterval(ticking);
    sender.close();
    expect(await peer.exited).toMatchObject(clean);
  });
});

describe('a process that waits', () => {
  it('uses no CPU, and is kept alive until its wait is over', async () => {
    const channel = open();
    const sender = channel.sender();
    const peer = startPeer(
      `const channel = Channel.fromFd(4);
       const receiver = channel.receiver();
       const waits = [receiver.receive(), receiver.receive()];
       while (channel.stats().timesSlept.receiver === 0) await new Promise(setImmediate);
       await send('asleep');
       console.log(String(await waits[0]), String(await waits[1]));`,
      { fds: [channel.fd] },
    );
    await peer.next();
    const ran = () =>
      readdirSync(`/proc/${peer.process.pid}/task`)
        .map((task) => readFileSync(`/proc/${peer.process.pid}/task/${task}/schedstat`, 'utf8').split(' ')[2])
        .join();
    // Once it has come to rest, none of its threads is scheduled any more.
    let before = ran();
    await expect
      .poll(
        () => {
          const now = ran();
          const rested = now === before;
          before = now;
          return rested;
        },
        { interval: 300, timeout: 30_000 },
      )
      .toBe(true);
    sender.sendSync('a');
    sender.sendSync('b');
    expect(await peer.exited).toMatchObject({ ...clean, stdout: 'a b\n' });
  });

  it('ends also where they are unref()ed later or before, with a timeout or without', async () => {
    const source = `
      const receiver = Channel.anonymous({ capacity: 4096 }).receiver();
      receiver.receive({ timeout: 1e6 }).catch(() => {});
      receiver.receive().catch(() => {});
      receiver.unref();
      const channel = Channel.anonymous({ capacity: 4096 }).unref();
      channel.receiver().receive().catch(() => {});
      const asleep = Channel.anonymous({ capacity: 4096 });
      const sleeper = asleep.receiver();
      sleeper.receive({ timeout: 1e6 }).catch(() => {});
      while (asleep.stats().timesSlept.receiver === 0) await new Promise(setImmediate);
      sleeper.unref();
      console.log('over');`;
    expect(await runPeer(source)).toMatchObject({ ...clean, stdout: 'over\n' });
  });

  it('is kept alive by one that was unref()ed and ref()ed again', async () => {
    const source = `
      const receiver = Channel.anonymous({ capacity: 4096 }).unref().ref().receiver();
      receiver.receive({ timeout: 30 }).catch(({ code }) => console.log(code));
      receiver.unref();
      receiver.ref();`;
    expect(await runPeer(source)).toMatchObject({ ...clean, stdout: 'ETIMEDOUT\n' });
  });

  it('ends when it has nothing else to do and its waits are unref()ed', async () => {
    const channel = open();
    const source = `
      const channel = Channel.fromFd(4);
      const receiver = channel.receiver().unref();
      receiver.receive().then(() => console.log('never'));
      receiver.receive({ timeout: 1e6 }).catch(() => console.log('never'));
      const sender = channel.sender();
      sender.unref();
      sender.ref();
      channel.unref();
      sender.drained({ timeout: 1e6 }).catch(() => {});`;
    expect(await runPeer(source, { fds: [channel.fd] })).toMatchObject({ ...clean, stdout: '' });
    expect(channel.stats().peers).toEqual({ sender: 'closed', receiver: 'closed' });
  });

  it('whose waits are unref()ed is still woken, while something else keeps it alive', async () => {
    const channel = open();
    const peer = startPeer(
      `const channel = Channel.fromFd(4);
       const receiver = channel.receiver().unref();
       process.channel.ref();
       setTimeout(async () => { console.log(String(await receiver.receive())); process.channel.unref(); }, 1);
       while (channel.stats().timesSlept.receiver === 0) await new Promise((resolve) => setTimeout(resolve, 1));
       await send('asleep');`,
      { fds: [channel.fd] },
    );
    expect(await peer.next()).toBe('asleep');
    channel.sender().sendSync('woken');
    expect(await peer.exited).toMatchObject({ ...clean, stdout: 'woken\n' });
  });

  it('ends at once on process.exit, also while workers block', async () => {
    const channel = open(64);
    const source = `
      import { Worker } from 'node:worker_threads';
      const worker = (body) => new Worker(\`
        import { parentPort, workerData } from 'node:worker_threads';
        import { Channel } from 'interproc';
        const channel = Channel.fromFd(4);
        \${body}\`, { eval: true });
      const workers = [
        worker("const r = channel.receiver(); parentPort.postMessage('x'); r.receiveSync();"),
        worker("const s = channel.sender(); while (s.trySend('')); parentPort.postMessage('x'); s.sendSync('1234567');"),
      ];
      let ready = 0;
      for (const each of workers) each.once('message', () => { if (++ready === 2) process.exit(7); });`;
    expect(await runPeer(source, { fds: [channel.fd] })).toMatchObject({ code: 7, signal: null, stderr: '' });
    expect(takingPart(channel)).toHaveLength(1);
  });

  it('a worker that blocks is terminated, and its peer is told', async () => {
    for (const body of [
      "const r = channel.receiver(); parentPort.postMessage('x'); r.receiveSync();",
      "const r = channel.receiver(); parentPort.postMessage('x'); r.drainSync(() => {});",
      "const r = channel.receiver(); parentPort.postMessage('x'); await r.receive();",
    ]) {
      const channel = open(64);
      const sender = channel.sender();
      const worker = new Worker(
        `import { parentPort, workerData } from 'node:worker_threads';
         import { Channel } from 'interproc';
         const channel = Channel.fromFd(workerData);
         ${body}`,
        { eval: true, workerData: channel.fd },
      );
      await once(worker, 'message');
      expect(sender.peer).toBe('alive');
      await worker.terminate();
      expect(sender.peer).toBe('died');
      expect(takingPart(channel)).toHaveLength(1);
      while (sender.trySend('12345678'));
      await expect(sender.send('12345678')).rejects.toEqual(code('ERR_INTERPROC_PEER_DIED'));
    }
  });
});
