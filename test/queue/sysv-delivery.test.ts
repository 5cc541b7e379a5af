/**
 * Delivery of System V queues: what was sent is received exactly once, and in order per sender and type, whoever sends and
 * receives, and however receives end.
 */
import { SysvMessageQueue } from 'interproc';
import { describe, expect, it } from 'vitest';
import { clean, runPeer, startPeer } from '../support/peer.js';
import { makeQueue } from '../support/sysv.js';
import { execArgv, withWorkers } from '../support/workers.js';

const types = 3;
/** What ends a receiver: sent behind all others, it comes last. Of this type, one who asks for another doesn't take it. */
const last = 'last';
const lastType = 9;

/** For the head of a script: ways to send and to receive, by name. */
const ways = `
  const turn = () => new Promise(setImmediate);
  let state = 1;
  const random = (below) => (state = (state * 48271) % 2147483647) % below;
  const given = (promise, code) => promise.catch((error) => { if (error.code !== code) throw error; return null; });
  const sends = {
    send: (queue, type, text) => queue.send(type, text),
    sendSync: (queue, type, text) => queue.sendSync(type, text),
    async trySend(queue, type, text) { while (!queue.trySend(type, text)) await turn(); },
    async impatient(queue, type, text) {
      // A send that timed out has sent nothing.
      while ((await given(queue.send(type, text, { timeout: random(2) / 4 }).then(() => true), 'ETIMEDOUT')) === null);
    },
  };
  const receives = {
    receive: (queue, wanted) => queue.receive(wanted),
    receiveSync: (queue, wanted) => queue.receiveSync(wanted),
    async tryReceive(queue, wanted) {
      for (;;) {
        const message = queue.tryReceive(wanted);
        if (message !== null) return message;
        await turn();
      }
    },
    impatient: (queue, wanted) => given(queue.receive({ ...wanted, timeout: random(4) / 4 }), 'ETIMEDOUT'),
    async impatientSync(queue, wanted) {
      try {
        return queue.receiveSync({ ...wanted, timeout: random(4) / 4 });
      } catch (error) {
        if (error.code !== 'ETIMEDOUT') throw error;
        await turn();
        return null;
      }
    },
    async aborted(queue, wanted) {
      const controller = new AbortController();
      const receiving = given(queue.receive({ ...wanted, signal: controller.signal }), 'ABORT_ERR');
      for (let turns = random(12); turns > 0; turns--) await turn();
      controller.abort();
      return receiving;
    },
  };
  const sendAll = async (queue, name, how, count) => {
    for (let number = 0; number < count; number++)
      for (let type = 1; type <= ${types}; type++) await sends[how](queue, type, name + ' ' + number);
  };
  const receiveAll = async (queue, wanted, how) => {
    const got = [];
    for (;;) {
      const message = await receives[how](queue, wanted);
      if (message === null) continue;
      if (String(message.data) === '${last}') return got;
      got.push(message.type + ' ' + message.data);
    }
  };`;

/** `lists`: what each receiver got, as 'type sender number'. */
function expectExactlyOnce(lists: string[][], senders: string[], count: number): void {
  const all = senders.flatMap((sender) =>
    Array.from({ length: types }, (_, type) =>
      Array.from({ length: count }, (_, number) => `${type + 1} ${sender} ${number}`),
    ).flat(),
  );
  const got = lists.flat();
  expect(got.length).toBe(all.length);
  expect(new Set(got)).toEqual(new Set(all));
  for (const list of lists) {
    const latest = new Map<string, number>();
    for (const [type, sender, number] of list.map((each) => each.split(' '))) {
      const which = `${type} ${sender}`;
      expect(Number(number), which).toBeGreaterThan(latest.get(which) ?? -1);
      latest.set(which, Number(number));
    }
  }
}

