/**
 * Every step of the protocols of locks at which a process can die, with a real SIGKILL there: of Node processes, and of C
 * programs that use interproc.h. Those who use the lock besides go on, and so do those who come; what it guards is whole, or
 * the next one who has it is told.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  Barrier,
  Condition,
  Mutex,
  type MutexGuard,
  Once,
  RwLock,
  SharedEvent,
  SharedMemory,
} from 'interproc';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { awaitsWord, compile } from '../interop/programs.js';
import { prefix, shmName } from '../support/names.js';
import { type Language, linesOf, runActor, startActor, startVictim, type Victim } from './actors.js';
import { Data, halfway, memorySize, places } from './lock-places.js';
import { parties, takePart } from './lock-work.js';
import { inHeader, inLib, isOfLocks, type LanguageName, reached, type Walk, walks } from './steps.js';

const folder = mkdtempSync(join(tmpdir(), prefix));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const node: Language = [process.execPath, fileURLToPath(new URL('lock-actor.js', import.meta.url))];
const languages: Record<LanguageName, Language> = {
  Node: node,
  C: compile(new URL('lock-actor.c', import.meta.url), folder),
};
const title = '$language, $form: $failpoint, pass $hit';
const patience = { timeout: 30_000, interval: 5 };

/** Memory with locks, and who uses them in this process. */
class Scene {
  readonly memory = SharedMemory.create(shmName(), { size: memorySize });
  readonly name = this.memory.name as string;
  readonly data = new Data(this.memory.buffer);
  readonly words = new Int32Array(this.memory.buffer);
  /** What those who take part in this process tell. */
  readonly told: string[] = [];
  /** Why some of them have ended. */
  readonly failures: unknown[] = [];

  constructor() {
    // Who still waits when a test has failed hears that it is over.
    onTestFinished(() => {
      this.data.set('stop', 1);
      this.data.set('go', 1);
      try {
        this.memory.close();
      } catch {
        // A lock is held that the test was about to unlock.
      }
    });
  }

  /** Does so many rounds in this process. */
  here(work: string, form: string, count: number, who: number): Promise<void> {
    const part = takePart(this.memory, { work, form, count, who, tell: (line) => this.told.push(line) });
    part.catch((error) => this.failures.push(error)); // whoever waits for it is told
    return part;
  }

  /** In another process. */
  start(work: string, form: string, count: number, who: number, language: Language = node) {
    const actor = startActor(language, work, this.name, form, count, who);
    actor.ended().catch((error) => this.failures.push(error));
    return { ...actor, lines: linesOf(actor) };
  }

  run(work: string, form: string, count: number, language: Language = node): Promise<string[]> {
    return runActor(language, work, this.name, form, count, 7);
  }

  victim({ language, failpoint, hit, form }: Walk, work: string, count = 0): Victim {
    return startVictim(failpoint, hit, languages[language], work, this.name, form, count, 6);
  }

  /** One that has died there, at its first pass. */
  async dead(work: string, failpoint: string, form = 'sync', count = 0): Promise<string[]> {
    return this.victim({ language: 'Node', failpoint, hit: 1, form }, work, count).died;
  }

  word(place: number, index = 0): number {
    return this.words[place / 4 + index] as number;
  }

  /** Until so many more rounds are done by each. */
  async goOn(who: number[], more: number): Promise<void> {
    const then = who.map((each) => this.data.rounds(each));
    const haveDone = (rounds: number) =>
      who.every((each, index) => this.data.rounds(each) >= (then[index] as number) + rounds);
    await expect.poll(() => this.failures.length > 0 || haveDone(more), patience).toBe(true);
    expect(this.failures).toEqual([]);
  }

  /** Those who do one of the works without end, in this process and in another one. */
  async survivors(work: string): Promise<{ end(): Promise<string[]> }> {
    const here = this.here(work, 'async', 0, 0);
    const there = this.start(work, 'sync', 0, 1);
    await this.goOn([0, 1], 1);
    return {
      end: async () => {
        this.data.set('stop', 1);
        await here;
        const lines = await there.lines;
        await there.ended();
        return [...this.told, ...lines];
      },
    };
  }
}

