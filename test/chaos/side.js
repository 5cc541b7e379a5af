/**
 * The sender or the receiver of the storm (storm.js), until it is killed or told to stop. Starts when it reads a byte,
 * so that it can be at hand before its predecessor is killed; says `h` when it is, and `r` when it starts. With `worker`, the side is in a
 * worker thread: `t` terminates that and starts another one, and is answered by `t`.
 *
 * Keeps its account in the ledger (descriptor 3). The channel is `name`, or behind descriptor 4.
 */
import { readSync, writeSync } from 'node:fs';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { Channel, SharedMemory } from 'interproc';
import { seeded } from '../support/seeded.js';
import { Ledger, ledgerSize } from './ledger.js';
import { authorOf, headSize, messageOf, numberOf, writeMessage } from './messages.js';
import { now } from './storms.js';

/** @typedef {{ side: 'sender' | 'receiver', seed: number, name: string | null, worker: boolean }} Setup */

/** @type {Setup} */
const setup = isMainThread ? JSON.parse(process.argv[2] ?? '') : workerData;
const memory = SharedMemory.fromFd(3);
if (memory.size < ledgerSize) throw new Error('descriptor 3 is no ledger');
const ledger = new Ledger(memory.buffer);

const random = seeded(setup.seed);

/** @template T @param {readonly T[]} list @returns {T} */
const oneOf = (list) => /** @type {T} */ (list[random(list.length)]);

const pause = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));
const parent = process.ppid;
const stopped = () => {
  if (process.ppid !== parent) process.exit(1); // the runner is gone
  return ledger.get('stop') === 1;
};
/** What blocks looks up now and then. */
const patience = { timeout: 500 };
const few = () => 1 + random(20);

/** When this side started. */
let startedAt = 0;
/** Of the deaths that this process has noticed, the last one. */
let noticed = 0;
/** When the call began that may have to wait. */
let waitingSince = 0;

/**
 * Whether `error` tells that the peer has died: then this side goes on, and its successor will come. The same where it
 * has only waited for long.
 *
 * @param {unknown} error
 */
async function goesOnAfter(error) {
  const { code } = /** @type {{ code?: string }} */ (error);
  if (code === 'ETIMEDOUT') return true;
  if (code !== 'ERR_INTERPROC_PEER_DIED') return false;
  const killedAt = ledger.get(setup.side === 'sender' ? 'receiverKilledAt' : 'senderKilledAt');
  if (killedAt !== noticed) {
    const ms = now() - Math.max(killedAt, waitingSince);
    ledger.addSample(setup.side === 'sender' ? 'senderNoticed' : 'receiverNoticed', ms);
  }
  noticed = killedAt;
  await pause(1);
  return true;
}