describe('what is sent', () => {
  const cases = [
    ['receive', 'receiveSync'],
    ['impatient', 'aborted'],
    ['impatientSync', 'tryReceive'],
  ] as const;

  it.each(cases)(
    'is received exactly once and in order by other processes: %s and %s',
    async (one, other) => {
      const queue = makeQueue({ maxBytes: 400 });
      const count = 250;
      const receiver = `${ways}
      const [id, type, how] = args;
      await send(await receiveAll(SysvMessageQueue.fromId(id), { type }, how));`;
      const sender = `${ways}
      const [id, how, count] = args;
      await sendAll(SysvMessageQueue.fromId(id), how, how, count);`;
      // Some ask for one type, some for whatever comes.
      const wanted = [0, 1, 0, 2];
      const receivers = wanted.map((type, at) =>
        startPeer(receiver, { args: [queue.id, type, at % 2 === 0 ? one : other] }),
      );
      const results = receivers.map((each) => each.next());
      const senders = ['send', 'sendSync', 'impatient', 'trySend'];
      const ends = await Promise.all(senders.map((how) => runPeer(sender, { args: [queue.id, how, count] })));
      for (const end of ends) expect(end).toMatchObject(clean);
      const ofAll = results.filter((_, at) => wanted[at] === 0);
      for (const _ of ofAll) await queue.send(lastType, last);
      await Promise.all(ofAll);
      for (const type of wanted.filter((each) => each !== 0)) await queue.send(type, last);
      const lists = (await Promise.all(results)) as string[][];
      for (const each of receivers) expect(await each.exited).toMatchObject(clean);
      expectExactlyOnce(lists, senders, count);
      expect(queue.stat().messages).toBe(0);
    },
  );

  it('is received exactly once and in order by many handles of one process', async () => {
    const queue = makeQueue({ maxBytes: 300 });
    const count = 200;
    const source = `${ways}
      const [id, count] = args;
      const handle = () => SysvMessageQueue.fromId(id);
      const shared = handle();
      const hows = ['receive', 'aborted', 'impatient', 'tryReceive', 'impatientSync'];
      const receiving = [
        ...hows.map((how) => receiveAll(handle(), {}, how)),
        ...hows.map((how) => receiveAll(shared, {}, how === 'impatientSync' ? 'aborted' : how)),
      ];
      await Promise.all(['send', 'impatient', 'trySend'].map((how) => sendAll(how === 'send' ? shared : handle(), how, how, count)));
      for (const _ of receiving) await shared.send(${lastType}, '${last}');
      await send(await Promise.all(receiving));`;
    const peer = startPeer(source, { args: [queue.id, count] });
    const lists: string[][] = await peer.next();
    expect(await peer.exited).toMatchObject(clean);
    expectExactlyOnce(lists, ['send', 'impatient', 'trySend'], count);
  });

  it('is received exactly once and in order by workers, also those that block', async () => {
    const queue = makeQueue({ maxBytes: 300 });
    const count = 200;
    const source = `${withWorkers}
      const [id, count, ways] = args;
      const receivers = ['receiveSync', 'impatientSync', 'aborted'].map((how) =>
        startWorker(ways + 'parentPort.postMessage(await receiveAll(SysvMessageQueue.fromId(workerData.id), {}, workerData.how));', { id, how }));
      const lists = receivers.map(reply);
      const senders = ['sendSync', 'send', 'impatient'].map((how) =>
        startWorker(ways + 'await sendAll(SysvMessageQueue.fromId(workerData.id), workerData.how, workerData.how, workerData.count);', { id, how, count }));
      for (const [code] of await Promise.all(senders.map((each) => once(each, 'exit')))) assert.equal(code, 0);
      const queue = SysvMessageQueue.fromId(id);
      for (const _ of receivers) await queue.send(${lastType}, '${last}');
      await send(await Promise.all(lists));`;
    const peer = startPeer(source, { args: [queue.id, count, ways], execArgv });
    const lists: string[][] = await peer.next();
    expect(await peer.exited).toMatchObject(clean);
    expectExactlyOnce(lists, ['sendSync', 'send', 'impatient'], count);
  });
});

describe('a receive that is aborted while its message comes', () => {
  it('has the message, or leaves it: none is lost', async () => {
    const queue = makeQueue();
    const outcomes = { taken: 0, left: 0 };
    for (let round = 0; round < 400; round++) {
      const controller = new AbortController();
      const receiving = queue.receive({ signal: controller.signal }).then(
        ({ data }) => String(data),
        (error) => error.code,
      );
      for (let turns = round % 8; turns > 0; turns--) await new Promise(setImmediate);
      // In the same turn: its thread may have it, or be on its way.
      queue.sendSync(1, `${round}`);
      if (round % 3 === 0) for (let spin = 0; spin < 20_000; spin++);
      controller.abort();
      const outcome = await receiving;
      if (outcome === 'ABORT_ERR') {
        expect(queue.tryReceive()).toMatchObject({ data: Buffer.from(`${round}`) });
        outcomes.left++;
      } else {
        expect(outcome).toBe(`${round}`);
        outcomes.taken++;
      }
      expect(queue.stat().messages).toBe(0);
    }
    expect(outcomes.taken).toBeGreaterThan(0);
  });

  it('has it also where the queue is closed in that moment', async () => {
    const keeper = makeQueue();
    for (let round = 0; round < 300; round++) {
      const queue = SysvMessageQueue.fromId(keeper.id);
      const outcomes = [queue.receive(), queue.receive()].map((each) =>
        each.then(
          ({ data }) => String(data),
          (error) => error.code,
        ),
      );
      for (let turns = round % 8; turns > 0; turns--) await new Promise(setImmediate);
      keeper.sendSync(1, `${round}`);
      if (round % 2 === 0) for (let spin = 0; spin < 20_000; spin++);
      queue.close();
      const [first, second] = await Promise.all(outcomes);
      expect(second).toBe('ERR_INTERPROC_CLOSED');
      if (first === 'ERR_INTERPROC_CLOSED')
        expect(keeper.tryReceive()?.data).toEqual(Buffer.from(`${round}`));
      else expect(first).toBe(`${round}`);
      expect(keeper.stat().messages).toBe(0);
    }
  });
});