function abandonedIn(lines: string[]): string[] {
  return lines.filter((line) => line.startsWith('abandoned'));
}

const slotsOf = {
  rwlock: { first: 4, count: 60, stride: 1 },
  condition: { first: 8, count: 124, stride: 2 },
  barrier: { first: 4, count: 124, stride: 1 },
};

/** How many stand in the slots of a lock, alive or dead. */
function entered(scene: Scene, kind: keyof typeof slotsOf): number {
  const { first, count, stride } = slotsOf[kind];
  return Array.from({ length: count }, (_, slot) => scene.word(places[kind], first + slot * stride)).filter(
    (owner) => owner !== 0,
  ).length;
}

/** That the lock is free, and so are all its slots. */
function expectFree(scene: Scene, kind: 'mutex' | 'rwlock') {
  expect(scene.word(places[kind])).toBe(0);
  if (kind === 'rwlock') expect(scene.word(places.rwlock, 3)).toBe(0);
  if (kind === 'rwlock') expect(entered(scene, 'rwlock')).toBe(0);
  expect(scene.data.whole).toBe(true);
}

describe('one of many who dies with a lock, or on the way', () => {
  const all = [1, 4];
  const uncontended = ['lock.taken', 'lock.releasing', 'lock.released', halfway];
  const contended = ['lock.flagged', 'lock.woken', 'lock.roused'];
  const mutex = [
    ...walks('Node', ['async', 'sync'], ['lock.named'], [1]),
    ...walks('Node', ['async', 'sync'], [...uncontended, ...contended], all),
    ...walks('Node', ['try'], uncontended, [2]),
    ...walks('Node', ['async impatient', 'sync impatient'], ['lock.given-up'], [2]),
    ...walks('C', ['lock'], ['lock.named'], [1]),
    ...walks('C', ['lock'], [...uncontended, ...contended], all),
    ...walks('C', ['try'], uncontended, [2]),
    ...walks('C', ['impatient'], ['lock.given-up'], [2]),
  ].map((walk) => ({ ...walk, kind: 'mutex' as const }));
  const reading = ['rwlock.entered', 'rwlock.reading', 'rwlock.leaving', 'rwlock.left'];
  const writing = ['rwlock.draining', 'rwlock.writing', 'rwlock.written', ...uncontended];
  const rwlock = [
    ...walks('Node', ['async'], [...reading, ...writing], [1]),
    ...walks('Node', ['sync'], [...reading, ...writing], [3]),
    ...walks('Node', ['async', 'sync'], ['rwlock.flagged', ...contended], [2]),
    ...walks('Node', ['try'], [...reading, ...writing.slice(1)], [2]),
    ...walks('Node', ['async impatient', 'sync impatient'], ['lock.given-up'], [2]),
  ].map((walk) => ({ ...walk, kind: 'rwlock' as const }));

  /** Where whoever comes next has to be told. */
  const guarded = {
    mutex: ['lock.taken', 'lock.releasing', halfway],
    rwlock: ['rwlock.writing', 'lock.releasing', halfway],
  };

  type Of = (typeof mutex)[number] | (typeof rwlock)[number];
  const groups = new Map<string, Of[]>();
  for (const walk of [...mutex, ...rwlock] as Of[]) {
    const group = [walk.kind, walk.language, walk.form].join(', ');
    groups.set(group, [...(groups.get(group) ?? []), walk]);
  }

  // Those who go on are the same for all steps: it takes longer to start them than all else.
  it.each([...groups])('leaves it to the others, at each step: %s', async (_, cases) => {
    const { kind, form } = cases[0] as Of;
    const scene = new Scene();
    const survivors = await scene.survivors(kind);
    const expected: string[] = [];
    for (const walk of cases) {
      expect(await scene.victim(walk, kind).died).toEqual([]);
      await scene.goOn([0, 1], 3);
      const isGuarded = guarded[kind].includes(walk.failpoint);
      if (isGuarded) expected.push(`abandoned ${walk.failpoint === halfway ? 'half' : 'whole'}`);
    }
    const come =
      kind === 'mutex'
        ? await scene.run(kind, 'lock', 3, languages.C)
        : await scene.run(kind, form === 'sync' ? 'try' : 'sync', 4);
    const lines = [...(await survivors.end()), ...come];
    expect(abandonedIn(lines).sort()).toEqual(expected.sort());
    if (kind === 'rwlock') RwLock.at(scene.memory, places.rwlock).tryWrite()?.unlock();
    expectFree(scene, kind);
  });
});

