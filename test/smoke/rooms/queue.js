import assert from 'node:assert/strict';
import { ftok, MessageQueue, SysvMessageQueue } from 'interproc';

/** @typedef {import('../test-context.js').TestContext} TestContext */

/** @param {TestContext} t */
const posix = (t) => {
  const name = t.name(MessageQueue);
  return { name, queue: t.closing(MessageQueue.create(name, { maxMessages: 4, messageSize: 64 })) };
};

/** @param {TestContext} t */
const sysv = (t) => {
  const key = ftok(t.file(), 1);
  const queue = SysvMessageQueue.create(key);
  const { id } = queue;
  t.after(() => SysvMessageQueue.remove(id));
  t.closing(queue);
  return { key, queue };
};

/** Waits without end, timeouts and aborts, on either kind. @param {any} queue */
async function waits(queue) {
  await assert.rejects(queue.receive({ timeout: 5 }), { code: 'ETIMEDOUT' });
  assert.throws(() => queue.receiveSync({ timeout: 5 }), { code: 'ETIMEDOUT' });
  const controller = new AbortController();
  const aborted = assert.rejects(queue.receive({ signal: controller.signal }), { code: 'ABORT_ERR' });
  controller.abort();
  await aborted;
  const closed = assert.rejects(queue.receive(), { code: 'ERR_INTERPROC_CLOSED' });
  queue.close();
  await closed;
}

const count = 50; // more than a queue holds

/** @type {Record<string, (t: TestContext) => unknown>} */
export const tests = {
  'the three forms of sending to a POSIX queue and receiving': async (t) => {
    const { queue } = posix(t);
    assert.equal(queue.tryReceive(), null);
    assert.equal(queue.trySend('later', { priority: 1 }), true);
    await queue.send('sooner', { priority: 2 });
    assert.equal(queue.attributes().messages, 2);
    assert.equal(`${queue.tryReceive()?.data}`, 'sooner');
    assert.deepEqual(await queue.receive(), { data: Buffer.from('later'), priority: 1 });
    const pending = queue.receive();
    queue.sendSync('awaited');
    assert.equal(`${(await pending).data}`, 'awaited');
    queue.sendSync('last');
    assert.equal(`${queue.receiveSync().data}`, 'last');
  },

  'waits on a POSIX queue end by timeout, by an abort and by closing': (t) => waits(posix(t).queue),

  'two processes use a POSIX queue by its name, which is full at times': async (t) => {
    const { name, queue } = posix(t);
    const side = t.side('sends', name);
    for (let i = 0; i < count; i++) assert.equal(`${(await queue.receive()).data}`, `message ${i}`);
    await side.done();
  },

  'a message in an empty POSIX queue is told of': async (t) => {
    const { queue } = posix(t);
    const notices = queue.notifications();
    const pending = notices.next();
    queue.trySend('x');
    assert.equal((await pending).value, 1);
    await notices.return?.();
  },

  'POSIX queues that are taken or not there have the codes of the system': (t) => {
    const { name, queue } = posix(t);
    assert.throws(() => MessageQueue.create(name), { name: 'IpcError', code: 'EEXIST', syscall: 'mq_open' });
    assert.throws(() => MessageQueue.open(`${name}-none`), { code: 'ENOENT', syscall: 'mq_open' });
    assert.throws(() => queue.trySend('x'.repeat(65)), { code: 'EMSGSIZE' });
  },

  'the three forms of sending to a System V queue and receiving by type': async (t) => {
    const { queue } = sysv(t);
    assert.equal(queue.tryReceive(), null);
    assert.equal(queue.trySend(1, 'one'), true);
    await queue.send(2, 'two');
    queue.sendSync(3, 'three');
    assert.equal(`${queue.tryReceive({ type: 2 })?.data}`, 'two');
    assert.deepEqual(await queue.receive(), { type: 1, data: Buffer.from('one') });
    assert.equal(`${queue.receiveSync().data}`, 'three');
    const pending = queue.receive({ type: 7 });
    await queue.send(8, 'other');
    await queue.send(7, 'awaited');
    assert.equal(`${(await pending).data}`, 'awaited');
  },

  'waits on a System V queue end by timeout, by an abort and by closing': (t) => waits(sysv(t).queue),

  'two processes use a System V queue by its key, which is full at times': async (t) => {
    const { key, queue } = sysv(t);
    queue.set({ maxBytes: 100 });
    const side = t.side('sendsSysv', key);
    for (let i = 0; i < count; i++) assert.equal(`${(await queue.receive()).data}`, `message ${i}`);
    await side.done();
  },

  'a System V queue that is not there has the code of the system': (t) => {
    const key = ftok(t.file(), 1);
    assert.throws(() => SysvMessageQueue.open(key), { name: 'IpcError', code: 'ENOENT', syscall: 'msgget' });
  },

  'a worker sends to queues of both kinds': async (t) => {
    const [{ name, queue }, system] = [posix(t), sysv(t)];
    const worker = t.worker('sendsToBoth', { name, key: system.key });
    for (let i = 0; i < count; i++) assert.equal(`${(await queue.receive()).data}`, `message ${i}`);
    for (let i = 0; i < count; i++) assert.equal(`${(await system.queue.receive()).data}`, `message ${i}`);
    await worker.done();
  },
};

/** @param {string} name */
async function send(name) {
  const queue = MessageQueue.open(name);
  for (let i = 0; i < count; i++) {
    if (i % 2 === 0) await queue.send(`message ${i}`);
    else queue.sendSync(`message ${i}`, { timeout: 20_000 });
  }
  queue.close();
}

/** @param {number} key */
async function sendSysv(key) {
  const queue = SysvMessageQueue.open(key);
  for (let i = 0; i < count; i++) {
    if (i % 2 === 0) await queue.send(1, `message ${i}`);
    else queue.sendSync(1, `message ${i}`, { timeout: 20_000 });
  }
  queue.close();
}

/** @type {Record<string, (side: import('../side.js').SideContext) => unknown>} */
export const sides = {
  sends: ({ args }) => send(args),
  sendsSysv: ({ args }) => sendSysv(args),
};

/** @type {Record<string, (args: any, send: (message: unknown) => void) => unknown>} */
export const workers = {
  sendsToBoth: async ({ name, key }) => {
    await send(name);
    await sendSysv(key);
  },
};
