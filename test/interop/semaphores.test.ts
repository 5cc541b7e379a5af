/** Semaphores, POSIX and System V, with C and Python programs on the other side. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ftok, Semaphore, SharedMemory, SysvSemaphoreSet } from 'interproc';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { systemError } from '../support/failures.js';
import { prefix, semaphoreName, shmName, tempPath } from '../support/names.js';
import { closing } from '../support/sockets.js';
import { compile, debianPython, hasSysvIpc, type Program, sleeps, startProgram } from './programs.js';

const project = 200; // as the peers have it; gives a negative key
const memorySize = 4096;
const counterOffset = 64;

let inC: string[] = [];
const folder = mkdtempSync(join(tmpdir(), prefix));
beforeAll(() => {
  inC = compile(new URL('semaphores.c', import.meta.url), folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

const script = fileURLToPath(new URL('semaphores.py', import.meta.url));
const languages = [
  { language: 'C', peer: () => inC },
  { language: 'Python', peer: () => ['python3', script] },
];

/** What the three kinds have in common for these tests. */
interface Counting {
  value(): number;
  /** `post` the first time, so that it can be had at once. */
  take(): Promise<unknown>;
  tryTake(): boolean;
  takeSync(): unknown;
  post(): void;
  close(): void;
}

interface Kind {
  kind: string;
  place(): string;
  create(where: string, initial: number): Counting;
  open(where: string): Counting;
}

function posix(semaphore: Semaphore): Counting {
  return {
    value: () => semaphore.value,
    take: () => semaphore.acquire(),
    tryTake: () => semaphore.tryAcquire() !== null,
    takeSync: () => semaphore.acquireSync(),
    post: () => semaphore.release(),
    close: () => semaphore.close(),
  };
}

function ofSet(set: SysvSemaphoreSet): Counting {
  const less = { index: 0, delta: -1 };
  return {
    value: () => set.get(0),
    take: () => set.op(less),
    tryTake: () => set.tryOp(less),
    takeSync: () => set.opSync(less),
    post: () => void set.tryOp({ index: 0, delta: 1 }),
    close: () => set.close(),
  };
}

/** A file for ftok; what its key leads to is removed after the test. */
function keyFile(): string {
  const path = tempPath('key');
  writeFileSync(path, '');
  const key = ftok(path, project);
  onTestFinished(() => {
    for (const set of SysvSemaphoreSet.list()) if (set.key === key) SysvSemaphoreSet.remove(set.id);
  });
  return path;
}

/** Shared memory, filled with zeros. */
function memoryName(): string {
  const name = shmName();
  closing(SharedMemory.create(name, { size: memorySize }));
  return name;
}

const posixKinds: Kind[] = [
  {
    kind: 'named',
    place: semaphoreName,
    create: (where, initial) => posix(closing(Semaphore.create(where, { initial }))),
    open: (where) => posix(closing(Semaphore.open(where))),
  },
  {
    kind: 'unnamed',
    place: memoryName,
    create: (where, initial) =>
      posix(closing(Semaphore.at(closing(SharedMemory.open(where)), 0, { initial }))),
    open: (where) => posix(closing(Semaphore.at(closing(SharedMemory.open(where)), 0))),
  },
];
const sets = (kind: string): Kind => ({
  kind,
  place: keyFile,
  create: (where, initial) =>
    ofSet(closing(SysvSemaphoreSet.create(ftok(where, project), { count: 1, initial }))),
  open: (where) => ofSet(closing(SysvSemaphoreSet.openSync(ftok(where, project)))),
});
const kinds = [...posixKinds, sets('set')];

/** Starts a program that opens it or, with a value, makes it. */
async function start(peer: string[], kind: string, where: string, value?: number): Promise<Program> {
  const program = startProgram(peer, [kind, where, ...(value === undefined ? [] : ['create', value])]);
  expect(await program.line()).toBe('open');
  return program;
}

async function ask(program: Program, command: string): Promise<string | undefined> {
  program.say(command);
  return program.line();
}

async function finish(program: Program): Promise<void> {
  program.process.stdin?.end();
  await program.ended();
}

const busy = (kind: string) => (kind === 'module' ? 'failed busy' : `failed ${constants.errno.EAGAIN}`);

