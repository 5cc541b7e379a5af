/** What keeps a process alive, and what holds up its end: nothing but calls that wait, and nothing at all. */
import { describe, expect, it } from 'vitest';
import { small } from '../support/message-queues.js';
import { queueName } from '../support/names.js';
import { clean, runPeer } from '../support/peer.js';

const pending: Record<string, string> = {
  'receives that wait': 'for (let each = 0; each < 64; each++) queue.receive().catch(() => {});',
  'sends that wait': "for (let each = 0; each < 64; each++) full.send('x').catch(() => {});",
  'receives with a timeout':
    'for (let each = 0; each < 64; each++) queue.receive({ timeout: 1e9 }).catch(() => {});',
  'a send with a signal': "full.send('x', { signal: new AbortController().signal }).catch(() => {});",
  'a loop over it': '(async () => { for await (const message of queue); })();',
  'notifications that it waits for': '(async () => { for await (const count of queue.notifications()); })();',
};
const head = `
  const [names, small] = args;
  const queue = MessageQueue.create(names[0], small);
  const full = MessageQueue.create(names[1], small);
  while (full.trySend('x'));`;
const run = (source: string) => runPeer(`${head} ${source}`, { args: [[queueName(), queueName()], small] });

describe('a process', () => {
  it.each(Object.entries(pending))(
    'with %s ends at once by process.exit(), with its code',
    async (_, call) => {
      expect(await run(`${call} setImmediate(() => process.exit(7));`)).toMatchObject({ ...clean, code: 7 });
    },
  );

  it.each(Object.entries(pending))('with %s stays alive until something else ends it', async (_, call) => {
    // Nothing else keeps it, so it would end with 3 before the timer, which is no reason to stay, fires.
    const source = `${call}
      process.on('exit', () => { if (!process.exitCode) process.exitCode = 3; });
      setTimeout(() => { process.exitCode = 7; process.exit(); }, 50).unref();`;
    expect(await run(source)).toMatchObject({ ...clean, code: 7 });
  });

  it.each(Object.entries(pending))('with %s of queues that are unref()ed ends by itself', async (_, call) => {
    const unref = 'queue.unref(); full.unref();';
    for (const source of [
      `${unref} ${call} queue.ref(); full.ref(); ${unref}`,
      `${call} setImmediate(() => { ${unref} });`,
    ]) {
      expect(await run(source), source).toMatchObject(clean);
    }
  });

  it('is kept alive again by ref()', async () => {
    const source = `
      queue.unref();
      const notices = queue.notifications();
      let seen = 0;
      queue.receive().then(() => seen++);
      notices.next().then(({ value }) => { seen++; notices.return(); });
      queue.ref();
      process.on('exit', () => { process.exitCode = seen === 2 ? 7 : 3; });
      setTimeout(() => queue.trySend('x'), 20).unref();`;
    expect(await run(source)).toMatchObject({ ...clean, code: 7 });
  });

  it('whose queue is unref()ed gets what comes while it lives', async () => {
    const source = `
      queue.unref();
      const received = queue.receive();
      const noticed = queue.notifications().next();
      const stay = setInterval(() => {}, 1000);
      setTimeout(() => { queue.trySend('late'); }, 5);
      assert.equal(String((await received).data), 'late');
      await noticed;
      clearInterval(stay);`;
    expect(await run(source)).toMatchObject(clean);
  });

  it('with nothing that waits ends by itself, whatever is open', async () => {
    const source = `
      queue.trySend('unread');
      queue.trySend('unread');
      await queue.receive();
      const notices = queue.notifications();
      assert.equal((await notices.next()).value, 1); // it keeps its registration
      await full.send('x', { timeout: 1 }).catch(() => {});
      const controller = new AbortController();
      const aborted = Promise.allSettled([
        full.send('x', { signal: controller.signal }),
        notices.next(),
        queue.receive().then(() => queue.receive({ signal: controller.signal })),
        full.notifications({ signal: controller.signal }).next(),
      ]);
      setImmediate(() => { controller.abort(); notices.return(); });
      await aborted;`;
    expect(await run(source)).toMatchObject(clean);
  });

  it("has libuv's threads for itself while 64 calls wait", async () => {
    const source = `
      import { readFile } from 'node:fs/promises';
      import { lookup } from 'node:dns/promises';
      import { pbkdf2 } from 'node:crypto';
      import { promisify } from 'node:util';
      import { readdirSync } from 'node:fs';
      const threads = () => readdirSync('/proc/self/task').length;
      await readFile('/proc/self/status');
      await Promise.all([1, 2, 3, 4].map(() => lookup('localhost')));
      await queue.receive({ timeout: 1 }).catch(() => {}); // what waiting takes of its own
      const before = threads();
      const waits = [];
      for (let i = 0; i < 32; i++) waits.push(queue.receive(), full.send('' + i));
      await new Promise(setImmediate);
      await readFile('/proc/self/status');
      await lookup('localhost');
      await promisify(pbkdf2)('a', 'b', 10, 10, 'sha1');
      assert.equal(threads(), before);
      for (let i = 0; i < 32; i++) await queue.send('' + i);
      for (let i = 0; i < 32 + 4; i++) await full.receive();
      const got = (await Promise.all(waits)).filter((each) => each).map(({ data }) => String(data));
      assert.deepEqual(got, Array.from({ length: 32 }, (_, i) => '' + i));`;
    expect(await run(source)).toMatchObject(clean);
  });
});