describe('one that dies before it has woken anybody', () => {
  const cases = walks('Node', ['async', 'sync'], ['lock.released'], [1]);

  it.each(cases)(`is found out, though another one has the mutex since: ${title}`, async (walk) => {
    const scene = new Scene();
    const { data } = scene;
    const victim = scene.victim(walk, 'mutex ruin', 1);
    await expect.poll(() => data.get('ready'), patience).toBe(1);
    const here = scene.here('mutex', 'async', 1, 0);
    await expect.poll(() => scene.word(places.mutex) < 0, patience).toBe(true);
    const other = scene.start('mutex snatch', 'sync', 1, 1);
    await expect.poll(() => data.get('ready'), patience).toBe(2);

    // This thread does not come to look before the other one has it, who knows of nobody that waits.
    data.set('go', 1);
    const cell = new Int32Array(new SharedArrayBuffer(4));
    const end = performance.now() + patience.timeout;
    while (data.get('runs') === 0 && performance.now() < end) Atomics.wait(cell, 0, 0, 1);
    expect(scene.word(places.mutex)).toBeGreaterThan(0);
    await victim.died;

    await expect.poll(() => scene.word(places.mutex) < 0, patience).toBe(true);
    data.set('stop', 1);
    await here;
    await other.ended();
    expect(scene.told).toEqual([]);
    expectFree(scene, 'mutex');
  });
});

describe('one that inherits a lock from a dead one, and dies', () => {
  const mutex = [
    ...walks('Node', ['async', 'sync', 'try'], ['lock.inherited'], [1]),
    ...walks('C', ['lock', 'impatient', 'try'], ['lock.inherited'], [1]),
  ].map((walk) => ({ ...walk, kind: 'mutex' as const }));
  const rwlock = walks('Node', ['async', 'sync', 'try'], ['lock.inherited', 'rwlock.draining'], [1]).map(
    (walk) => ({ ...walk, kind: 'rwlock' as const }),
  );

  it.each([...mutex, ...rwlock])(`leaves it, and that it is abandoned: $kind, ${title}`, async (walk) => {
    const { kind } = walk;
    const scene = new Scene();
    await scene.dead(kind, halfway, 'sync');
    expect(scene.data.whole).toBe(false);
    expect(await scene.victim(walk, kind).died).toEqual([]);
    const survivors = await scene.survivors(kind);
    const lines = [...(await scene.run(kind, 'try', 4)), ...(await survivors.end())];
    expect(abandonedIn(lines)).toEqual(['abandoned half']);
    expectFree(scene, kind);
  });
});

describe('one that unlocks without having made the data whole, and dies', () => {
  const cases = [
    ...walks('Node', ['async', 'sync', 'try'], ['lock.ruined'], [1]).flatMap((walk) => [
      { ...walk, kind: 'mutex' as const },
      { ...walk, kind: 'rwlock' as const },
    ]),
    ...walks('C', ['lock', 'try'], ['lock.ruined'], [1]).map((walk) => ({ ...walk, kind: 'mutex' as const })),
  ];

  it.each(cases)(`has told all that it is lost, and it can be repaired: $kind, ${title}`, async (walk) => {
    const { kind } = walk;
    const scene = new Scene();
    await scene.dead(kind, halfway);
    const victim = scene.victim(walk, `${kind} ruin`, 1);
    await expect.poll(() => scene.data.get('ready'), patience).toBe(1);
    const here = scene.here(kind, 'async', 1, 0);
    const there = scene.start(kind, 'sync', 1, 1);
    // Both are on their way to sleep, or asleep.
    await expect.poll(() => scene.word(places[kind]) < 0, patience).toBe(true);
    scene.data.set('go', 1);
    await victim.died;
    const lost = { code: 'ERR_INTERPROC_NOT_RECOVERABLE' };
    await expect(here).rejects.toMatchObject(lost);
    await there.lines;
    await expect(there.ended()).rejects.toThrow(lost.code);
    await expect(scene.here(kind, 'try', 1, 0)).rejects.toMatchObject(lost);

    // Who repairs it and dies leaves it abandoned.
    await scene.dead(`${kind} repair`, 'lock.inherited', 'sync', 1);
    await scene.here(kind, 'async', 2, 0);
    expect(scene.told).toEqual(['abandoned half']);
    await scene.run(kind, 'try', 2);
    expectFree(scene, kind);
  });
});