/** @param {import('interproc').Sender} sender */
async function send(sender) {
  const author = ledger.get('author') + 1;
  ledger.set('author', author);
  const from = sender.predecessorPublished;
  const { certain, handed } = { certain: ledger.get('certain'), handed: ledger.get('handed') };
  if (from < certain || from < handed) {
    throw new Error(
      `predecessors have published ${from}, ${certain} for certain, and ${handed} were received`,
    );
  }
  const most = sender.maxMessageSize;
  let next = from;
  // Mostly short: checking long ones costs more than sending them.
  const length = () =>
    headSize + random(Math.min(oneOf([8, 8, 16, 32, 64, 64, 128, most]), most - headSize) + 1);
  const message = (/** @type {number} */ ahead) => messageOf(length(), next + ahead, author);
  /** @param {number} count */
  const list = (count) => Array.from({ length: count }, (_, ahead) => message(ahead));
  /** Notes that so many more are about to be sent; what is not accepted is taken off again. @param {number} count */
  const about = (count) => ledger.add('sent', count);
  /** @param {number} count @param {number} tried */
  const done = (count, tried) => {
    next += count;
    if (count !== tried) about(count - tried);
  };
  const published = () => ledger.set('certain', next);

  /** @param {import('interproc').Slot} slot */
  const fill = (slot) => {
    if (random(10) === 0) return slot.abort();
    // Claims may be longer than what becomes of them.
    const size = headSize + random(slot.length - headSize + 1);
    writeMessage(slot.bytes, slot.byteOffset, size, next, author);
    about(1);
    slot.commit(size);
    done(1, 1);
  };
  /** Several with an outcome that may be partial. @param {() => number | Promise<number>} call @param {number} tried */
  const many = async (call, tried) => {
    about(tried);
    try {
      done(await call(), tried);
    } catch (error) {
      done(/** @type {{ sent?: number }} */ (error).sent ?? 0, tried);
      throw error;
    }
  };
  /** One, sent or not. @param {() => boolean | void | Promise<void>} call */
  const one = (call) =>
    many(async () => {
      try {
        return (await call()) === false ? 0 : 1;
      } catch (error) {
        throw Object.assign(/** @type {Error} */ (error), { sent: 0 });
      }
    }, 1);

  const forms = [
    () => one(() => sender.trySend(message(0))),
    () => one(() => sender.send(message(0))),
    async () => {
      await one(() => sender.sendSync(message(0), patience));
      published();
    },
    async () => {
      const messages = list(few());
      await many(() => sender.sendMany(messages), messages.length);
    },
    () => {
      const messages = list(few());
      return many(() => sender.trySendMany(messages), messages.length);
    },
    async () => {
      const messages = list(few());
      await many(() => sender.sendManySync(messages, patience), messages.length);
      published();
    },
    async () => fill(await sender.claim(length())),
    () => fill(sender.claimSync(length(), patience)),
    () => {
      const slot = sender.tryClaim(length());
      if (slot !== null) fill(slot);
    },
    () => {
      sender.flush();
      published();
    },
    async () => {
      if (random(20) === 0) await sender.drained();
    },
  ];
  const leisure = 1 + random(3);
  while (!stopped()) {
    const form = oneOf(forms);
    try {
      for (let left = few(); left > 0 && !stopped(); left--) {
        waitingSince = now();
        await form();
      }
      if (random(4) < leisure) await pause(random(4));
    } catch (error) {
      if (!(await goesOnAfter(error))) throw error;
    }
  }
  sender.close();
  published();
}

