/** Word of messages that come into an empty queue, and who has the one registration for it. */
import { MessageQueue } from 'interproc';
import { describe, expect, it } from 'vitest';
import { systemError } from '../support/failures.js';
import { openDescriptors } from '../support/leaks.js';
import { drain, makeQueue, openAgain, turn } from '../support/message-queues.js';
import { queueName } from '../support/names.js';
import { clean, runPeer, startPeer } from '../support/peer.js';
import { leavesNothingOpen } from '../support/pipes.js';
import { closing, closingFd } from '../support/sockets.js';
import { execArgv, withWorkers } from '../support/workers.js';

leavesNothingOpen();

const end = { done: true, value: undefined };
const value = (count: number) => ({ done: false, value: count });
const busy = systemError('EBUSY', 'mq_notify');
const aborted = expect.objectContaining({ name: 'AbortError', code: 'ABORT_ERR' });

/** Whether a promise is still pending after some turns of the event loop. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  promise.then(settle, settle);
  for (let turns = 0; turns < 3; turns++) await turn();
  return !settled;
}

/** Somebody can register: nobody has it. */
async function expectFree(queue: MessageQueue): Promise<void> {
  const notices = queue.notifications();
  const waiting = notices.next();
  expect(await isPending(waiting)).toBe(true);
  await notices.return?.();
  expect(await waiting).toEqual(end);
}

describe('notifications', () => {
  it('begin with what is there already, and take nothing', async () => {
    const queue = makeQueue();
    queue.trySend('1');
    queue.trySend('2');
    const notices = queue.notifications();
    expect(await notices.next()).toEqual(value(2));
    const waiting = notices.next();
    expect(await isPending(waiting)).toBe(true);
    expect(drain(queue)).toEqual(['1', '2']);
    queue.trySend('3');
    expect(await waiting).toEqual(value(1));
    await notices.return?.();
  });

  it('tell of each time that the queue is empty no more', async () => {
    const queue = makeQueue();
    const other = openAgain(queue);
    const notices = queue.notifications();
    for (let round = 0; round < 50; round++) {
      const waiting = notices.next();
      if (round % 2 === 0) expect(await isPending(waiting)).toBe(true);
      const texts = Array.from({ length: 1 + (round % 4) }, (_, index) => `${index}`);
      for (const text of texts) other.trySend(text);
      expect(await waiting).toEqual(value(texts.length));
      expect(drain(queue)).toEqual(texts);
    }
    await notices.return?.();
  });

  it('tell nothing of what comes into a queue that is not empty', async () => {
    const queue = makeQueue();
    const notices = queue.notifications();
    queue.trySend('1');
    await notices.next();
    const waiting = notices.next();
    for (const text of ['2', '3']) {
      queue.trySend(text);
      expect(await isPending(waiting)).toBe(true);
    }
    expect(drain(queue)).toEqual(['1', '2', '3']);
    expect(await isPending(waiting)).toBe(true);
    queue.trySend('4');
    expect(await waiting).toEqual(value(1));
    await notices.return?.();
  });

  it('make one of all that come while nobody asks', async () => {
    const queue = makeQueue();
    const notices = queue.notifications();
    queue.trySend('0');
    await notices.next();
    for (let round = 0; round < 5; round++) {
      drain(queue);
      queue.trySend(`${round}`);
      await turn();
    }
    queue.trySend('last');
    expect(await notices.next()).toEqual(value(2));
    drain(queue);
    const waiting = notices.next();
    expect(await isPending(waiting)).toBe(true);
    queue.trySend('x');
    expect(await waiting).toEqual(value(1));
    await notices.return?.();
  });

  it('tell how many are there by now, which may be none', async () => {
    const queue = makeQueue();
    const notices = queue.notifications();
    const waiting = notices.next();
    queue.trySend('taken at once');
    drain(queue);
    expect(await waiting).toEqual(value(0));
    await notices.return?.();
  });

  it('come beside receives that wait, which take the messages', async () => {
    const queue = makeQueue();
    const received: string[] = [];
    let noticed = 0;
    const noticing = (async () => {
      for await (const _ of queue.notifications()) if (++noticed === 20) break;
    })();
    const receiving = (async () => {
      for await (const { data } of queue) {
        if (String(data) === 'end') break;
        received.push(String(data));
      }
    })();
    let sent = 0;
    for (; noticed < 20; sent++) {
      await queue.send(`${sent}`);
      while (queue.attributes().messages > 0) await turn();
    }
    await noticing;
    await queue.send('end');
    await receiving;
    expect(received).toEqual(Array.from({ length: sent }, (_, index) => `${index}`));
  });

  it('serve several next() in their order, each with an edge of its own', async () => {
    const queue = makeQueue();
    const notices = queue.notifications();
    const waiting = [notices.next(), notices.next(), notices.next()];
    for (let count = 1; count <= 3; count++) {
      for (let each = 0; each < count; each++) queue.trySend('x');
      expect(await waiting[count - 1]).toEqual(value(count));
      drain(queue);
    }
    await notices.return?.();
  });

  it('are for those who may only receive, and for those who may only send', async () => {
    const queue = makeQueue();
    for (const options of [{ readOnly: true }, { writeOnly: true }]) {
      const handle = closing(MessageQueue.open(queue.name as string, options));
      const notices = handle.notifications();
      const waiting = notices.next();
      queue.trySend('x');
      expect(await waiting).toEqual(value(1));
      drain(queue);
      await notices.return?.();
    }
  });
});