describe('the share of a reader that died', () => {
  const draining = walks('Node', ['async', 'sync', 'try'], ['rwlock.cleared'], [1]);

  it.each(draining)(`is given back, whoever dies as he does so: ${title}`, async (walk) => {
    const scene = new Scene();
    await scene.dead('rwlock', 'rwlock.reading');
    await scene.dead('rwlock', 'rwlock.entered');
    expect(entered(scene, 'rwlock')).toBe(2);
    await scene.victim(walk, 'rwlock').died;
    const survivors = await scene.survivors('rwlock');
    expect(await survivors.end()).toEqual(['end']);
    expectFree(scene, 'rwlock');
  });

  const sweeping = walks('Node', ['async', 'sync', 'try'], ['rwlock.swept'], [1]);

  it.each(sweeping)(`makes room where all slots are taken: ${title}`, async (walk) => {
    const scene = new Scene();
    await scene.dead('rwlock', 'rwlock.reading');
    const owner = scene.word(places.rwlock, slotsOf.rwlock.first);
    // The rest of them died in the same way.
    scene.words.fill(
      owner,
      places.rwlock / 4 + slotsOf.rwlock.first,
      (places.rwlock + RwLock.byteLength) / 4,
    );
    await scene.victim(walk, 'rwlock').died;
    await scene.here('rwlock', 'async', 4, 0);
    expect(await scene.run('rwlock', 'sync', 4)).toEqual(['end']);
    expectFree(scene, 'rwlock');
  });
});

