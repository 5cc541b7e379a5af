/** The functions of the addon for queues, called past lib/: whatever comes, they throw and do not end the process. */
import { expect, it } from 'vitest';
import { queueName } from '../support/names.js';
import { clean, runPeer } from '../support/peer.js';

const head = `
  import { createRequire } from 'node:module';
  const addon = createRequire(process.cwd() + '/')('node-gyp-build')(process.cwd());
  const [name] = args;
  const queue = addon.mqCreate(name, 0, 2, 16, 0o600, undefined, undefined);
  addon.mqUnlink(name);
  const notices = addon.mqNoticeOpen();`;

it.each([1, 2, 3])('they survive arguments of every kind: seed %i', async (seed) => {
  const source = `${head}
    const random = ((state) => (below) => ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) % below)(args[1]);
    const { reader } = createPipe();
    const pipe = addon.descriptorDuplicate(reader.fd);
    const gone = addon.mqNoticeOpen();
    addon.descriptorClose(gone);
    const moved = new Uint8Array(16);
    structuredClone(moved, { transfer: [moved.buffer] });
    const resizable = new ArrayBuffer(64, { maxByteLength: 64 });
    const shrunk = new Uint8Array(resizable, 0, 64);
    resizable.resize(3);
    const values = [undefined, null, 0, 1, -1, NaN, 1e20, 2 ** 31, 0.5, '', 'x', name, true, {}, [], () => {}, Symbol('s'), 5n,
      new Proxy({}, {}), queue, queue, queue, notices, notices, pipe, gone, new Uint8Array(0), new Uint8Array(16),
      new Uint8Array(15), new Uint8Array(5000), new Uint8Array(new SharedArrayBuffer(16)), new Uint16Array(16), new DataView(new ArrayBuffer(16)),
      new ArrayBuffer(16), moved, shrunk];
    // Not those that make or remove what has a name.
    const names = Object.keys(addon).filter((each) => /^mq/.test(each) && !/Create|Unlink/.test(each));
    assert.ok(names.length >= 12, names.join());
    let threw = 0;
    for (let count = 0; count < 60_000; count++) {
      const call = names[random(names.length)];
      const given = Array.from({ length: random(5) }, () => values[random(values.length)]);
      if (random(2) === 0) given[0] = queue;
      try {
        addon[call](...given);
      } catch (error) {
        assert(error instanceof Error, call);
        threw++;
      }
    }
    assert.ok(threw > 30_000 && threw < 60_000, threw);
    // None of it has harmed the queue.
    while (addon.mqReceive(queue, new Uint8Array(16), 0) >= 0);
    assert.equal(addon.mqSend(queue, Buffer.from('still here'), 5, 0), 10);
    const into = new Uint8Array(16);
    assert.equal(addon.mqReceive(queue, into, 0), 10 + 5 * 2 ** 25);
    assert.equal(String(Buffer.from(into.buffer, 0, 10)), 'still here');`;
  expect(await runPeer(source, { args: [queueName(), seed] })).toMatchObject(clean);
});

it.each([
  ['mqSend(notices, new Uint8Array(1), 0, 0)', 'EBADF'],
  ['mqReceive(notices, new Uint8Array(16), 0)', 'EBADF'],
  ['mqReceive(queue, new Uint8Array(15), 0)', 'EMSGSIZE'],
  ['mqReceive(queue, new Uint8Array(0), 0)', 'EMSGSIZE'],
  ['mqSend(queue, new Uint8Array(17), 0, 0)', 'EMSGSIZE'],
  ['mqSend(queue, new Uint8Array(1), 32768, 0)', 'EINVAL'],
  ['mqAttributes(notices)', 'EBADF'],
  ['mqSetNonBlocking(notices, true)', 'EBADF'],
  ['mqNoticeAsk(notices, notices)', 'EBADF'],
  ['mqNoticeTake(queue)', 'ENOTSOCK'],
  ['mqCreate(name, 0, 0, 16, 0o600, undefined, undefined)', 'EINVAL'],
  ['mqCreate(name, 0, 2 ** 53 - 1, 2 ** 53 - 1, 0o600, undefined, undefined)', 'EINVAL'],
  ["mqCreate('a/b', 0, 1, 16, 0o600, undefined, undefined)", 'EACCES'],
  ['mqOpen(name, 0)', 'ENOENT'],
  ["mqUnlink('')", 'ENOENT'],
])('%s is %s', async (call, code) => {
  const source = `${head}
    assert.throws(() => addon.${call}, { code, name: 'IpcError' });`.replace('code,', `code: '${code}',`);
  expect(await runPeer(source, { args: [queueName()] })).toMatchObject(clean);
});
