/** sendTo beside other traffic of the sender: what a message waits for is what keeps it from going. */
import { renameSync } from 'node:fs';
import { UnixDatagram } from 'interproc';
import { expect, it } from 'vitest';
import { clean, startPeer } from '../support/peer.js';
import { closing, fill, socketPath } from '../support/sockets.js';

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

function drain(socket: UnixDatagram): string[] {
  const got: string[] = [];
  for (let each = socket.tryReceive(); each !== null; each = socket.tryReceive()) got.push(String(each));
  return got;
}

it('goes on when its receiver has room, however much others leave unread', async () => {
  const idle = closing(UnixDatagram.bind());
  const receiver = closing(UnixDatagram.bind());
  const another = closing(UnixDatagram.create());
  const sender = closing(UnixDatagram.create());
  const to = receiver.address as string;
  // More than a quarter of the buffer, from where on the kernel calls it not writable.
  const eighth = new Uint8Array(sender.sendBufferSize / 8);
  for (let message = 0; message < 3; message++) sender.trySendTo(eighth, idle.address as string);
  fill(() => another.trySendTo('x', to));
  const sending = sender.sendTo('last', to);
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  drain(receiver);
  await sending;
  expect(drain(receiver)).toEqual(['last']);
});

it.each(['sendTo', 'sendToSync'])(
  'sleeps while a receiver that has come under the same name is full, too: %s',
  async (call) => {
    const path = socketPath();
    const first = UnixDatagram.bind(path);
    const another = closing(UnixDatagram.create());
    fill(() => another.trySendTo('x', path));
    const peer = startPeer(
      `const socket = UnixDatagram.create();
      const used = () => process.cpuUsage().user + process.cpuUsage().system;
      await send('ready');
      const before = used();
      await socket.${call}('last', args[0]);
      process.send(used() - before);`,
      { args: [path] },
    );
    await peer.next();
    for (let turn = 0; turn < 1000; turn++) await nextTurn();
    const next = socketPath();
    const receiver = closing(UnixDatagram.bind(next));
    fill(() => another.trySendTo('x', next));
    renameSync(next, path);
    first.close();
    // CPU time of this process, not the time that passes: a peer that turns in circles would use about as much.
    for (const start = process.cpuUsage(); process.cpuUsage(start).user < 300_000; );
    for (let last = ''; last !== 'last'; ) last = String(await receiver.receive());
    expect(await peer.next()).toBeLessThan(100_000);
    expect(await peer.exited).toMatchObject(clean);
  },
);
