/** The slots of an RwLock's readers: who stands in one reads, whatever else happens. */
import { RwLock, SharedMemory } from 'interproc';
import { expect, it, onTestFinished } from 'vitest';
import { shmName } from '../support/names.js';
import { startPeer } from '../support/peer.js';

/** Many views of one memory, each of which reads in a slot of its own. */
function manyViews(count: number): { locks: RwLock[]; words: Int32Array } {
  const name = shmName();
  const first = SharedMemory.create(name, { size: 4096 });
  const views = [first, ...Array.from({ length: count - 1 }, () => SharedMemory.open(name))];
  onTestFinished(() => {
    for (const memory of views) memory.close();
  });
  return { locks: views.map((memory) => RwLock.at(memory, 0)), words: new Int32Array(first.buffer) };
}

const code = (name: string) => expect.objectContaining({ code: name });
/** A process that is killed while it writes. */
const diesWriting = (name: string) =>
  startPeer(
    `RwLock.at(SharedMemory.open(args[0]), 0).writeSync();
     process.kill(process.pid, 'SIGKILL');`,
    { args: [name] },
  ).exited;
const turn = () => new Promise((resolve) => setImmediate(resolve));

it('reads of a lock that is not recoverable leave no slot behind', async () => {
  const name = shmName();
  using memory = SharedMemory.create(name, { size: 4096 });
  const lock = RwLock.at(memory, 0);
  await diesWriting(name);
  const abandoned = lock.tryWrite();
  expect(abandoned?.abandoned).toBe(true);
  abandoned?.unlock();
  expect(() => lock.tryRead()).toThrow(code('ERR_INTERPROC_NOT_RECOVERABLE'));
  expect(() => lock.readSync()).toThrow(code('ERR_INTERPROC_NOT_RECOVERABLE'));
  expect(lock.readers).toBe(0);
  const repaired = lock.tryRepair();
  repaired?.recovered();
  repaired?.unlock();
  const written = lock.writeSync();
  expect(written.abandoned).toBe(false);
  written.unlock();
});

it('a reader for whom there is no slot comes in when any of the others leaves', async () => {
  const { locks } = manyViews(RwLock.maxReaders + 1);
  const late = locks.pop() as RwLock;
  const guards = locks.map((lock) => lock.readSync());
  expect(late.tryRead()).toBeNull();
  const waiting = late.read();
  await turn();
  guards[7]?.unlock();
  (await waiting).unlock();
  for (const guard of guards) guard[Symbol.dispose]();
});

it('a reader who found no slot sleeps while somebody writes', async () => {
  const { locks, words } = manyViews(RwLock.maxReaders + 2);
  const [late, writer] = locks.splice(0, 2) as [RwLock, RwLock];
  const guards = locks.map((lock) => lock.readSync());
  const waiting = late.read();
  await turn();
  for (const guard of guards) guard.unlock();
  const written = writer.tryWrite();
  expect(written).not.toBeNull();
  // It says in the lock's word that it sleeps on that, and tries no slot over and over.
  await expect.poll(() => Atomics.load(words, 0)).toBeLessThan(0);
  written?.unlock();
  (await waiting).unlock();
});

it.each(['tryRead', 'tryWrite', 'readSync', 'writeSync'] as const)(
  '%s() of closed memory says so',
  (call) => {
    const memory = SharedMemory.anonymous({ size: 4096 });
    const lock = RwLock.at(memory, 0);
    memory.close();
    expect(() => lock[call]()).toThrow(code('ERR_INTERPROC_CLOSED'));
  },
);

it.each(['read', 'write'] as const)('%s() of one try has what a dead writer had', async (call) => {
  const name = shmName();
  using memory = SharedMemory.create(name, { size: 4096 });
  const lock = RwLock.at(memory, 0);
  await diesWriting(name);
  const guard = await lock[call]({ timeout: 0 });
  expect(guard.abandoned).toBe(true);
  guard.recovered();
  guard.unlock();
  const again = await lock.write({ timeout: 0 });
  await expect(lock[call]({ timeout: 0 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  again.unlock();
});
