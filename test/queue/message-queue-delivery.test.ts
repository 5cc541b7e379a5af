/**
 * Many who send and many who receive, while a part of the receives is aborted or times out: every message comes exactly
 * once, and what one receiver gets of one sender and one priority comes in the order in which it was sent.
 */
import { describe, expect, it } from 'vitest';
import { makeQueue, openAgain } from '../support/message-queues.js';
import { clean, type Peer, startPeer } from '../support/peer.js';
import { leavesNothingOpen } from '../support/pipes.js';
import { execArgv, withWorkers } from '../support/workers.js';

leavesNothingOpen();

/**
 * `send(queue, from, count, random)` and `receive(queue, random)`, as text: they run here, in workers and in processes.
 * Of each sender's messages the number and the priority are in it; one that is empty, and of the lowest priority, is the
 * end for one receiver. What a receiver got: `from number priority` in its order.
 */
const sides = `
  const randomOf = (seed) => (below) => ((seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 8) % below;
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const sendAll = async (queue, from, count, random) => {
    const under = [];
    for (let number = 0; number < count; number++) {
      const priority = 1 + random(3);
      const text = from + ' ' + number + ' ' + priority;
      const way = random(10);
      if (way === 0) {
        await Promise.all(under.splice(0));
        while (!queue.trySend(text, { priority })) await turn();
      } else if (way === 1) {
        await queue.send(text, { priority, timeout: 50_000 });
      } else {
        under.push(queue.send(text, { priority }));
        if (under.length === 8) await Promise.all(under.splice(0));
      }
    }
    await Promise.all(under);
  };
  const receiveAll = async (queue, random) => {
    const got = [];
    let gaveUp = 0;
    for (;;) {
      let message = null;
      const way = random(20);
      if (way === 0) {
        const abort = new AbortController();
        const waiting = queue.receive({ signal: abort.signal });
        if (random(2) === 0) queueMicrotask(() => abort.abort());
        else setImmediate(() => abort.abort());
        message = await waiting.catch((error) => { if (error.code !== 'ABORT_ERR') throw error; });
      } else if (way === 1) {
        const timeout = random(3) === 0 ? 0 : random(2000) / 1000;
        message = await queue.receive({ timeout }).catch((error) => { if (error.code !== 'ETIMEDOUT') throw error; });
      } else if (way === 2) {
        message = queue.tryReceive();
        if (message === null) await turn();
      } else {
        message = await queue.receive();
      }
      if (!message) { gaveUp++; continue; }
      if (message.data.length === 0) return { got, gaveUp };
      const text = String(message.data);
      if (!text.endsWith(' ' + message.priority)) throw new Error(text + ' came with priority ' + message.priority);
      got.push(text);
    }
  };`;

interface Sides {
  randomOf(seed: number): (below: number) => number;
  sendAll(queue: unknown, from: string, count: number, random: unknown): Promise<void>;
  receiveAll(queue: unknown, random: unknown): Promise<Received>;
}
interface Received {
  got: string[];
  gaveUp: number;
}
const here = new Function(`${sides} return { randomOf, sendAll, receiveAll };`)() as Sides;

function check(received: Received[], froms: string[], count: number): void {
  const all = new Set<string>();
  for (const { got } of received) {
    const last = new Map<string, number>();
    for (const text of got) {
      const [from, number, priority] = text.split(' ') as [string, string, string];
      if (all.has(`${from} ${number}`)) expect.fail(`${text} came twice`);
      all.add(`${from} ${number}`);
      const line = `${from} ${priority}`;
      if ((last.get(line) ?? -1) >= Number(number)) expect.fail(`${text} came after ${last.get(line)}`);
      last.set(line, Number(number));
    }
  }
  expect(all.size).toBe(froms.length * count);
  for (const from of froms) for (let number = 0; number < count; number++) all.delete(`${from} ${number}`);
  expect(all.size).toBe(0);
  // Else nothing was tried of what this is about.
  expect(received.reduce((sum, { gaveUp }) => sum + gaveUp, 0)).toBeGreaterThan(0);
}

const sizes = { maxMessages: 10, messageSize: 32 };

describe('every message comes once, and those of one sender and priority in their order', () => {
  it('with many calls on several handles of one process', async () => {
    const queue = makeQueue(sizes);
    const froms = ['a', 'b', 'c', 'd'];
    const count = 3000;
    // A receiver is a handle: of calls that wait on one the first is the first that is served.
    const receivers = Array.from({ length: 4 }, (_, index) =>
      here.receiveAll(openAgain(queue), here.randomOf(index + 1)),
    );
    await Promise.all(
      froms.map((from, index) => here.sendAll(openAgain(queue), from, count, here.randomOf(index + 11))),
    );
    for (const _ of receivers) await queue.send('');
    check(await Promise.all(receivers), froms, count);
    expect(queue.tryReceive()).toBeNull();
  });

  it('with workers', async () => {
    const queue = makeQueue(sizes);
    const count = 5000;
    const source = `${withWorkers}
      const [name, count, sides] = args;
      const start = (act, seed) => startWorker(sides + \`
        const [name, count, seed, from] = workerData;
        const queue = MessageQueue.open(name);
        parentPort.postMessage(await \` + act + \`);\`, [name, count, seed, 'w' + seed]);
      const senders = [1, 2, 3].map((seed) => start('sendAll(queue, from, count, randomOf(seed))', seed));
      const receivers = [4, 5].map((seed) => start('receiveAll(queue, randomOf(seed))', seed));
      const received = Promise.all(receivers.map(reply));
      await Promise.all(senders.map(reply));
      const queue = MessageQueue.open(name);
      for (const _ of receivers) await queue.send('');
      await send(await received);`;
    const peer = startPeer(source, { args: [queue.name, count, sides], execArgv });
    check(await peer.next(), ['w1', 'w2', 'w3'], count);
    expect(await peer.exited).toMatchObject(clean);
    expect(queue.tryReceive()).toBeNull();
  });

  it('between processes, each of which does both', async () => {
    const queue = makeQueue(sizes);
    const count = 6000;
    const source = `${sides}
      const [name, count, seed] = args;
      const sender = MessageQueue.open(name);
      const received = Promise.all([1, 2].map((each) => receiveAll(MessageQueue.open(name), randomOf(seed * 10 + each))));
      await sendAll(sender, 'p' + seed, count, randomOf(seed));
      await send('sent');
      await send(await received);`;
    const seeds = [1, 2, 3, 4];
    const peers: Peer[] = seeds.map((seed) => startPeer(source, { args: [queue.name, count, seed] }));
    for (const peer of peers) expect(await peer.next()).toBe('sent');
    for (const _ of peers) for (let each = 0; each < 2; each++) await queue.send('');
    const received: Received[][] = await Promise.all(peers.map((peer) => peer.next()));
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    check(
      received.flat(),
      seeds.map((seed) => `p${seed}`),
      count,
    );
    expect(queue.tryReceive()).toBeNull();
  });
});