describe('one that waits for a condition, or notifies, and dies', () => {
  const waits = ['condition.joined', 'condition.registered', 'condition.parted'];
  const consumes = ['condition.notified', 'condition.relocked', 'condition.used', halfway];
  const cases = [
    ...walks('Node', ['async', 'sync'], [...waits, ...consumes], [1]).map((walk) => ({
      ...walk,
      work: 'consume',
    })),
    ...walks('Node', ['async', 'sync'], consumes.slice(0, 3), [2]).map((walk) => ({
      ...walk,
      work: 'consume',
    })),
    ...walks('Node', ['async impatient', 'sync impatient'], ['condition.used', 'lock.taken'], [3]).map(
      (walk) => ({
        ...walk,
        work: 'consume',
      }),
    ),
    ...walks('Node', ['async', 'sync'], ['condition.counted'], [2]).flatMap((walk) =>
      ['produce', 'produce for all'].map((work) => ({ ...walk, work })),
    ),
  ];

  it.each(cases)(`loses no notification: $work, ${title}`, async (walk) => {
    const { work, failpoint } = walk;
    const scene = new Scene();
    const { data } = scene;
    const condition = Condition.at(scene.memory, places.condition);
    const mutex = Mutex.at(scene.memory, places.mutex);
    const here = scene.here('consume', 'async', 0, 0);
    const there = scene.start('consume', 'sync', 0, 1);
    const told: string[] = [];
    const produce = async () => {
      const held = await mutex.lock();
      if (held.abandoned) {
        told.push(`abandoned ${data.whole ? 'whole' : 'half'}`);
        data.mend();
        held.recovered();
        // The dead one may have used a notification, and not done yet what it was for.
        condition.notifyAll();
      }
      if (data.get('items') === 0) {
        data.add('items', 1);
        condition.notifyOne();
      }
      held.unlock();
    };
    const consumed = () => expect.poll(() => data.get('items'), patience).toBe(0);
    await expect.poll(() => condition.waiting, patience).toBe(2);

    const victim = scene.victim(walk, work);
    let dead = false;
    void victim.died.finally(() => {
      dead = true;
    });
    while (!dead) {
      if (work === 'consume') await produce();
      // What it was notified of when it died is for the others; what it had used, for those who find the mutex abandoned.
      const isDone = () => dead || data.get('items') === 0;
      await expect.poll(isDone, patience).toBe(true);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await victim.died).toEqual([]);
    if (['condition.used', halfway].includes(failpoint)) await produce();
    await consumed();
    // Its slot is free for others, and only those who wait are counted.
    await expect.poll(() => [entered(scene, 'condition'), condition.waiting], patience).toEqual([2, 2]);
    for (let more = 0; more < 5; more++) {
      await produce();
      await consumed();
    }
    expect(await scene.run('produce', 'sync', 1)).toEqual(['end']);
    await consumed();
    const late = scene.start('consume', 'async', 0, 2);
    await expect.poll(() => condition.waiting, patience).toBe(3);
    data.set('stop', 1);
    condition.notifyAll();
    await here;
    await there.ended();
    await late.ended();
    // Also where it was on its way back to the mutex, or off.
    const abandoned = abandonedIn([...told, ...scene.told, ...(await there.lines), ...(await late.lines)]);
    const withMutex = ['joined', 'registered', 'relocked', 'used', 'counted', 'taken', 'half'];
    const had = withMutex.includes(failpoint.split('.')[1] as string);
    expect(abandoned).toEqual(had ? [`abandoned ${failpoint === halfway ? 'half' : 'whole'}`] : []);
    expect(entered(scene, 'condition')).toBe(0);
    expectFree(scene, 'mutex');
  });

  const late = walks(
    'Node',
    ['async impatient', 'sync impatient'],
    ['condition.used', 'condition.handed-on'],
    [1],
  );

  it.each(late)(`passes on what came when he had given up: ${title}`, async (walk) => {
    const scene = new Scene();
    const condition = Condition.at(scene.memory, places.condition);
    const mutex = Mutex.at(scene.memory, places.mutex);
    const victim = scene.victim(walk, 'wait in vain', 1);
    await expect.poll(() => scene.data.get('ready'), patience).toBe(1);
    const locking = mutex.lock();
    await expect.poll(() => scene.word(places.mutex) < 0, patience).toBe(true);
    scene.data.set('go', 1);
    (await locking).unlock();
    // As one who has not slept: nobody but the victim says then that he waits.
    const held = mutex.tryLock() as MutexGuard;
    expect(condition.waiting).toBe(1);
    scene.data.set('go', 2);
    // The victim has given up, and waits for the mutex.
    await expect.poll(() => scene.word(places.mutex) < 0, patience).toBe(true);
    expect(condition.notifyOne()).toBe(1);
    await condition.wait(held);
    await victim.died;
    expect(held.abandoned).toBe(true);
    held.recovered();
    held.unlock();
    // Whoever sleeps for a while buries him.
    while (entered(scene, 'condition') > 0) await scene.here('wait', 'async impatient', 1, 0);
    expectFree(scene, 'mutex');
  });

  const sweeping = walks(
    'Node',
    ['async', 'sync'],
    ['condition.sweeping', 'condition.closed', 'condition.passed', 'condition.swept'],
    [1],
  );

  it.each(sweeping)(`leaves the burying of the dead to the next: ${title}`, async (walk) => {
    const scene = new Scene();
    const condition = Condition.at(scene.memory, places.condition);
    await scene.dead('wait', 'condition.parted', 'sync', 1);
    // For him, who can't use it any more.
    expect(condition.notifyOne()).toBe(1);
    const victim = scene.victim(walk, 'wait', 1);
    await victim.died;
    await scene.here('wait', 'async', 1, 0);
    const after = scene.here('wait', 'async impatient', 1, 0);
    const there = scene.start('wait', 'sync impatient', 1, 1);
    await expect.poll(() => entered(scene, 'condition'), patience).toBe(0);
    await after;
    await there.ended();
    expect(scene.word(places.condition, 3)).toBe(0);
    expectFree(scene, 'mutex');
  });
});