describe('the registration', () => {
  it('is one: every other loop, on this handle or another, is EBUSY, is over, and harms nobody', async () => {
    const queue = makeQueue();
    const other = openAgain(queue);
    const notices = queue.notifications();
    const waiting = notices.next();
    const before = await openDescriptors();
    for (const handle of [queue, other, queue, other]) {
      const refused = handle.notifications();
      await expect(refused.next()).rejects.toEqual(busy);
      expect(await refused.next()).toEqual(end);
      expect(await refused.return?.()).toEqual(end);
    }
    expect(await openDescriptors()).toEqual(before);
    queue.trySend('x');
    expect(await waiting).toEqual(value(1));
    await notices.return?.();
    drain(queue);
    await expectFree(other);
  });

  it('is taken by the first next(), and kept between them', async () => {
    const queue = makeQueue();
    const notices = queue.notifications();
    await expectFree(queue);
    queue.trySend('x');
    await notices.next();
    await expect(queue.notifications().next()).rejects.toEqual(busy);
    await notices.return?.();
    drain(queue);
    await expectFree(queue);
  });

  it('is given up where the loop is left, by break and by throw', async () => {
    const queue = makeQueue();
    queue.trySend('x');
    for await (const count of queue.notifications()) {
      expect(count).toBe(1);
      break;
    }
    const thrown = (async () => {
      for await (const _ of queue.notifications()) throw new Error('enough');
    })();
    await expect(thrown).rejects.toThrow('enough');
    drain(queue);
    await expectFree(queue);
  });

  it('is given up by return(), which ends a next() that waits, and before there was one', async () => {
    const queue = makeQueue();
    const before = await openDescriptors();
    const notices = queue.notifications();
    const waiting = [notices.next(), notices.next()];
    expect(await notices.return?.()).toEqual(end);
    expect(await Promise.all(waiting)).toEqual([end, end]);
    expect(await notices.next()).toEqual(end);
    const never = queue.notifications();
    expect(await never.return?.()).toEqual(end);
    expect(await never.next()).toEqual(end);
    await expectFree(queue);
    expect(await openDescriptors()).toEqual(before);
  });

  it('is given up by an abort: before, while it waits, and between two', async () => {
    const queue = makeQueue();
    const before = await openDescriptors();
    const over = queue.notifications({ signal: AbortSignal.abort() });
    await expect(over.next()).rejects.toEqual(aborted);
    await expectFree(queue);

    const abort = new AbortController();
    const notices = queue.notifications({ signal: abort.signal });
    const waiting = notices.next();
    await turn();
    abort.abort();
    await expect(waiting).rejects.toEqual(aborted);
    expect(await notices.next()).toEqual(end);
    await expectFree(queue);

    const between = new AbortController();
    const third = queue.notifications({ signal: between.signal });
    queue.trySend('x');
    expect(await third.next()).toEqual(value(1));
    between.abort();
    drain(queue);
    await expectFree(queue);
    await expect(third.next()).rejects.toEqual(aborted);
    expect(await openDescriptors()).toEqual(before);
  });

  it('is given up by closing and by detaching the queue, which end the loop quietly', async () => {
    for (const close of ['close', 'detach'] as const) {
      const queue = makeQueue();
      const other = openAgain(queue);
      const notices = queue.notifications();
      const waiting = [notices.next(), notices.next()];
      await turn();
      const fd = queue[close]();
      expect(await Promise.all(waiting)).toEqual([end, end]);
      expect(await notices.next()).toEqual(end);
      await expectFree(other);
      if (fd !== undefined) closingFd(fd);
    }
  });

  it('is lost to nobody where a next() is aborted in the turn in which its message comes', async () => {
    const queue = makeQueue();
    for (let round = 0; round < 100; round++) {
      const abort = new AbortController();
      const notices = queue.notifications({ signal: abort.signal });
      const [settled] = [Promise.allSettled([notices.next()])];
      if (round % 2 === 0) await turn();
      const acts = [() => void queue.trySend('x'), () => abort.abort()];
      for (const act of round % 4 < 2 ? acts : acts.reverse()) act();
      const [result] = await settled;
      if (result?.status === 'rejected') expect(result.reason).toEqual(aborted);
      await notices.return?.();
      // Whoever comes next sees it.
      const next = queue.notifications();
      expect(await next.next()).toEqual(value(1));
      await next.return?.();
      drain(queue);
      await expectFree(queue);
    }
  });
});

