/** How much of a message comes where the kernel lets messages be longer than it does by default (kernel.msgmax). */
import { describe, expect, it } from 'vitest';
import { canSetIpcLimits, inNamespaces, withLimits } from '../support/namespaces.js';
import { clean, runPeer } from '../support/peer.js';
import { isSanitized } from '../support/sanitized.js';

/** Messages of up to 100,000 bytes, which stay out of everybody else's way. */
const roomy = inNamespaces(
  ['--ipc'],
  'echo 100000 > /proc/sys/kernel/msgmax; echo 1000000 > /proc/sys/kernel/msgmnb',
);
const head = `
  const queue = SysvMessageQueue.create(null, { maxBytes: 1_000_000 });
  const message = Buffer.from(Array.from({ length: 50_000 }, (_, at) => at % 251));
  /** One that is there already, by each way of asking, and one that comes later. */
  const received = async (options) => {
    const all = [];
    for (const now of [() => queue.tryReceive(options), () => queue.receiveSync(options)]) {
      queue.sendSync(1, message);
      all.push(now());
    }
    const waiting = queue.receive(options);
    await new Promise((later) => setTimeout(later, 20));
    queue.sendSync(1, message);
    return [...all, await waiting].map(({ data }) => data);
  };`;

const runRoomy = (source: string, limits: string[] = []) =>
  runPeer(`${head}${source}`, { wrapper: [...roomy, ...limits] });

describe.skipIf(!canSetIpcLimits)('a long message', () => {
  it('comes whole, with truncate, too, where nothing says how much is wanted', async () => {
    const peer = await runRoomy(`
      for (const options of [{}, { truncate: true }, { truncate: true, size: 60_000 }]) {
        for (const data of await received(options)) assert.deepEqual(data, message);
      }`);
    expect(peer).toMatchObject(clean);
  });

  it('is cut where it was asked for: at the size, at the end of into, or at what comes first', async () => {
    const peer = await runRoomy(`
      const into = (length) => ({ into: new Uint8Array(length) });
      const cuts = [
        [20_000, { size: 20_000 }],
        [20_000, into(20_000)],
        [20_000, { size: 20_000, ...into(30_000) }],
        [20_000, { size: 30_000, ...into(20_000) }],
        [0, { size: 0 }],
      ];
      for (const [length, options] of cuts) {
        for (const data of await received({ truncate: true, ...options })) {
          assert.deepEqual(data, message.subarray(0, length));
        }
      }`);
    expect(peer).toMatchObject(clean);
  });

  it('above the size stays where it is not to be cut', async () => {
    const peer = await runRoomy(`
      queue.sendSync(1, message);
      const options = { size: 20_000 };
      const tooLong = { code: 'E2BIG', syscall: 'msgrcv' };
      assert.throws(() => queue.tryReceive(options), tooLong);
      assert.throws(() => queue.receiveSync(options), tooLong);
      await assert.rejects(queue.receive(options), tooLong);
      const later = queue.receive({ ...options, type: 2 });
      queue.sendSync(2, message);
      await assert.rejects(later, tooLong);
      assert.equal(queue.stat().messages, 2);`);
    expect(peer).toMatchObject(clean);
  });

  it.skipIf(isSanitized)(
    'may be as long as the size says, which takes no memory before it comes',
    async () => {
      const peer = await runRoomy(
        `for (const data of await received({ size: 0x7fff_ffff })) assert.deepEqual(data, message);`,
        withLimits({ data: 1_500_000_000 }),
      );
      expect(peer).toMatchObject(clean);
    },
  );
});
