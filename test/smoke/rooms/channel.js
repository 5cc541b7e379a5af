import assert from 'node:assert/strict';
import { Channel } from 'interproc';

/** @typedef {import('../test-context.js').TestContext} TestContext */

const capacity = 4096;
const count = 500; // more than a ring of this capacity holds

/** @param {TestContext} t */
const anonymous = (t) => {
  const channel = t.closing(Channel.anonymous({ capacity }));
  return { channel, sender: channel.sender(), receiver: channel.receiver() };
};

/** @type {Record<string, (t: TestContext) => unknown>} */
export const tests = {
  'the three forms of sending and receiving': async (t) => {
    const { sender, receiver } = anonymous(t);
    assert.equal(receiver.tryReceive(), null);
    assert.equal(sender.trySend('one'), true);
    sender.flush();
    assert.equal(`${receiver.tryReceive()}`, 'one');
    const pending = receiver.receive();
    await sender.send('two');
    assert.equal(`${await pending}`, 'two');
    sender.sendSync('three');
    assert.equal(`${receiver.receiveSync()}`, 'three');
    sender.close();
    assert.equal(receiver.tryReceive(), undefined);
  },

  'messages are written and read in place': (t) => {
    const { sender, receiver } = anonymous(t);
    for (let i = 0; i < 10; i++) {
      const slot = sender.tryClaim(16);
      assert(slot);
      slot.int32[slot.int32Offset] = i;
      slot.float64[slot.float64Offset + 1] = i / 2;
      slot.commit();
    }
    sender.flush();
    let sum = 0;
    const handled = receiver.tryDrain(({ int32, int32Offset, float64, float64Offset }) => {
      sum += (int32[int32Offset] ?? 0) + (float64[float64Offset + 1] ?? 0);
    });
    assert.deepEqual([handled, sum], [10, 67.5]);
  },

  'waits end by timeout, by an abort and by closing': async (t) => {
    const { channel, receiver } = anonymous(t);
    await assert.rejects(receiver.receive({ timeout: 5 }), { code: 'ETIMEDOUT' });
    assert.throws(() => receiver.receiveSync({ timeout: 5 }), { code: 'ETIMEDOUT' });
    const controller = new AbortController();
    const aborted = assert.rejects(receiver.receive({ signal: controller.signal }), { code: 'ABORT_ERR' });
    controller.abort();
    await aborted;
    const closed = assert.rejects(receiver.receive(), { code: 'ERR_INTERPROC_CLOSED' });
    channel.close();
    await closed;
  },

  'two processes exchange messages over two channels by name': async (t) => {
    const names = [t.name(Channel), t.name(Channel)];
    const [there, back] = names.map((name) => t.closing(Channel.create(name, { capacity })));
    const side = t.side('echoes', names);
    const receiving = receiveAll(/** @type {Channel} */ (back));
    await sendAll(/** @type {Channel} */ (there));
    await receiving;
    await side.done();
  },

  'two processes share a channel by its descriptor': async (t) => {
    const channel = t.closing(Channel.anonymous({ capacity }));
    const side = t.side('sendsOverFd', undefined, { fds: [channel.fd] });
    await receiveAll(channel);
    await side.done();
  },

  'a killed sender is noticed, after all that it had published': async (t) => {
    const name = t.name(Channel);
    const channel = t.closing(Channel.create(name, { capacity }));
    const side = t.side('sendsAndStays', name, { alone: true });
    const receiver = channel.receiver();
    assert.equal(`${await receiver.receive()}`, 'published');
    assert.equal(await side.next(), 'sent');
    assert.equal(receiver.peer, 'alive');
    const died = assert.rejects(receiver.receive(), { code: 'ERR_INTERPROC_PEER_DIED' });
    await side.kill();
    await died;
    assert.equal(receiver.peer, 'died');
  },

  'a killed receiver is noticed, and its successor gets what it had in hand': async (t) => {
    const name = t.name(Channel);
    const channel = t.closing(Channel.create(name, { capacity: 64 }));
    const side = t.side('receivesAndStays', name, { alone: true });
    const sender = channel.sender();
    sender.sendSync('in hand');
    assert.equal(await side.next(), 'in hand');
    const died = assert.rejects(
      async () => {
        for (;;) await sender.send('x');
      },
      { code: 'ERR_INTERPROC_PEER_DIED' },
    );
    await side.kill();
    await died;
    const receiver = channel.receiver();
    assert.equal(`${receiver.receiveSync()}`, 'in hand');
    assert.equal(receiver.redelivered, 1);
  },

  'misuse and what is not there have codes': async (t) => {
    const name = t.name(Channel);
    assert.equal(Channel.tryOpen(name), null);
    await assert.rejects(Channel.open(name, { timeout: 5 }), { name: 'IpcError', code: 'ETIMEDOUT' });
    const channel = t.closing(Channel.create(name, { capacity }));
    assert.throws(() => Channel.create(name, { capacity }), { code: 'EEXIST' });
    const sender = channel.sender();
    assert.throws(() => channel.sender(), { code: 'ERR_INTERPROC_BUSY' });
    assert.throws(() => sender.trySend('x'.repeat(capacity)), { code: 'ERR_OUT_OF_RANGE' });
  },

  'a worker exchanges messages with the main thread': async (t) => {
    const names = [t.name(Channel), t.name(Channel)];
    const [there, back] = names.map((name) => t.closing(Channel.create(name, { capacity })));
    const worker = t.worker('echoes', names);
    const receiving = receiveAll(/** @type {Channel} */ (back));
    await sendAll(/** @type {Channel} */ (there));
    await receiving;
    await worker.done();
  },

  'a worker that is terminated is noticed, by who waits for it': async (t) => {
    const name = t.name(Channel);
    const channel = t.closing(Channel.create(name, { capacity }));
    const worker = t.worker('sendsAndStays', name);
    const receiver = channel.receiver();
    assert.equal(`${await receiver.receive()}`, 'published');
    const died = assert.rejects(receiver.receive(), { code: 'ERR_INTERPROC_PEER_DIED' });
    await worker.terminate();
    await died;
  },
};