describe('another handle of this process that is closed, which ends the registration', () => {
  const disturbances: Record<string, (queue: MessageQueue) => unknown> = {
    'close()': (queue) => MessageQueue.open(queue.name as string).close(),
    'that of a descriptor': (queue) => MessageQueue.fromFd(queue.fd).close(),
    'a look whether it is linked': (queue) => expect(queue.linked).toBe(true),
  };

  it.each(Object.entries(disturbances))(
    'has it made anew, and nothing is told of that: %s',
    async (_, disturb) => {
      const queue = makeQueue();
      const notices = queue.notifications();
      for (let round = 0; round < 20; round++) {
        const waiting = notices.next();
        disturb(queue);
        expect(await isPending(waiting)).toBe(true);
        disturb(queue);
        queue.trySend('seen');
        disturb(queue);
        expect(await waiting).toEqual(value(1));
        disturb(queue);
        expect(drain(queue)).toEqual(['seen']);
        disturb(queue);
      }
      await notices.return?.();
      await expectFree(queue);
    },
  );

  it.each(Object.entries(disturbances))('loses no message that comes in between: %s', async (_, disturb) => {
    const queue = makeQueue();
    const notices = queue.notifications();
    for (let round = 0; round < 20; round++) {
      const waiting = notices.next();
      await turn();
      disturb(queue);
      // Nobody is registered now.
      queue.trySend('seen');
      expect(await waiting).toEqual(value(1));
      drain(queue);
    }
    await notices.return?.();
  });

  it('makes it free for others: who is too late then rejects with EBUSY', async () => {
    const queue = makeQueue();
    const answers = makeQueue();
    const source = `
      const [queue, answers] = args.map((name) => MessageQueue.open(name));
      const notices = queue.notifications();
      let taken;
      await send('ready');
      await next();
      for (;;) {
        const one = queue.notifications();
        const waiting = one.next();
        if (await Promise.race([waiting, new Promise(setImmediate)]).then(() => true, () => false)) {
          answers.sendSync('mine');
          assert.equal((await waiting).value, 1);
          break;
        }
      }`;
    const peer = startPeer(source, { args: [queue.name, answers.name] });
    expect(await peer.next()).toBe('ready');
    const waiting = queue.notifications().next();
    expect(await isPending(waiting)).toBe(true);
    // Nothing of ours runs until the other one has it.
    const refused = expect(waiting).rejects.toEqual(busy);
    await new Promise<void>((sent) => peer.process.send('go', () => sent()));
    openAgain(queue).close();
    expect(String(answers.receiveSync({ timeout: 40_000 }).data)).toBe('mine');
    await refused;
    queue.trySend('x');
    expect(await peer.exited).toMatchObject(clean);
  });
});