describe('a party of a barrier that dies', () => {
  const all = ['async', 'sync', 'try'];
  const barrierOf = (scene: Scene) => Barrier.at(scene.memory, places.barrier, { parties });
  const code = 'ERR_INTERPROC_BROKEN';

  /** Two who take part until it is broken, of which one is in this process. */
  const others = (scene: Scene) => {
    const here = scene.here('barrier', 'async', 0, 0);
    const there = scene.start('barrier', 'sync', 0, 1);
    return {
      broken: async () => {
        await here;
        expect(scene.told).toEqual(['broken']);
        expect(await there.lines).toEqual(['broken', 'end']);
      },
      here,
      there,
    };
  };

  /** With those who are left, and two that come. */
  const goesOnAfterReset = async (scene: Scene) => {
    const barrier = barrierOf(scene);
    // It may be that nobody has looked yet.
    expect(() => barrier.tryWait()).toThrow(expect.objectContaining({ code }));
    expect(barrier.broken).toBe(true);
    barrier.reset();
    expect({ broken: barrier.broken, arrived: barrier.arrived }).toEqual({ broken: false, arrived: 0 });
    const come = [scene.start('barrier', 'sync', 5, 2), scene.start('barrier', 'async', 5, 3)];
    let last = 0;
    for (let round = 0; round < 5; round++) if (await barrier.wait()) last++;
    for (const each of come) await each.ended();
    expect(last).toBeLessThanOrEqual(5);
    barrier.leave();
    // The others ended without leave(): who comes next starts afresh.
    const next = barrierOf(scene);
    expect({ arrived: next.arrived, entered: entered(scene, 'barrier') }).toEqual({ arrived: 0, entered: 1 });
    next.leave();
    expect(entered(scene, 'barrier')).toBe(0);
  };

  const taking = [
    ...walks('Node', all, ['barrier.joined'], [1]),
    ...walks('Node', ['async', 'sync'], ['barrier.arrived'], [1, 4]),
    ...walks('Node', all, ['barrier.opened'], [1, 4]),
  ];

  it.each(taking)(`breaks it for all, until it is reset: ${title}`, async (walk) => {
    const scene = new Scene();
    const { broken } = others(scene);
    await scene.victim(walk, 'barrier').died;
    await broken();
    await goesOnAfterReset(scene);
  });

  const giving = walks('Node', ['async impatient', 'sync impatient'], ['barrier.withdrawn'], [1, 2]);

  it.each(giving)(`breaks it though he had given up: ${title}`, async (walk) => {
    const scene = new Scene();
    // Nobody else arrives.
    const barrier = barrierOf(scene);
    await scene.victim(walk, 'barrier late').died;
    expect(barrier.arrived).toBe(0);
    await goesOnAfterReset(scene);
  });

  const leaving = walks('Node', ['async', 'sync'], ['barrier.leaving', 'barrier.left'], [1]);

  it.each(leaving)(`breaks it until it has left: ${title}`, async (walk) => {
    const scene = new Scene();
    const { broken, here, there } = others(scene);
    await scene.victim(walk, 'barrier leave').died;
    if (walk.failpoint === 'barrier.left') {
      scene.data.set('stop', 1);
      await scene.run('barrier leave', 'async', 1);
      await here;
      await there.ended();
    } else {
      await broken();
    }
    await goesOnAfterReset(scene);
  });

  const breaking = walks('Node', all, ['barrier.broken'], [1]);

  it.each(breaking)(`has broken it, if he found a dead one: ${title}`, async (walk) => {
    const scene = new Scene();
    const barrier = barrierOf(scene); // takes part, and looks for nobody
    await scene.dead('barrier', 'barrier.arrived');
    await scene.victim(walk, 'barrier').died;
    expect(barrier.broken).toBe(true);
    await scene.here('barrier', 'async', 1, 0);
    expect(scene.told).toEqual(['broken']);
    await goesOnAfterReset(scene);
  });

  const resetting = walks(
    'Node',
    ['async', 'sync'],
    ['barrier.cleared', 'barrier.told', 'barrier.renewed'],
    [1],
  );

  it.each(resetting)(`leaves no half-made reset: ${title}`, async (walk) => {
    const scene = new Scene();
    const { broken } = others(scene);
    const victim = scene.victim(walk, 'barrier reset');
    await scene.goOn([0, 1], 2);
    await scene.dead('barrier', 'barrier.joined');
    await victim.died;
    await broken();
    await goesOnAfterReset(scene);
  });

  it('is told of to those, too, who look only after the reset', async () => {
    const scene = new Scene();
    const waiting = barrierOf(scene).wait();
    waiting.catch(() => {});
    // This process does not come to look meanwhile.
    const [file = '', ...script] = node;
    const run = (work: string, failpoint: string) =>
      spawnSync(file, [...script, work, scene.name, 'sync', '1', '1'], {
        env: { ...process.env, INTERPROC_FAILPOINT: failpoint },
        encoding: 'utf8',
        timeout: 20_000,
      });
    expect(run('barrier', 'barrier.arrived').signal).toBe('SIGKILL');
    expect(run('barrier reset', '')).toMatchObject({ status: 0, stdout: 'broken\nend\n' });
    await expect(waiting).rejects.toMatchObject({ code });
    barrierOf(scene).leave();
  });

  const emptied = walks('Node', ['sync'], ['barrier.emptied'], [1]);

  it.each(emptied)(`has to be the last one for the next to start afresh: ${title}`, async (walk) => {
    const scene = new Scene();
    await scene.dead('barrier', 'barrier.arrived');
    await scene.victim(walk, 'barrier').died;
    const barrier = barrierOf(scene);
    expect({ broken: barrier.broken, arrived: barrier.arrived }).toEqual({ broken: false, arrived: 0 });
    expect(entered(scene, 'barrier')).toBe(1);
    barrier.leave();
  });
});

