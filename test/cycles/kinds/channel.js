import assert from 'node:assert/strict';
import { Channel } from 'interproc';
import { aborted, close, closedInWait, timedOut } from './place.js';

const capacity = 4096;

/** @type {Record<string, import('./place.js').Kind>} */
export const channelKinds = {
  Channel:
    ({ name }) =>
    (drop) => {
      const made = Channel.create(name, { capacity });
      const opened = Channel.tryOpen(name);
      assert.ok(opened);
      const receiver = opened.receiver();
      const sender = made.sender();
      sender.trySend('x');
      sender.flush();
      receiver.tryReceive();
      Channel.unlink(name);
      close(drop, sender, receiver, made, opened);
    },
  'Channel.anonymous': () => (drop) => {
    const made = Channel.anonymous({ capacity });
    const opened = Channel.fromFd(made.fd);
    made.sender().trySend('x');
    opened.receiver().tryReceive();
    close(drop, made, opened);
  },
  'sender and receiver': () => {
    const channel = Channel.anonymous({ capacity });
    return () => {
      const receiver = channel.receiver();
      const sender = channel.sender();
      sender.trySend('x');
      receiver.tryReceive();
      receiver.close();
      sender.close();
    };
  },
  'Channel that is waited for': () => async (drop) => {
    const channel = Channel.anonymous({ capacity });
    const receiver = channel.receiver({ awaitPeer: true });
    const sender = channel.sender();
    await aborted((options) => receiver.receive(options));
    if (drop) await timedOut(() => receiver.receive({ timeout: 0.01 }));
    while (sender.trySend('x'.repeat(100)));
    await aborted((options) => sender.send('x'.repeat(100), options));
    if (drop) return;
    while (receiver.tryReceive());
    await closedInWait(receiver, () => receiver.receive());
    channel.close();
  },
  'Channel that is opened later':
    ({ name }) =>
    async () => {
      await aborted((options) => Channel.open(name, options));
    },
};