function cases(peer: () => string[], { kind, place, create, open }: Kind) {
  it('takes and posts what Node has made', async () => {
    const where = place();
    const ours = create(where, 2);
    const program = await start(peer(), kind, where);
    expect(await ask(program, 'value')).toBe('2');
    expect(await ask(program, 'wait')).toBe('done');
    expect(ours.value()).toBe(1);
    expect(ours.tryTake()).toBe(true);
    expect(await ask(program, 'try')).toBe(busy(kind));
    expect(await ask(program, 'post')).toBe('done');
    expect(ours.tryTake()).toBe(true);
    expect(await ask(program, 'value')).toBe('0');
    await finish(program);
  });

  it('makes one that Node takes and posts', async () => {
    const where = place();
    const program = await start(peer(), kind, where, 3);
    const ours = open(where);
    expect(ours.value()).toBe(3);
    await ours.take();
    ours.takeSync();
    expect(await ask(program, 'value')).toBe('1');
    expect(await ask(program, 'wait')).toBe('done');
    expect(ours.tryTake()).toBe(false);
    ours.post();
    expect(await ask(program, 'try')).toBe('done');
    await finish(program);
  });

  it('waits for Node, and Node for it', async () => {
    const where = place();
    const ours = create(where, 0);
    const program = await start(peer(), kind, where);
    for (let round = 0; round < 20; round++) {
      program.say('wait');
      await sleeps(program);
      expect(ours.value()).toBe(0);
      ours.post();
      expect(await program.line()).toBe('done');
      const taken = ours.take();
      expect(await ask(program, 'post')).toBe('done');
      await taken;
    }
    expect(ours.value()).toBe(0);
    await finish(program);
  });

  it('shuts Node out while it is inside, and Node it: what both count is right', async () => {
    const where = place();
    const ours = create(where, 1);
    const memory = memoryName();
    const counter = new Uint16Array(closing(SharedMemory.open(memory)).buffer, counterOffset, 1);
    const programs = [await start(peer(), kind, where), await start(peer(), kind, where)];
    const times = 2000;
    for (const program of programs) program.say(`count ${times} ${memory}`);
    for (let i = 0; i < times; i++) {
      // In two steps, between which everybody else would get in.
      await ours.take();
      const before = counter[0] as number;
      if (i % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
      counter[0] = before + 1;
      ours.post();
    }
    for (const program of programs) expect(await program.line()).toBe('done');
    expect(counter[0]).toBe(3 * times);
    expect(ours.value()).toBe(1);
    for (const program of programs) await finish(program);
  });
}

describe.each(languages.flatMap((language) => kinds.map((kind) => ({ ...language, kind }))))(
  'a $language program and a semaphore, $kind.kind',
  ({ peer, kind }) => cases(peer, kind),
);

describe.each(languages)('a $language program', ({ peer }) => {
  it('removes the name of a semaphore', async () => {
    const name = semaphoreName();
    closing(Semaphore.create(name, { initial: 1 }));
    const program = await start(peer(), 'named', name);
    expect(await ask(program, 'remove')).toBe('done');
    expect(() => Semaphore.open(name)).toThrow(systemError('ENOENT', 'sem_open', name));
    await finish(program);
  });

  it('has what it took with SEM_UNDO given back when it is killed', async () => {
    const path = keyFile();
    const set = closing(SysvSemaphoreSet.create(ftok(path, project), { count: 1, initial: 2 }));
    const program = await start(peer(), 'set', path);
    expect(await ask(program, 'undo')).toBe('done');
    expect(await ask(program, 'undo')).toBe('done');
    const taken = set.op({ index: 0, delta: -2 });
    expect(set.tryOp({ index: 0, delta: -1 })).toBe(false);
    program.process.kill('SIGKILL');
    await taken;
    expect(set.get(0)).toBe(0);
  });

  it('ends a wait of Node by removing the set', async () => {
    const path = keyFile();
    const set = closing(SysvSemaphoreSet.create(ftok(path, project), { count: 1 }));
    const program = await start(peer(), 'set', path);
    const waiting = set.op({ index: 0, delta: -1 });
    waiting.catch(() => {});
    expect(await ask(program, 'remove')).toBe('done');
    await expect(waiting).rejects.toEqual(systemError('EIDRM', 'semop'));
    await finish(program);
  });

  it('that has only called semget has a set of zeros, which Node opens and waits on', async () => {
    const path = keyFile();
    const program = await start(peer(), 'set', path, 0);
    // Node's own sets have a mode of their own until they are filled in: no other program's set is taken for such a one.
    const set = closing(await SysvSemaphoreSet.open(ftok(path, project)));
    expect([set.getAll(), set.stat().operatedAt]).toEqual([[0], null]);
    const taken = set.op({ index: 0, delta: -1 });
    expect(await ask(program, 'post')).toBe('done');
    await taken;
    expect(set.getAll()).toEqual([0]);
    await finish(program);
  });

  it('finds a set of Node operated on, as those want it that wait for its maker', async () => {
    const path = keyFile();
    const set = closing(SysvSemaphoreSet.create(ftok(path, project), { count: 1, initial: 3 }));
    expect(set.stat().operatedAt).toBeInstanceOf(Date);
    const program = await start(peer(), 'set', path);
    expect(await ask(program, 'value')).toBe('3');
    await finish(program);
  });
});

// Debian's python3-sysv-ipc is for Debian's python3.
describe.skipIf(!hasSysvIpc)('a Python program with python3-sysv-ipc and a set of semaphores', () => {
  cases(() => [debianPython, script], sets('module'));

  it('has what it took with SEM_UNDO given back when it ends', async () => {
    const path = keyFile();
    const set = closing(SysvSemaphoreSet.create(ftok(path, project), { count: 1, initial: 1 }));
    const program = await start([debianPython, script], 'module', path);
    expect(await ask(program, 'undo')).toBe('done');
    expect(set.get(0)).toBe(0);
    await finish(program);
    expect(set.get(0)).toBe(1);
  });
});
