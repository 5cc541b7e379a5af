/** Another process writes into the live segment: errors or other bytes, and never a crash, a hang or a stray access. */
import { Channel, SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { channelName } from '../support/names.js';
import { clean, startPeer } from '../support/peer.js';
import { seeded } from '../support/random.js';

const mutations = 200_000;
const perProcess = 25_000;
const allowed = [
  'ERR_INTERPROC_CORRUPT',
  'ERR_INTERPROC_CLOSED',
  'ERR_INTERPROC_PEER_DIED',
  'ERR_INTERPROC_PEER_CLOSED',
  'ERR_INTERPROC_BUSY',
  'ERR_INTERPROC_UNLINKED',
  'ERR_INTERPROC_MISMATCH',
  'ETIMEDOUT',
];

/** Mutates its own segment between calls: every step is repeatable by its seed. */
const mutator = `
  const random = ((state) => (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  })(args[0]);
  const allowed = new Set(args[2]);
  const seen = {};
  const attempt = async (call) => {
    try { await call(); } catch (error) {
      if (!allowed.has(error.code)) throw error;
      seen[error.code] = (seen[error.code] ?? 0) + 1;
    }
  };
  const values = [0, 1, -1, 7, 8, 64, 4096, 0x7fffffff, 0x80000000, 0x80000008, 0x40000000];
  let channel, memory, bytes, words, sender, receiver;
  const begin = () => {
    memory?.close();
    channel?.close();
    channel = Channel.anonymous({ capacity: 64 << random(8) });
    memory = SharedMemory.fromFd(channel.fd);
    bytes = new Uint8Array(memory.buffer);
    words = new Int32Array(memory.buffer);
    sender = receiver = undefined;
  };
  begin();
  const data = Buffer.alloc(4096, 7);
  for (let count = 0; count < args[1]; count++) {
    if (count % 50 === 0) begin();
    // Half of them into the first KiB, where the protocol's words are.
    const size = random(2) ? 1024 : bytes.length;
    if (random(3) === 0) bytes[random(size)] = random(256);
    else if (random(2)) words[random(size >> 2)] = values[random(values.length)];
    else words[random(size >> 2)] += 8 * (random(64) - 32);
    await attempt(() => {
      if (sender === undefined || sender.closed) sender = channel.sender();
      if (receiver === undefined || receiver.closed) receiver = channel.receiver();
    });
    for (let step = 0; step < 3; step++) {
      await attempt(() => {
        switch (random(12)) {
          case 0: return sender?.sendSync(data.subarray(0, random(channel.maxMessageSize)), { timeout: 0 });
          case 1: return sender?.send('async', { timeout: 0 });
          case 2: { const slot = sender?.tryClaim(random(channel.maxMessageSize)); return slot?.commit(random(slot.length + 1)); }
          case 3: return sender?.flush();
          case 4: return receiver?.receiveSync({ timeout: 0.01 });
          case 5: return receiver?.receive({ timeout: 0 });
          case 6: return receiver?.tryReceiveMany(5);
          case 7: return receiver?.tryDrain((message) => { message.copy(); message.toString(); });
          case 8: return channel.stats();
          case 9: return channel.participants();
          case 10: return random(10) ? undefined : sender?.close();
          default: return random(10) ? undefined : receiver?.close();
        }
      });
    }
    if (count % 500 === 0) {
      await attempt(() => Channel.fromFd(memory.fd).close());
      if (receiver && !receiver.closed) await attempt(() => receiver.receive({ timeout: 1 }));
    }
  }
  await send(seen);`;

describe('random bytes in a live segment', () => {
  it.each(Array.from({ length: mutations / perProcess }, (_, at) => at + 1))(
    `are errors or other bytes: ${perProcess} mutations, seed %i`,
    async (seed) => {
      const peer = startPeer(mutator, { args: [seed, perProcess, allowed] });
      const seen = await peer.next();
      expect(seen.ERR_INTERPROC_CORRUPT).toBeGreaterThan(100);
      expect(await peer.exited).toMatchObject(clean);
    },
  );

  it('written by a third process while both sides run', async () => {
    const name = channelName();
    using _held = Channel.create(name, { capacity: 1024 });
    const side = `
      const channel = Channel.openSync(args[0]);
      await send('open');
      await next();
      let stop = false;
      next().then(() => { stop = true; });
      process.channel.ref();
      let side, errors = 0;
      while (!stop) {
        await new Promise(setImmediate);
        try {
          side ??= args[1] === 'sender' ? channel.sender({ awaitPeer: true }) : channel.receiver({ awaitPeer: true });
          for (let count = 0; count < 20; count++) {
            if (args[1] === 'sender') side.sendSync('x'.repeat(count), { timeout: 1 });
            else side.receiveSync({ timeout: 1 });
          }
        } catch (error) {
          assert(args[2].includes(error.code), error.stack);
          errors++;
          if (error.code === 'ERR_INTERPROC_CORRUPT') { side?.close(); side = undefined; }
        }
      }
      console.log(errors > 0);
      process.exit(0);`;
    const sides = ['sender', 'receiver'].map((which) => startPeer(side, { args: [name, which, allowed] }));
    for (const each of sides) await each.next();
    for (const each of sides) each.send('go');
    using memory = SharedMemory.open(`/interproc.${name.slice(1)}`);
    const bytes = new Uint8Array(memory.buffer);
    const random = seeded(7);
    for (let count = 0; count < 20_000; count++) {
      // Not the flag that says whether it still has its name, nor who takes part.
      const at = 128 + random(bytes.length - 128);
      bytes[at < 1024 || at >= 4096 ? at : (at % 1024) | 128] = random(256);
      if (count % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    for (const each of sides) each.send('stop');
    for (const each of sides) expect(await each.exited).toMatchObject({ ...clean, stdout: 'true\n' });
  });
});
