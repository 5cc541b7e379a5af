/** Seqpacket sockets: a connection that carries messages. Boundaries and sizes: datagram.test.ts. */
import { UnixSeqpacket } from 'interproc';
import { describe, expect, it } from 'vitest';
import { startProgram } from '../interop/programs.js';
import { systemError } from '../support/failures.js';
import { clean, runPeer, startPeer } from '../support/peer.js';
import { closing, fill, pairOf } from '../support/sockets.js';

describe('the end of a seqpacket connection', () => {
  it('is undefined in every form of waiting, again and again', async () => {
    const [first, second] = pairOf('seqpacket');
    const pending = second.receive();
    first.close();
    expect(await pending).toBeUndefined();
    expect(second.tryReceive()).toBeUndefined();
    expect(second.receiveSync()).toBeUndefined();
    expect(await second.receive({ into: new Uint8Array(4) })).toBeUndefined();
    for await (const message of second) expect.fail(`got '${message}'`);
  });

  it('comes after all messages, and no empty one is taken for it', async () => {
    for (const last of ['', 'x']) {
      const [first, second] = pairOf('seqpacket');
      for (const data of ['', '1', '', '', last]) first.sendSync(data);
      first.close();
      const got: string[] = [];
      for await (const message of second) got.push(String(message));
      expect(got).toEqual(['', '1', '', '', last]);
      expect(second.tryReceive()).toBeUndefined();
    }
  });

  it('is not an empty message that comes alone, whoever waits how', async () => {
    const [first, second] = pairOf('seqpacket');
    for (let i = 0; i < 3; i++) {
      first.sendSync('');
      expect(second.tryReceive()?.data.length).toBe(0);
      const pending = second.receive();
      first.sendSync('');
      expect((await pending)?.data.length).toBe(0);
    }
    first.sendSync('');
    first.end();
    expect(second.receiveSync()?.data.length).toBe(0);
    expect(second.receiveSync()).toBeUndefined();
  });

  it('of one way leaves the other one open', async () => {
    const [first, second] = pairOf('seqpacket');
    first.sendSync('last');
    first.end();
    expect(() => first.trySend('x')).toThrow(systemError('EPIPE', 'send'));
    expect(String(await second.receive())).toBe('last');
    expect(await second.receive()).toBeUndefined();
    await second.send('answer');
    second.end();
    expect(String(await first.receive())).toBe('answer');
    expect(await first.receive()).toBeUndefined();
  });

  it('fails who sends with EPIPE, and raises no signal', async () => {
    const source = `
      const [first, second] = socketPair('seqpacket');
      second.close();
      for (let i = 0; i < 3; i++) assert.throws(() => first.trySend('x'), { code: 'EPIPE' });
      await assert.rejects(first.send('x'), { code: 'EPIPE' });
      assert.throws(() => first.sendSync('x'), { code: 'EPIPE' });`;
    expect(await runPeer(source)).toMatchObject(clean);
  });

  it('fails those who wait for room', async () => {
    const [first, second] = pairOf('seqpacket');
    fill(() => first.trySend(Buffer.alloc(1000)));
    const waiting = [first.send('1'), first.send('2')];
    second.close();
    const [one, two] = await Promise.allSettled(waiting);
    expect([one, two].map((each) => (each as PromiseRejectedResult).reason.code).sort()).toEqual([
      'ECONNRESET', // once, as not all was read
      'EPIPE',
    ]);
  });

  it('is ECONNRESET, once, where it closed with messages unread', async () => {
    const [first, second] = pairOf('seqpacket');
    first.sendSync('unread');
    second.close();
    await expect(first.receive()).rejects.toEqual(systemError('ECONNRESET', 'recv'));
    expect(await first.receive()).toBeUndefined();
  });

  it('comes after the messages, and after ECONNRESET, where both had some unread', async () => {
    const [first, second] = pairOf('seqpacket');
    first.sendSync('unread');
    second.sendSync('one');
    second.sendSync('two');
    second.close();
    expect([String(await first.receive()), String(first.tryReceive())]).toEqual(['one', 'two']);
    await expect(first.receive()).rejects.toEqual(systemError('ECONNRESET', 'recv'));
    expect(first.receiveSync()).toBeUndefined();
  });

  it('comes to who waits when the other process is killed', async () => {
    const [first, second] = pairOf('seqpacket');
    const peer = startPeer(
      `const socket = UnixSeqpacket.fromFd(4); await socket.send('there'); await next();`,
      { fds: [second.fd] },
    );
    second.close();
    expect(String(await first.receive())).toBe('there');
    const pending = first.receive();
    peer.process.kill('SIGKILL');
    expect(await pending).toBeUndefined();
  });
});

describe('a seqpacket socket', () => {
  it('keeps who sends waiting while there is no room, and loses nothing', async () => {
    const [first, second] = pairOf('seqpacket');
    let next = 0;
    fill(() => first.trySend(String(next)) && ++next);
    const waiting = Array.from({ length: 10 }, () => first.send(String(next++)));
    expect(first.trySend('out of turn')).toBe(false);
    for (let i = 0; i < next; i++) expect(String(await second.receive())).toBe(String(i));
    await Promise.all(waiting);
    expect(second.tryReceive()).toBeNull();
  });

  it('is the same socket by its descriptor', async () => {
    const [first, second] = pairOf('seqpacket');
    const again = closing(UnixSeqpacket.fromFd(first.fd));
    first.close();
    await again.send('still there');
    expect(String(await second.receive())).toBe('still there');
    again.sendSync('');
    expect(second.tryReceive()?.data.length).toBe(0);
  });

  it('leaves the room for descriptors to others that it was handed to', async () => {
    // Control messages that they did not ask for would take it.
    const [first, second] = pairOf('seqpacket');
    expect(second.tryReceive()).toBeNull();
    const program = `
import os, socket, sys
s = socket.socket(fileno=int(sys.argv[1]))
data, fds, flags, _ = socket.recv_fds(s, 100, 1)
print(data.decode(), len(fds), flags & socket.MSG_CTRUNC)`;
    first.sendSync('hello', { fds: [second] });
    const python = startProgram(['python3', '-c', program], [3], [second.fd]);
    expect(await python.line()).toBe('hello 1 0');
    await python.ended();
  });
});