/** @param {import('interproc').Receiver} receiver */
async function receive(receiver) {
  let next = receiver.received;
  let first = true;
  let fresh = false; // one came that was not flagged: no flagged one may follow
  const killedAt = ledger.get('receiverKilledAt');

  /** All before `next` is finished. */
  const finished = () => ledger.set('finished', next);

  /** @param {Uint8Array} bytes @param {number} offset @param {number} length @param {boolean} again */
  const got = (bytes, offset, length, again) => {
    const number = numberOf(bytes, offset, length);
    const handed = ledger.get('handed');
    /** @param {'lost' | 'torn' | 'disordered' | 'unflagged' | 'unfinished' | 'misflagged'} what @param {number} by */
    const wrong = (what, by = 1) => {
      ledger.add(what, by);
      ledger.complain(`${what}: ${JSON.stringify({ number, next, again, length, ...ledger.toJSON() })}`);
    };
    if (number < 0) wrong('torn');
    else if (number > handed) wrong('lost', number - handed);
    else if (number !== next) wrong('disordered');
    else if (number < handed) {
      if (number < ledger.get('finished')) wrong('unfinished');
      if (again) ledger.add('twice');
      else wrong('unflagged');
    } else if (again) ledger.add('early');
    if (again && fresh) wrong('misflagged');
    fresh ||= !again;
    if (number < 0) {
      next++;
      return;
    }
    next = number + 1;
    if (next > handed) ledger.set('handed', next);
    if (first && killedAt > 0) {
      ledger.addSample('receiverReplaced', now() - killedAt);
      ledger.addSample('receiverTookOver', now() - startedAt);
    }
    first = false;
    const author = authorOf(bytes, offset);
    if (author > ledger.get('lastAuthor')) {
      const at = ledger.get('senderKilledAt');
      if (at > 0 && ledger.get('lastAuthor') > 0) {
        ledger.addSample('senderReplaced', now() - at);
        ledger.addSample('senderTookOver', now() - Math.max(startedAt, ledger.get('senderStartedAt')));
      }
      ledger.set('lastAuthor', author);
    }
  };
  /** @param {Buffer[]} messages */
  const all = (messages) => {
    finished(); // the call has finished what was given out before
    for (const [index, each] of messages.entries()) got(each, 0, each.length, index < receiver.redelivered);
    return true;
  };
  /** @param {import('interproc').Message} each */
  const inPlace = (each) => {
    finished(); // the handler was called for the next one
    got(each.bytes, each.byteOffset, each.length, each.redelivered);
  };
  /** @param {Buffer | null | undefined} message */
  const maybe = (message) => (message === undefined ? false : all(message === null ? [] : [message]));
  /** @param {Buffer[] | null | undefined} messages */
  const maybeAll = (messages) => (messages === undefined ? false : all(messages ?? []));
  /** @param {number | undefined} count */
  const drained = (count) => count !== undefined && all([]);

  /** Each is false when the sender has closed. */
  const forms = [
    () => maybe(receiver.tryReceive()),
    async () => maybe(await receiver.receive()),
    () => maybe(receiver.receiveSync(patience)),
    async () => {
      let left = few();
      for await (const message of receiver) {
        all([message]);
        if (--left === 0) return true;
      }
      return false;
    },
    () => maybeAll(receiver.tryReceiveMany(few())),
    async () => maybeAll(await receiver.receiveMany(few())),
    () => maybeAll(receiver.receiveManySync(few(), patience)),
    () => drained(receiver.tryDrain(inPlace, few())),
    async () => drained(await receiver.drain(inPlace, few())),
    () => drained(receiver.drainSync(inPlace, few(), patience)),
  ];
  const leisure = random(4);
  for (;;) {
    const form = oneOf(forms);
    try {
      for (let left = few(); left > 0; left--) {
        waitingSince = now();
        // The end is final only when the sender was told to close; before that, none closes.
        if (!(await form())) return receiver.close();
      }
      // With messages in hand, mostly.
      if (!stopped() && random(4) < leisure) await pause(random(6));
      else await new Promise(setImmediate); // the forms that try don't wait
    } catch (error) {
      if (!(await goesOnAfter(error))) throw error;
    }
  }
}

async function takePart() {
  const { side, name } = setup;
  startedAt = now();
  const channel = name === null ? Channel.fromFd(4) : Channel.openSync(name);
  const awaitPeer = random(2) === 0;
  if (side === 'sender') ledger.set('senderStartedAt', startedAt);
  if (side === 'sender') await send(channel.sender({ awaitPeer }));
  else await receive(channel.receiver({ awaitPeer }));
  channel.close();
}

async function takePartOrComplain() {
  try {
    await takePart();
  } catch (error) {
    ledger.add(setup.side === 'sender' ? 'senderErrors' : 'receiverErrors');
    ledger.complain(`the ${setup.side}: ${error instanceof Error ? error.stack : error}`);
    throw error;
  }
}

function startWorker() {
  return new Worker(new URL(import.meta.url), { workerData: { ...setup, seed: random(2 ** 31) } });
}

if (!isMainThread) {
  await takePartOrComplain();
} else {
  writeSync(1, 'h');
  if (readSync(0, Buffer.alloc(1)) === 0) process.exit(1); // the runner is gone
  if (!setup.worker) {
    writeSync(1, 'r');
    await takePartOrComplain();
  } else {
    let worker = startWorker();
    let replacing = false;
    worker.once('online', () => writeSync(1, 'r'));
    const watch = () => worker.on('exit', () => replacing || process.stdin.destroy());
    watch();
    process.stdin.on('data', async () => {
      replacing = true;
      await worker.terminate();
      worker = startWorker();
      replacing = false;
      watch();
      writeSync(1, 't');
    });
  }
}
