/** The textbook use of conditions: a bounded queue between processes. A lost notification leaves it standing for ever. */
import { SharedMemory } from 'interproc';
import { expect, it, onTestFinished } from 'vitest';
import { shmName } from '../support/names.js';
import { clean, startPeer } from '../support/peer.js';

const items = 800;
/** With more places the notification of one would make up for that of another. */
const capacity = 1;
const sides = { producers: 2, consumers: 3 };
/** Words: of the queue, then a count for each item, then one of notifications and one of waits that they have ended. */
const [headWord, tailWord, madeWord, notifiedWord, endedWord] = [1024, 1025, 1026, 1027, 1028];
const ringWord = 1040;
const takenWord = 2048;

/**
 * A side of it. Its tasks take turns with others of the same thread, or block it; patient ones wait for ever, so that nothing
 * but a notification helps them. The impatient ones do something only when they are notified, and give up at random moments.
 */
const side = `
  const [name, role, seed, how] = args;
  const memory = SharedMemory.open(name);
  const words = new Int32Array(memory.buffer);
  const mutex = Mutex.at(memory, 0);
  const notEmpty = Condition.at(memory, 1024), notFull = Condition.at(memory, 2048);
  let state = seed;
  const random = (below) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >>> 8) % below;
  };
  const count = () => words[${tailWord}] - words[${headWord}];
  const notify = (condition) => void (words[${notifiedWord}] += condition.notifyOne());
  /** One step with the mutex: true when it was done, null when there is nothing left to do. */
  const put = () => {
    if (words[${madeWord}] === ${items}) return null;
    if (count() === ${capacity}) return false;
    words[${ringWord} + (words[${tailWord}]++ % ${capacity})] = words[${madeWord}]++;
    if (words[${madeWord}] === ${items}) words[${notifiedWord}] += notFull.notifyAll() + notEmpty.notifyAll();
    return true;
  };
  const take = () => {
    if (count() === 0) return words[${madeWord}] === ${items} ? null : false;
    words[${takenWord} + words[${ringWord} + (words[${headWord}]++ % ${capacity})]]++;
    return true;
  };
  const canPut = () => words[${madeWord}] < ${items} && count() < ${capacity};
  const canTake = () => count() > 0;
  const [step, canStep, mine, theirs] =
    role === 'producer' ? [put, canPut, notFull, notEmpty] : [take, canTake, notEmpty, notFull];
  const patient = async () => {
    for (;;) {
      const held = await mutex.lock();
      let done;
      while ((done = step()) === false) {
        await mine.wait(held);
        words[${endedWord}]++;
      }
      const early = random(2) === 0;
      if (done && early) notify(theirs);
      if (done && !early) {
        // Without the mutex: its own count is kept with it.
        held.unlock();
        const notified = theirs.notifyOne();
        const again = await mutex.lock();
        words[${notifiedWord}] += notified;
        again.unlock();
      } else held.unlock();
      if (done === null) return;
    }
  };
  const blocking = () => {
    for (;;) {
      const held = mutex.lockSync();
      let done;
      while ((done = step()) === false) {
        try {
          mine.waitSync(held);
          words[${endedWord}]++;
        } catch (error) {
          if (error.code !== 'ETIMEDOUT') throw error;
        }
      }
      if (done) notify(theirs);
      held.unlock();
      if (done === null) return;
    }
  };
  const impatient = async () => {
    for (;;) {
      const held = await mutex.lock();
      const abort = new AbortController();
      const options = random(2) === 0 ? { timeout: random(30) / 10 } : { signal: abort.signal };
      if (options.signal !== undefined) {
        const ways = [setImmediate, queueMicrotask, (call) => setTimeout(call, random(3))];
        ways[random(3)](() => abort.abort());
      }
      let done = canStep() ? undefined : words[${madeWord}] === ${items} ? null : false;
      if (done === false) {
        try {
          await mine.wait(held, options);
          words[${endedWord}]++;
          done = step(); // what he was notified of is his to do
        } catch (error) {
          if (error.code !== 'ETIMEDOUT' && error.code !== 'ABORT_ERR') throw error;
        }
      }
      if (done) notify(theirs);
      held.unlock();
      if (done === null) return;
      await new Promise((later) => setImmediate(later));
    }
  };
  if (how === 'blocking') blocking();
  else await Promise.all([patient(), impatient(), patient(), impatient()]);`;

it.each([11, 12, 13])(
  'no notification is lost in a bounded queue, and none invented: seed %i',
  async (seed) => {
    const name = shmName();
    const memory = SharedMemory.create(name, { size: 16_384 });
    onTestFinished(() => memory.close());
    const words = new Int32Array(memory.buffer);
    const roles = [
      ...Array(sides.producers).fill('producer'),
      ...Array(sides.consumers).fill('consumer'),
    ] as string[];
    const peers = roles.map((role, i) =>
      startPeer(side, { args: [name, role, seed * 100 + i, i % 2 === 0 ? 'async' : 'blocking'] }),
    );
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    const taken = [...words.subarray(takenWord, takenWord + items)];
    expect(taken).toEqual(Array(items).fill(1));
    // One that was passed on when nobody waited any more has ended no wait.
    expect(words[endedWord]).toBeLessThanOrEqual(words[notifiedWord] as number);
  },
);