describe('one that sets an event or waits for it, and dies', () => {
  const forms = ['async', 'sync', 'try'];
  const waiting = async (scene: Scene, work: string) => {
    const here = scene.here(work, 'async', 1, 0);
    const there = scene.start(work, 'sync', 1, 1);
    // One of them may be on its way still: it finds the event set, or sleeps.
    await expect.poll(() => scene.word(places.event) & 2, patience).toBe(2);
    return { here, there };
  };

  const setting = walks('Node', ['sync'], ['event.set'], [1]);

  it.each(setting)(`has set it for all: ${title}`, async (walk) => {
    const scene = new Scene();
    const { here, there } = await waiting(scene, 'event wait');
    await scene.victim(walk, 'event set', 1).died;
    await here;
    await there.ended();
    expect(SharedEvent.at(scene.memory, places.event).isSet).toBe(true);
    expect(await scene.run('event wait', 'try', 1)).toEqual(['set', 'end']);
  });

  it.each(setting)(`has set it for one, which resets it: ${title}`, async (walk) => {
    const scene = new Scene();
    const { here, there } = await waiting(scene, 'event wait automatic');
    await scene.victim(walk, 'event set automatic', 1).died;
    await scene.goOn([], 0);
    const done = () => scene.data.rounds(0) + scene.data.rounds(1);
    await expect.poll(done, patience).toBe(1);
    SharedEvent.at(scene.memory, places.event, { autoReset: true }).set();
    await here;
    await there.ended();
    expect(done()).toBe(2);
    expect(scene.word(places.event) & 1).toBe(0);
  });

  const sleeping = walks('Node', ['async', 'sync'], ['event.flagged', 'lock.woken'], [1]);

  it.each(sleeping)(`leaves it to others who wait: ${title}`, async (walk) => {
    const scene = new Scene();
    const event = SharedEvent.at(scene.memory, places.event, { autoReset: true });
    const victim = scene.victim(walk, 'event wait automatic', 1);
    if (walk.failpoint === 'event.flagged') await victim.died;
    else await expect.poll(() => scene.word(places.event) & 2, patience).toBe(2);
    // Who is on his way to sleep would find it set, and come by no wake-up.
    if (walk.failpoint === 'lock.woken' && walk.form === 'async') await awaitsWord(victim);
    const { here, there } = await waiting(scene, 'event wait automatic');
    // Nobody has had it: the one who dies when he is woken, or by the time of his sleep, leaves it set.
    event.set();
    await victim.died;
    await expect.poll(() => scene.data.rounds(0) + scene.data.rounds(1), patience).toBe(1);
    event.set();
    await here;
    await there.ended();
    expect(event.isSet).toBe(false);
  });

  const taking = walks('Node', forms, ['event.taken'], [1]);

  it.each(taking)(`takes one set() with him, and no other: ${title}`, async (walk) => {
    const scene = new Scene();
    const event = SharedEvent.at(scene.memory, places.event, { autoReset: true });
    event.set();
    await scene.victim(walk, 'event wait automatic', 1).died;
    expect(event.isSet).toBe(false);
    const { here, there } = await waiting(scene, 'event wait automatic');
    event.set();
    await expect.poll(() => scene.data.rounds(0) + scene.data.rounds(1), patience).toBe(1);
    event.set();
    await here;
    await there.ended();
  });
});

