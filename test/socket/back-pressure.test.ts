/** A receiver that is full keeps its senders waiting: no message is lost, and nobody turns in circles meanwhile. */
import { readFileSync } from 'node:fs';
import { UnixDatagram } from 'interproc';
import { describe, expect, it } from 'vitest';
import { systemError } from '../support/failures.js';
import { clean, startPeer } from '../support/peer.js';
import { closing, datagrams, fill, socketPath } from '../support/sockets.js';

function bound(): UnixDatagram {
  return closing(UnixDatagram.bind());
}

/** Receives all that is there. */
function drain(socket: UnixDatagram): string[] {
  const got: string[] = [];
  for (let each = socket.tryReceive(); each !== null; each = socket.tryReceive()) got.push(String(each));
  return got;
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

/** Whether it is settled when what could settle it has happened. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  promise.then(
    () => (pending = false),
    () => (pending = false),
  );
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  return pending;
}

describe('a full receiver', () => {
  it('makes its connected sender wait, and each message that is taken lets one more in', async () => {
    const { sender, receiver } = datagrams();
    let next = 0;
    fill(() => sender.trySend(String(next)) && ++next);
    const waiting = Array.from({ length: 5 }, () => sender.send(String(next++)));
    expect(await isPending(waiting[0] as Promise<void>)).toBe(true);
    expect(sender.trySend('out of turn')).toBe(false);
    for (let expected = 0; expected < next; expected++) {
      expect(String(await receiver.receive())).toBe(String(expected));
    }
    await Promise.all(waiting);
    expect(receiver.tryReceive()).toBeNull();
  });

  it('makes who sends to its address wait', async () => {
    const receiver = bound();
    const sender = closing(UnixDatagram.create());
    const to = receiver.address as string;
    let next = 0;
    fill(() => sender.trySendTo(String(next), to) && ++next);
    const waiting = Array.from({ length: 5 }, () => sender.sendTo(String(next++), to));
    expect(await isPending(waiting[0] as Promise<void>)).toBe(true);
    expect(sender.trySendTo('out of turn', to)).toBe(false);
    expect(() => sender.sendToSync('x', to)).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_BUSY' }));
    for (let expected = 0; expected < next; expected++) {
      expect(String(await receiver.receive())).toBe(String(expected));
    }
    await Promise.all(waiting);
    expect(receiver.tryReceive()).toBeNull();
  });

  it('holds up nobody who sends to another one', async () => {
    const [full, free, peer] = [bound(), bound(), bound()];
    const sender = closing(UnixDatagram.create());
    sender.connect(peer.address as string);
    fill(() => sender.trySendTo('x', full.address as string));
    const held = sender.sendTo('held', full.address as string);
    for (let i = 0; i < 100; i++) {
      await sender.sendTo(String(i), free.address as string);
      sender.sendToSync(String(i), free.address as string);
      await sender.send(String(i));
      expect(String(free.tryReceive()) + free.tryReceive() + peer.tryReceive()).toBe(`${i}${i}${i}`);
    }
    expect(await isPending(held)).toBe(true);
    drain(full);
    await held;
    expect(drain(full)).toEqual(['held']);
  });

  it('loses nothing of many senders', async () => {
    const receiver = bound();
    const senders = Array.from({ length: 20 }, () => closing(UnixDatagram.create()));
    const each = 200;
    const sending = senders.map(async (sender, index) => {
      if (index % 2 === 0) sender.connect(receiver.address as string);
      for (let i = 0; i < each; i++) {
        const text = `${index} ${i}`;
        await (index % 2 === 0 ? sender.send(text) : sender.sendTo(text, receiver.address as string));
      }
    });
    const next = new Map<number, number>();
    for (let count = 0; count < senders.length * each; count++) {
      const [index, i] = String(await receiver.receive())
        .split(' ')
        .map(Number) as [number, number];
      expect(i, `of sender ${index}`).toBe(next.get(index) ?? 0);
      next.set(index, i + 1);
    }
    await Promise.all(sending);
  });

  it('loses nothing of senders in other processes, which block or wait', async () => {
    const receiver = bound();
    const peers = ['send', 'sendSync', 'sendTo', 'sendToSync'].map((way) =>
      startPeer(
        `const [way, to] = args;
         const socket = UnixDatagram.create();
         if (!way.includes('To')) socket.connect(to);
         for (let i = 0; i < 1000; i++) {
           const text = way + ' ' + i;
           await (way.includes('To') ? socket[way](text, to) : socket[way](text));
         }`,
        { args: [way, receiver.address] },
      ),
    );
    const next = new Map<string, number>();
    for (let count = 0; count < peers.length * 1000; count++) {
      const [way, i] = String(await receiver.receive()).split(' ') as [string, string];
      expect(Number(i), way).toBe(next.get(way) ?? 0);
      next.set(way, Number(i) + 1);
    }
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
  });

  it.each(['sent to', 'connected'])('that closes fails those who wait with ECONNREFUSED: %s', async (how) => {
    const path = socketPath();
    const receiver = closing(UnixDatagram.bind(path));
    const senders = Array.from({ length: 3 }, () => {
      const sender = closing(UnixDatagram.create());
      if (how === 'connected') sender.connect(path);
      return sender;
    });
    const send = (sender: UnixDatagram) =>
      how === 'connected' ? sender.send('x') : sender.sendTo('x', path);
    fill(() => (how === 'connected' ? senders[0]?.trySend('x') : senders[0]?.trySendTo('x', path)) ?? false);
    const waiting = senders.map(send);
    expect(await isPending(Promise.race(waiting))).toBe(true);
    // Not by close(), which removes the file first: as one that dies.
    const held = closing(UnixDatagram.fromFd(receiver.fd));
    receiver.close();
    for (const each of waiting) expect(await isPending(each)).toBe(true);
    held.close();
    const code = how === 'connected' ? 'ECONNREFUSED' : 'ENOENT';
    for (const each of waiting) await expect(each).rejects.toMatchObject({ code, syscall: 'send' });
  });

  it.each([
    ['sendTo', 'connected = false'],
    ['send', 'connected = true'],
  ])('that is killed fails those who wait with ECONNREFUSED: %s', async (_, connected) => {
    const path = socketPath();
    const peer = startPeer(
      `const receiver = UnixDatagram.bind(args[0]);
       send('bound');
       await next();`,
      { args: [path] },
    );
    await peer.next();
    const sender = closing(UnixDatagram.create());
    const isConnected = connected.endsWith('true');
    if (isConnected) sender.connect(path);
    fill(() => (isConnected ? sender.trySend('x') : sender.trySendTo('x', path)));
    const waiting = [0, 1].map(() => (isConnected ? sender.send('x') : sender.sendTo('x', path)));
    expect(await isPending(Promise.race(waiting))).toBe(true);
    peer.process.kill('SIGKILL');
    const [first, second] = await Promise.allSettled(waiting);
    const refused = { status: 'rejected', reason: systemError('ECONNREFUSED', 'send') };
    expect(first).toEqual(refused);
    // The kernel has forgotten the peer after the first one.
    if (isConnected) expect(second).toEqual({ status: 'rejected', reason: systemError('ENOTCONN', 'send') });
    else expect(second).toEqual(refused);
    UnixDatagram.unlink(path);
  });

  it.each(['sendTo', 'sendToSync'] as const)(
    "that is connected to its sender holds it up only by the sender's own buffer: %s",
    async (how) => {
      const [sender, receiver] = [bound(), bound()];
      receiver.connect(sender.address as string);
      // Of a few messages, so that the room comes back just when somebody looks.
      sender.sendBufferSize = 1;
      const [count, to, data] = [10_000, receiver.address as string, Buffer.alloc(1500)];
      const draining = startPeer(
        `const receiver = UnixDatagram.fromFd(4);
         for (let i = 0; i < args[0]; i++) receiver.receiveSync();`,
        { args: [count], fds: [receiver.fd] },
      );
      for (let i = 0; i < count; i++) await sender[how](data, to);
      expect(await draining.exited).toMatchObject(clean);
    },
  );

  it("whose sender's own buffer is full at the same time loses nothing either", async () => {
    const [full, other] = [bound(), bound()];
    const sender = closing(UnixDatagram.create());
    sender.sendBufferSize = 20_000;
    const data = Buffer.alloc(3000, 'x');
    // Own buffer full of messages to `other`; then those to `full` wait for that, and later for the receiver.
    const toOther = fill(() => sender.trySendTo(data, other.address as string));
    const small = Array.from({ length: 600 }, (_, i) => sender.sendTo(String(i), full.address as string));
    expect(await isPending(small[0] as Promise<void>)).toBe(true);
    expect(drain(other)).toHaveLength(toOther);
    for (let i = 0; i < 600; i++) expect(String(await full.receive())).toBe(String(i));
    await Promise.all(small);
  });

  it('lets an aborted send go, and serves the next ones in order', async () => {
    const { sender, receiver } = datagrams();
    const filled = fill(() => sender.trySend('x'));
    const abort = new AbortController();
    const waiting = [sender.send('1'), sender.send('2', { signal: abort.signal }), sender.send('3')];
    abort.abort();
    await expect(waiting[1]).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
    await expect(sender.send('4', { timeout: 1 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    const to = receiver.address as string;
    await expect(sender.sendTo('5', to, { timeout: 1 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    await expect(sender.sendTo('6', to, { timeout: 0 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    expect(() => sender.sendToSync('7', to, { timeout: 1 })).toThrow(
      expect.objectContaining({ code: 'ETIMEDOUT' }),
    );
    const got: string[] = [];
    for (let i = 0; i < filled + 2; i++) got.push(String(await receiver.receive()));
    await Promise.all([waiting[0], waiting[2]]);
    expect(got.slice(-2)).toEqual(['1', '3']);
    expect(receiver.tryReceive()).toBeNull();
  });

  it('rejects what waits when the sender closes, and the receiver gets none of it', async () => {
    const { sender, receiver } = datagrams();
    const filled = fill(() => sender.trySend('x'));
    const waiting = [sender.send('1'), sender.sendTo('2', receiver.address as string)];
    expect(await isPending(Promise.race(waiting))).toBe(true);
    sender.close();
    for (const each of waiting) {
      await expect(each).rejects.toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
    }
    expect(drain(receiver)).toHaveLength(filled);
  });
});

/** CPU time that a process has used, in ticks of 10 ms. man 5 proc_pid_stat */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

describe('who waits for room', () => {
  const waits = {
    'in send': `socket.connect(to); fill(() => socket.trySend('x'));
      const sending = socket.send('last'); await send('waiting'); await sending;`,
    'in sendTo': `fill(() => socket.trySendTo('x', to));
      const sending = socket.sendTo('last', to); await send('waiting'); await sending;`,
    'in sendTo, the own buffer being full': `socket.sendBufferSize = 5000; const more = Buffer.alloc(1500);
      fill(() => socket.trySendTo(more, to));
      const sending = socket.sendTo('last', to); await send('waiting'); await sending;`,
    'in sendSync': `socket.connect(to); fill(() => socket.trySend('x')); await send('waiting'); socket.sendSync('last');`,
    'in sendToSync': `fill(() => socket.trySendTo('x', to)); await send('waiting'); socket.sendToSync('last', to);`,
    'in sendToSync, the own buffer being full': `socket.sendBufferSize = 5000; const more = Buffer.alloc(1500);
      fill(() => socket.trySendTo(more, to)); await send('waiting'); socket.sendToSync('last', to);`,
  };

  it.each(Object.entries(waits))('uses no CPU meanwhile: %s', async (_, wait) => {
    const receiver = bound();
    const peer = startPeer(
      `const [to] = args;
       const socket = UnixDatagram.create();
       const fill = (send) => { while (send()); };
       ${wait}`,
      { args: [receiver.address] },
    );
    await peer.next();
    const before = ticksOf(peer.process.pid as number);
    // CPU time of this process, not the time that passes: a peer that turns in circles would use about as much.
    for (const start = process.cpuUsage(); process.cpuUsage(start).user < 300_000; );
    expect(ticksOf(peer.process.pid as number) - before).toBeLessThan(10);
    for (let last = ''; last !== 'last'; ) last = String(await receiver.receive());
    expect(await peer.exited).toMatchObject(clean);
  });
});

describe('a datagram socket of whose messages a third socket holds many', () => {
  it.each(['send', 'sendTo'] as const)('sends on when its receiver has room again: %s', async (call) => {
    const [hoarder, receiver] = [closing(UnixDatagram.bind()), closing(UnixDatagram.bind())];
    const [sender, other] = [closing(UnixDatagram.create()), closing(UnixDatagram.create())];
    const address = receiver.address as string;
    sender.connect(address);
    // Above a quarter of its buffer the kernel tells the sender nothing of its receiver.
    for (let i = 0; i < 3; i++) sender.trySendTo(Buffer.alloc(30_000), hoarder.address as string);
    fill(() => other.trySendTo('x', address));
    const sending = call === 'send' ? sender.send('late') : sender.sendTo('late', address);
    await new Promise((resolve) => setTimeout(resolve, 5));
    while (receiver.tryReceive() !== null);
    await sending;
    expect(String(receiver.tryReceive())).toBe('late');
  });
});
