/** A mutex with C programs on the other side: who has it, who waits for it and who died with it. */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MappedFile, Mutex, RwLock, SharedMemory } from 'interproc';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { awaited, released, taken } from '../../dist/sync/lock-rules.js';
import { systemError } from '../support/failures.js';
import { prefix, shmName, tempPath } from '../support/names.js';
import { startPeer } from '../support/peer.js';
import { closing } from '../support/sockets.js';
import { compile, type Program, sleeps, startProgram } from './programs.js';

const source = new URL('locks.c', import.meta.url);
const size = 4096;
/** Where the mutex lies in these tests, and, as locks.c has it, what it guards. */
const offset = 256;
const counterWord = 16;
const times = 1500;

const warnings = ['-pedantic', '-Wshadow', '-Wconversion'];
interface Language {
  language: string;
  compiled: string[];
  setting: Parameters<typeof compile>[2];
}
const languages: Language[] = [
  { language: 'C', compiled: [], setting: { standard: 'c11', warnings } },
  { language: 'C++', compiled: [], setting: { language: 'c++', standard: 'c++17', warnings } },
];
const folder = mkdtempSync(join(tmpdir(), prefix));
beforeAll(() => {
  for (const each of languages) {
    each.compiled = compile(source, mkdtempSync(join(folder, prefix)), each.setting);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Memory, and how a C program and a Node peer get at it. */
interface Place {
  memory: SharedMemory | MappedFile;
  where: string[];
  fds: number[];
  /** An expression of a peer. */
  source: string;
}

const quoted = JSON.stringify;

function named(): Place {
  const name = shmName();
  const memory = closing(SharedMemory.create(name, { size }));
  return { memory, where: ['shm', name], fds: [], source: `SharedMemory.open(${quoted(name)})` };
}

function anonymous(): Place {
  const memory = closing(SharedMemory.anonymous({ size }));
  return { memory, where: ['fd', '3'], fds: [memory.fd], source: 'SharedMemory.fromFd(4)' };
}

function inFile(): Place {
  const path = tempPath();
  const memory = closing(MappedFile.create(path, { size }));
  return { memory, where: ['file', path], fds: [], source: `MappedFile.open(${quoted(path)})` };
}

function start(compiled: string[], { where, fds }: Place, at: number | string = offset): Program {
  return startProgram(compiled, [...where, at], fds);
}

async function opened(compiled: string[], place: Place): Promise<Program> {
  const program = start(compiled, place);
  expect(await program.line()).toBe('open');
  return program;
}

/** A Node process that has `mutex` and `counters`. */
function startNode(place: Place, script: string, env: NodeJS.ProcessEnv = {}) {
  return startPeer(
    `import * as interproc from 'interproc';
    const memory = ${place.source};
    const counters = new Uint32Array(memory.buffer, ${counterWord * 4}, 2);
    const mutex = interproc.Mutex.at(memory, ${offset});
    ${script}`,
    { fds: place.fds, env },
  );
}

const hangingWithIt = `mutex.lockSync(); await send('held'); setInterval(() => {}, 1000);`;

async function ask(program: Program, command: string): Promise<string | undefined> {
  program.say(command);
  return program.line();
}

async function finish(...programs: Program[]): Promise<void> {
  for (const program of programs) program.process.stdin?.end();
  for (const program of programs) await program.ended();
}

async function killed({ ended }: Program): Promise<void> {
  await expect(ended()).rejects.toThrow('SIGKILL');
}

const countersOf = ({ memory }: Place) => new Uint32Array(memory.buffer, counterWord * 4, 2);
const failure = (code: string) => expect.objectContaining({ name: 'IpcError', code });

/** As a C program does it. */
const countSource = `(counters) => {
  const [before, same] = counters;
  if (before !== same) throw new Error('torn: ' + before + ', ' + same);
  counters[0] = before + 1;
  counters[1] = before + 1;
}`;
const countOn: (counters: Uint32Array) => void = new Function(`return ${countSource}`)();

describe.each(languages)('a mutex of Node and $language programs', (tested) => {
  it.each([
    { way: 'shared memory with a name', make: named },
    { way: 'memory whose descriptor was inherited', make: anonymous },
    { way: 'a mapped file', make: inFile },
  ])('shuts each other out in $way, however they lock: what all count is right', async ({ make }) => {
    const place = make();
    const mutex = Mutex.at(place.memory, offset);
    const counters = countersOf(place);
    const programs = [await opened(tested.compiled, place), await opened(tested.compiled, place)];
    const node = startNode(
      place,
      `const count = ${countSource};
      for (let time = 0; time < ${times}; time++) {
        let held = null;
        if (time % 2 === 0) held = mutex.lockSync();
        else while (held === null) held = mutex.tryLock();
        count(counters);
        held.unlock();
      }`,
    );
    programs[0]?.say(`count ${times} each`);
    programs[1]?.say(`count ${times} lock`);
    for (let time = 0; time < times; time++) {
      const held = await mutex.lock();
      if (time % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
      expect(held.abandoned).toBe(false);
      countOn(counters);
      held.unlock();
    }
    for (const program of programs) expect(await program.line()).toBe('done');
    expect(await node.exited).toMatchObject({ code: 0, stderr: '' });
    expect([...counters]).toEqual([4 * times, 4 * times]);
    expect(mutex.holder).toBeNull();
    await finish(...programs);
  });

  it('tells who has it, on both sides', async () => {
    const place = named();
    const mutex = Mutex.at(place.memory, offset);
    const program = await opened(tested.compiled, place);
    expect(await ask(program, 'lock -1')).toBe('locked');
    expect(mutex.holder).toEqual({ pid: program.process.pid, alive: true });
    expect(await ask(program, 'lock -1')).toBe('EDEADLK');
    expect(await ask(program, 'try')).toBe('EDEADLK');
    expect(mutex.tryLock()).toBeNull();
    expect(() => mutex.lockSync({ timeout: 1 })).toThrow(failure('ETIMEDOUT'));
    await expect(mutex.lock({ timeout: 1 })).rejects.toEqual(failure('ETIMEDOUT'));
    const taken = mutex.lock();
    expect(await ask(program, 'unlock')).toBe('done');
    const held = await taken;
    expect(held.abandoned).toBe(false);
    for (const [command, outcome] of Object.entries({
      try: 'EBUSY',
      'lock 0': 'ETIMEDOUT',
      'lock 1': 'ETIMEDOUT',
      'lock 30': 'ETIMEDOUT',
      unlock: 'EPERM',
      recovered: 'EPERM',
    })) {
      expect([command, await ask(program, command)]).toEqual([command, outcome]);
    }
    program.say('lock -1');
    await sleeps(program);
    held.unlock();
    expect(await program.line()).toBe('locked');
    expect(await ask(program, 'recovered')).toBe('done');
    expect(await ask(program, 'unlock')).toBe('done');
    expect(await ask(program, 'unlock')).toBe('EPERM');
    await finish(program);
  });

  it.each(['lock', 'lockSync', 'tryLock'] as const)(
    'is abandoned by a program that is killed: Node gets it by %s, makes the data whole, and another program goes on',
    async (how) => {
      const place = named();
      const mutex = Mutex.at(place.memory, offset);
      const counters = countersOf(place);
      const victim = await opened(tested.compiled, place);
      const successor = await opened(tested.compiled, place);
      expect(await ask(victim, 'lock -1')).toBe('locked');
      const waiting = how === 'lock' ? mutex.lock() : undefined;
      victim.say('halve');
      if (how !== 'lock') await killed(victim); // who only tries has to come after it
      const held = (await waiting) ?? (how === 'lockSync' ? mutex.lockSync() : mutex.tryLock());
      if (held === null) throw new Error('the holder seems to live');
      expect([...counters]).toEqual([1, 0]);
      expect(held.abandoned).toBe(true);
      counters[1] = 1;
      successor.say('count 10 each');
      held.recovered();
      held.unlock();
      expect(await successor.line()).toBe('done');
      expect([...counters]).toEqual([11, 11]);
      await finish(successor);
    },
  );
});

describe('a mutex of Node and C programs', () => {
  const tested = languages[0] as Language;

  it('is abandoned by a Node process that is killed, and a program that waits goes on', async () => {
    const place = named();
    const node = startNode(
      place,
      `mutex.lockSync(); counters[0]++; await send('held'); setInterval(() => {}, 1000);`,
    );
    expect(await node.next()).toBe('held');
    const program = await opened(tested.compiled, place);
    expect(await ask(program, 'try')).toBe('EBUSY');
    program.say('lock -1');
    await sleeps(program);
    node.process.kill('SIGKILL');
    expect(await program.line()).toBe('abandoned');
    expect([...countersOf(place)]).toEqual([1, 0]);
    countersOf(place)[1] = 1;
    expect(await ask(program, 'recovered')).toBe('done');
    expect(await ask(program, 'unlock')).toBe('done');
    expect(await ask(program, 'count 10 lock')).toBe('done');
    await finish(program);
    const held = await Mutex.at(place.memory, offset).lock();
    expect(held.abandoned).toBe(false);
    held.unlock();
  });

  it('is not recoverable where a program has not made it whole: for those who wait, and who come', async () => {
    const place = named();
    const mutex = Mutex.at(place.memory, offset);
    const node = startNode(
      place,
      `mutex.lockSync(); await send('held'); process.kill(process.pid, 'SIGKILL');`,
    );
    await node.exited;
    const program = await opened(tested.compiled, place);
    const waiter = await opened(tested.compiled, place);
    expect(await ask(program, 'try')).toBe('abandoned');
    waiter.say('lock -1');
    await sleeps(waiter);
    const waiting = mutex.lock();
    waiting.catch(() => {});
    expect(await ask(program, 'unlock')).toBe('done');
    expect(await waiter.line()).toBe('NOT_RECOVERABLE');
    await expect(waiting).rejects.toEqual(failure('ERR_INTERPROC_NOT_RECOVERABLE'));
    expect(() => mutex.tryLock()).toThrow(failure('ERR_INTERPROC_NOT_RECOVERABLE'));
    for (const command of ['try', 'lock 0', 'lock -1']) {
      expect(await ask(program, command)).toBe('NOT_RECOVERABLE');
    }
    const repaired = mutex.tryRepair();
    repaired?.recovered();
    repaired?.unlock();
    expect(await ask(program, 'count 1 each')).toBe('done');
    await finish(program, waiter);
  });

  it('is not recoverable where Node has not made it whole, and a program hears of it', async () => {
    const place = named();
    const mutex = Mutex.at(place.memory, offset);
    const victim = await opened(tested.compiled, place);
    const waiter = await opened(tested.compiled, place);
    expect(await ask(victim, 'lock -1')).toBe('locked');
    victim.process.kill('SIGKILL');
    const held = await mutex.lock();
    waiter.say('lock -1');
    await sleeps(waiter);
    held.unlock();
    expect(await waiter.line()).toBe('NOT_RECOVERABLE');
    expect(await ask(waiter, 'try')).toBe('NOT_RECOVERABLE');
    expect(await ask(waiter, 'unlock')).toBe('EPERM');
    await finish(waiter);
    expect(mutex.holder).toBeNull();
  });

  it('is found abandoned also by a program that gets more signals than sleep', async () => {
    const place = named();
    const program = await opened(tested.compiled, place);
    expect(await ask(program, 'mind-signals')).toBe('done');
    const node = startNode(place, hangingWithIt);
    expect(await node.next()).toBe('held');
    program.say('lock -1');
    await sleeps(program);
    node.process.kill('SIGKILL');
    await node.exited;
    expect(await signalsUntil(program.line(), program.process)).toBeLessThan(few);
    await finish(program);
  });

  it('does not belong to a forked child, which can not unlock what its parent has', async () => {
    const place = named();
    const program = await opened(tested.compiled, place);
    expect(await ask(program, 'lock -1')).toBe('locked');
    expect(await ask(program, 'fork')).toBe(
      'unlock: EPERM, try: EBADF, lock: EBADF, own: done, unlock: EPERM, recovered: EPERM, lock: ETIMEDOUT',
    );
    expect(Mutex.at(place.memory, offset).holder).toEqual({ pid: program.process.pid, alive: true });
    expect(await ask(program, 'unlock')).toBe('done');
    await finish(program);
  });

  it('is abandoned by a program that is killed while a child of it lives on', async () => {
    const place = named();
    const program = await opened(tested.compiled, place);
    expect(await ask(program, 'lock -1')).toBe('locked');
    const child = Number(await ask(program, 'leave-child'));
    onTestFinished(() => void process.kill(child, 'SIGKILL'));
    program.process.kill('SIGKILL');
    const held = await Mutex.at(place.memory, offset).lock();
    expect(held.abandoned).toBe(true);
    process.kill(child, 0); // it lives
    held.unlock();
  });

  it('is abandoned by a program that goes on as another one', async () => {
    const place = named();
    const program = await opened(tested.compiled, place);
    expect(await ask(program, 'lock -1')).toBe('locked');
    program.say('exec');
    const held = await Mutex.at(place.memory, offset).lock();
    expect(held.abandoned).toBe(true);
    held.unlock();
  });

  it.each([
    { step: 'lock.taken', abandoned: true },
    { step: 'lock.releasing', abandoned: true },
    { step: 'lock.released', abandoned: false },
    { step: 'lock.roused', abandoned: false },
  ])('goes on with Node when a program is killed at $step', async ({ step, abandoned }) => {
    const place = named();
    const mutex = Mutex.at(place.memory, offset);
    const victim = await opened(tested.compiled, place);
    const first = step === 'lock.taken' ? null : await ask(victim, 'lock -1');
    const waiting = first === null ? undefined : mutex.lock();
    expect(await ask(victim, `die ${step}`)).toBe('done');
    // It has somebody to wake only once Node sleeps on it.
    if (first !== null)
      while (word(place) >>> 31 === 0) await new Promise((resolve) => setImmediate(resolve));
    victim.say(first === null ? 'lock -1' : 'unlock');
    await killed(victim);
    const held = await (waiting ?? mutex.lock());
    expect(held.abandoned).toBe(abandoned);
    held.recovered();
    held.unlock();
    expect(mutex.holder).toBeNull();
  });

  it.each(['lock.flagged', 'lock.woken', 'lock.given-up'])(
    'goes on with others when a program that waits is killed at %s',
    async (step) => {
      const place = named();
      const mutex = Mutex.at(place.memory, offset);
      const held = await mutex.lock();
      const victim = await opened(tested.compiled, place);
      const waiter = await opened(tested.compiled, place);
      expect(await ask(victim, `die ${step}`)).toBe('done');
      victim.say('lock 50');
      waiter.say('lock -1');
      await sleeps(waiter);
      if (step !== 'lock.woken') await killed(victim);
      held.unlock();
      expect(await waiter.line()).toBe('locked');
      const again = mutex.lock();
      expect(await ask(waiter, 'unlock')).toBe('done');
      expect((await again).abandoned).toBe(false);
      (await again).unlock();
      await killed(victim);
      await finish(waiter);
    },
  );

  it.each([
    { step: 'lock.taken', outcome: 'abandoned' },
    { step: 'lock.releasing', outcome: 'abandoned' },
    { step: 'lock.released', outcome: 'locked' },
  ])('goes on with a program when Node is killed at $step', async ({ step, outcome }) => {
    const place = named();
    const program = await opened(tested.compiled, place);
    const script = `await send('there'); await next(); const held = mutex.lockSync(); held.unlock();`;
    const node = startNode(place, script, { INTERPROC_FAILPOINT: step });
    expect(await node.next()).toBe('there');
    node.send('go');
    expect(await node.exited).toMatchObject({ signal: 'SIGKILL' });
    expect(await ask(program, 'lock -1')).toBe(outcome);
    expect(await ask(program, 'recovered')).toBe('done');
    expect(await ask(program, 'unlock')).toBe('done');
    await finish(program);
  });

  it('can not be opened while another program has locked all of its file, and nobody waits for that', async () => {
    const place = inFile();
    const program = await opened(tested.compiled, place);
    expect(await ask(program, 'lockf')).toBe('done');
    expect(() => Mutex.at(place.memory, offset)).toThrow(systemError('EBUSY', 'fcntl_locking'));
    expect(await start(tested.compiled, place).line()).toBe('EBUSY');
    await finish(program);
    expect(Mutex.at(place.memory, offset).holder).toBeNull();
  });

  it('goes by the rules of the package', async () => {
    const program = await opened(tested.compiled, named());
    const line = await ask(program, 'rules');
    const lines = (line ?? '').split('; ').filter((each) => each !== '');
    expect(lines).toHaveLength(8);
    for (const each of lines) {
      const [state, ...values] = each.match(/\d+/g)?.map((value) => Number(value) | 0) ?? [];
      const there = state as number;
      const expected = [released(there)];
      for (let how = 0; how < 8; how++) {
        const wanting = { tries: (how & 1) !== 0, hasSlept: (how & 2) !== 0, isLate: (how & 4) !== 0 };
        expected.push(taken(there, 77, wanting), awaited(there, wanting));
      }
      expect([there, values]).toEqual([there, expected]);
    }
    await finish(program);
  });

  it('is opened by a program where a mutex is or zeros are, and nowhere else', async () => {
    const place = named();
    const { memory } = place;
    const openedAt = async (at: number) => {
      const program = start(tested.compiled, place, at);
      const line = await program.line();
      await finish(program);
      return line;
    };
    RwLock.at(memory, 1024);
    Mutex.at(memory, 2048, { recovery: false });
    Mutex.at(memory, 2064);
    new Uint8Array(memory.buffer).fill(7, 3072, 3088);
    const outcomes: Record<number, string> = {
      1024: 'MISMATCH',
      2048: 'MISMATCH',
      2064: 'open',
      3072: 'MISMATCH',
      [offset + 4]: 'EINVAL',
      [offset]: 'open',
    };
    for (const [at, outcome] of Object.entries(outcomes)) {
      expect([at, await openedAt(Number(at))]).toEqual([at, outcome]);
    }
    // Where the program was.
    expect(() => RwLock.at(memory, offset)).toThrow(failure('ERR_INTERPROC_MISMATCH'));
    expect(() => Mutex.at(memory, offset, { recovery: false })).toThrow(failure('ERR_INTERPROC_MISMATCH'));
    expect(Mutex.at(memory, offset).holder).toBeNull();
  });
});

/** The state of the mutex. */
function word({ memory }: Place): number {
  return Atomics.load(new Uint32Array(memory.buffer, offset, 1), 0);
}

it('is found abandoned also by a Node thread that gets more signals than sleep', async () => {
  const place = named();
  const victim = await opened((languages[0] as Language).compiled, place);
  expect(await ask(victim, 'lock -1')).toBe('locked');
  const node = startNode(
    place,
    `process.on('SIGWINCH', () => {}); // which nobody minds who does not listen any more
    await send('there');
    await send(mutex.lockSync().abandoned);
    await next(); // who ends sleeps on other words`,
  );
  expect(await node.next()).toBe('there');
  victim.process.kill('SIGKILL');
  await killed(victim);
  const abandoned = node.next();
  expect(await signalsUntil(abandoned, node.process)).toBeLessThan(few);
  expect(await abandoned).toBe(true);
  node.send('end');
  expect(await node.exited).toMatchObject({ code: 0, stderr: '' });
});

/** A signal may miss the sleep that it is to end. */
const few = 50;

/** Sends signals to who sleeps on a word, whenever it does so again, until `over`; how many it took. */
async function signalsUntil(over: Promise<unknown>, { pid }: ChildProcess): Promise<number> {
  const futex = process.arch === 'arm64' ? '98 ' : '202 ';
  let isOver = false;
  void over.finally(() => {
    isOver = true;
  });
  for (let sent = 0; ; ) {
    if (isOver) return sent;
    try {
      if (readFileSync(`/proc/${pid}/syscall`, 'utf8').startsWith(futex)) {
        process.kill(pid as number, 'SIGWINCH');
        sent++;
      }
    } catch {} // it has ended
    await new Promise((resolve) => setImmediate(resolve));
  }
}