describe('a worker', () => {
  it('that is terminated, or ends, gives its registration up', async () => {
    const source = `${withWorkers}
      const queue = MessageQueue.create(args[0], { maxMessages: 2, messageSize: 8 });
      const refusal = () => queue.notifications().next().then(() => undefined, ({ code }) => code);
      for (const way of ['terminate', 'end', 'terminate']) {
        const worker = startWorker(\`
          const queue = MessageQueue.open(workerData);
          globalThis.notices = queue.notifications();
          const waiting = notices.next();
          waiting.then(({ done }) => { if (!done) throw new Error('told of nothing'); });
          await new Promise(setImmediate);
          parentPort.once('message', () => queue.unref());
          say();\`, args[0]);
        assert.equal(await reply(worker), 'there');
        assert.equal(await refusal(), 'EBUSY');
        const exited = once(worker, 'exit');
        if (way === 'end') worker.postMessage('end');
        else await worker.terminate();
        await exited;
        const notices = queue.notifications();
        const waiting = notices.next();
        queue.trySend('x');
        assert.equal((await waiting).value, 1);
        queue.tryReceive();
        await notices.return();
      }`;
    expect(await runPeer(source, { args: [queueName()], execArgv })).toMatchObject(clean);
  });

  it('that opens and closes the queue all the time takes no word from the others', async () => {
    const source = `${withWorkers}
      const queue = MessageQueue.create(args[0], { maxMessages: 2, messageSize: 8 });
      const worker = startWorker(\`
        say();
        for (;;) MessageQueue.open(workerData).close();\`, args[0]);
      await reply(worker);
      const notices = queue.notifications();
      for (let round = 0; round < 1000; round++) {
        const waiting = notices.next();
        if (round % 3 === 0) await new Promise(setImmediate);
        queue.trySend('' + round);
        const { value } = await waiting;
        assert.equal(value, 1, 'round ' + round);
        assert.equal(String(queue.tryReceive().data), '' + round);
      }
      await worker.terminate();`;
    expect(await runPeer(source, { args: [queueName()], execArgv })).toMatchObject(clean);
  });
});

describe('who empties the queue after each word', () => {
  it.each([1, 2])(
    'sees everything of 2,000 random rounds, and never looks by himself: seed %i',
    async (seed) => {
      const queue = makeQueue();
      const answers = makeQueue();
      const rounds = 2000;
      // The next round begins when all of this one was seen: a word that is lost is waited for in vain.
      const source = `
      const [names, rounds, seed] = args;
      const [queue, answers] = names.map((name) => MessageQueue.open(name));
      let state = seed;
      const random = (below) => ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) % below;
      for (let round = 0; round < rounds; round++) {
        const count = 1 + random(6);
        for (let each = 1; each <= count; each++) {
          await queue.send(round + ' ' + (count - each));
          if (random(4) === 0) await new Promise(setImmediate);
        }
        assert.equal(String((await answers.receive()).data), '' + round);
        if (random(3) === 0) await new Promise(setImmediate);
      }`;
      const peer = startPeer(source, { args: [[queue.name, answers.name], rounds, seed] });
      let round = 0;
      let words = 0;
      let state = seed;
      const random = (below: number) => {
        state = (Math.imul(state, 1103515245) + 54321) >>> 0;
        return (state >>> 8) % below;
      };
      for await (const _ of queue.notifications()) {
        words++;
        for (const text of drain(queue)) {
          expect(text).toMatch(new RegExp(`^${round} `));
          if (!text.endsWith(' 0')) continue;
          await answers.send(`${round++}`);
          // Ends the registration in between.
          if (random(10) === 0) openAgain(queue).close();
          if (random(4) === 0) await turn();
        }
        if (round === rounds) break;
      }
      expect(words).toBeGreaterThanOrEqual(rounds / 2);
      expect(await peer.exited).toMatchObject(clean);
      expect(drain(queue)).toEqual([]);
    },
  );
});