/** @param {Channel} channel */
async function sendAll(channel) {
  const sender = channel.sender();
  for (let i = 0; i < count; i++) await sender.send(`message ${i}`);
  sender.close();
}

/** @param {Channel} channel */
async function receiveAll(channel) {
  let i = 0;
  for await (const message of channel.receiver()) assert.equal(`${message}`, `message ${i++}`);
  assert.equal(i, count);
}

/** @param {string[]} names */
async function echo(names) {
  const [from, to] = /** @type {[Channel, Channel]} */ (
    await Promise.all(names.map((name) => Channel.open(name)))
  );
  const sender = to.sender();
  for await (const message of from.receiver()) await sender.send(message);
  sender.close();
  from.close();
  to.close();
}

/** @type {Record<string, (side: import('../side.js').SideContext) => unknown>} */
export const sides = {
  echoes: ({ args }) => echo(args),
  sendsOverFd: async () => {
    const channel = Channel.fromFd(3);
    await sendAll(channel);
    channel.close();
  },
  sendsAndStays: async ({ args, send, next }) => {
    const sender = (await Channel.open(args)).sender();
    sender.sendSync('published');
    send('sent');
    await next();
  },
  receivesAndStays: async ({ args, send, next }) => {
    const receiver = (await Channel.open(args)).receiver();
    send(`${await receiver.receive()}`);
    await next();
  },
};

/** @type {Record<string, (args: any, send: (message: unknown) => void) => unknown>} */
export const workers = {
  echoes: echo,
  sendsAndStays: (name) => {
    const sender = Channel.openSync(name).sender();
    sender.sendSync('published');
    setInterval(() => sender.close(), 1e6); // it stays, and so does what it holds
  },
};