describe('one that does what is to be done once, and dies', () => {
  const forms = ['async', 'sync', 'try'];
  const before = walks('Node', forms, ['lock.named', 'lock.taken', 'once.begun'], [1]);
  const within = walks('Node', forms, [halfway, 'once.ended', 'lock.released', 'lock.roused'], [1]);
  // Nobody waits whom he would wake.
  const cases = [...before, ...within];

  it.each(cases)(`leaves it to one of the others, unless it is done: ${title}`, async (walk) => {
    const { failpoint } = walk;
    const scene = new Scene();
    const { data } = scene;
    const victim = scene.victim(walk, 'once slowly', 1);
    const isWithin = within.includes(walk);
    if (isWithin) await expect.poll(() => data.get('ready'), patience).toBe(1);
    else await victim.died;
    const here = scene.here('once', 'async', 1, 0);
    const there = scene.start('once', 'sync', 1, 1);
    if (isWithin) await expect.poll(() => scene.word(places.once) < 0, patience).toBe(true);
    data.set('go', 1);
    await victim.died;
    await here;
    const lines = [...scene.told, ...(await there.lines)];
    await there.ended();
    lines.push(...(await scene.run('once', 'try', 1)));

    const isDone = ['once.ended', 'lock.released', 'lock.roused'].includes(failpoint);
    const wasBegun = ['once.begun', halfway].includes(failpoint);
    const ran = lines.filter((line) => line.startsWith('ran'));
    expect(ran).toEqual(isDone ? [] : [wasBegun ? 'ran abandoned' : 'ran anew']);
    expect(lines.filter((line) => line === 'done')).toHaveLength(3);
    expect(Once.at(scene.memory, places.once).done).toBe(true);
    expect(data.get('runs')).toBe(1);
    expect(data.whole).toBe(true);
    expect(scene.word(places.once)).toBe(0);
  });
});

describe('the steps', () => {
  it('that a C program comes by were all walked', () => {
    const header = inHeader.filter(isOfLocks);
    expect(header.length).toBeGreaterThan(8);
    expect(header.filter((name) => !reached.C.has(name))).toEqual([]);
  });

  it('that a Node process comes by were all walked', () => {
    const lib = inLib.filter(isOfLocks);
    expect(lib.length).toBeGreaterThan(40);
    expect(lib.filter((name) => !reached.Node.has(name))).toEqual([]);
  });

  it('are walked only where they are in the sources', () => {
    const known = new Set([...inHeader, ...inLib, halfway]);
    expect([...reached.C, ...reached.Node].filter((name) => !known.has(name))).toEqual([]);
  });
});
