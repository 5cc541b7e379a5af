// Every interleaving of a few participants that lock, change and read what the lock guards, die, give up and try:
// see explore.ts for what is proved of each, word-model.ts for what a step is. Few participants and few calls, but
// of those every order; and each rule that is broken on purpose is found. Not here: memory order, who of several
// starves, more readers than slots, and what tasks of one process settle among themselves.

import { describe, expect, it } from 'vitest';
import { explore, type Model } from './explore.js';
import { MutexModel } from './mutex-model.js';
import { type Call, type Mistake, NAMES, Pc, type Program } from './participants.js';
import { type Rules, rules, STARVING, WAITERS } from './rules.js';
import { RwLockModel } from './rw-lock-model.js';
import type { WordModel } from './word-model.js';

/** Calls of one of these kinds; so many times, and as `how` says. */
const program = (calls: Call | Call[], rounds = 1, how: Partial<Program> = {}): Program => ({
  calls: typeof calls === 'string' ? [calls] : calls,
  rounds,
  ...how,
});
const givesUp = { givesUp: true };
const peeks = { peeks: true };

/** Nothing is wrong in any state, and there are about as many as there should be. */
function holdsInAll(atLeast: number, model: WordModel): void {
  const { states, fault } = explore(model);
  if (fault !== null) expect.fail(`${fault.what}:\n${fault.trace.join('\n')}`);
  expect(states).toBeGreaterThan(atLeast);
}

const sorted = (names: Iterable<string>): string[] => [...names].sort();
const steps = NAMES.filter((name) => name !== 'ended' && name !== 'dead');
const ofWriters = (name: string): boolean => {
  const pc = Pc[name as keyof typeof Pc];
  return pc === Pc.clearWriting || (pc >= Pc.drainLoad && pc <= Pc.unreadWake);
};

describe('a mutex', () => {
  it('excludes, and loses no wake-up, where nobody dies', () => {
    holdsInAll(
      200_000,
      new MutexModel({ programs: [program('lock', 2), program('lock', 2), program('lock')] }),
    );
  });

  it('loses no wake-up to those who give up, woken or not', () => {
    const programs = [
      program('lock', 1, { ...givesUp, ...peeks }),
      program('lock', 1, givesUp),
      program('lock', 2),
    ];
    holdsInAll(100_000, new MutexModel({ programs }));
  });

  it('outlives two of three, wherever they die, and tells the next', () => {
    const programs = [program('lock', 2), program('lock', 2), program('lock')];
    holdsInAll(300_000, new MutexModel({ programs, deaths: 2, unrepaired: true }));
  });

  it('outlives them where sleepers look without getting up', () => {
    const programs = [program('lock', 2, peeks), program('lock', 1, peeks), program('lock')];
    holdsInAll(100_000, new MutexModel({ programs, deaths: 2, unrepaired: true }));
  });

  it('outlives them where who slept first is woken first', () => {
    const programs = [program('lock', 1, peeks), program('lock', 1, peeks), program('lock', 2)];
    holdsInAll(100_000, new MutexModel({ programs, deaths: 2, unrepaired: true, fifo: true }));
  });

  it('holds with tries and all else at once, and comes to every step', () => {
    const programs = [
      program('lock', 1, { ...givesUp, ...peeks }),
      program('lock', 1, givesUp),
      program(['tryLock', 'lock'], 2),
    ];
    const model = new MutexModel({ programs, deaths: 2, unrepaired: true });
    holdsInAll(200_000, model);
    expect(sorted(model.reached)).toEqual(sorted(steps.filter((name) => !ofWriters(name))));
  });
});

describe('an RwLock', () => {
  it('lets in many readers or one writer, and loses no wake-up, where nobody dies', () => {
    const writer = program('write', 2);
    holdsInAll(200_000, new RwLockModel({ programs: [writer, program('read', 2), program('read')] }));
    holdsInAll(100_000, new RwLockModel({ programs: [writer, program('write'), program('read')] }));
  });

  it('outlives a reader and a writer, wherever they die, and tells the next', () => {
    const programs = [program('write'), program('read', 2), program('read', 2)];
    holdsInAll(200_000, new RwLockModel({ programs, deaths: 2, unrepaired: true }));
  });

  it('outlives two writers, and never forgets that it was abandoned', () => {
    const programs = [program('write', 2), program('write'), program('read', 2)];
    holdsInAll(300_000, new RwLockModel({ programs, deaths: 2, unrepaired: true }));
  });

  it('outlives them where who slept first is woken first', () => {
    const programs = [program('write', 2), program('write'), program('read')];
    holdsInAll(100_000, new RwLockModel({ programs, deaths: 2, unrepaired: true, fifo: true }));
  });

  it('holds where those give up who wait, drain or would repair', () => {
    const programs = [
      program('write', 1, { ...givesUp, ...peeks }),
      program('write', 1, givesUp),
      program('read', 2, givesUp),
    ];
    holdsInAll(200_000, new RwLockModel({ programs, deaths: 2, unrepaired: true }));
  });

  it('holds with reads and writes of each, which look without getting up', () => {
    const programs = [
      program(['write', 'read'], 1, peeks),
      program(['write', 'read'], 1, peeks),
      program(['write', 'read'], 1, { ...peeks, ...givesUp }),
    ];
    holdsInAll(100_000, new RwLockModel({ programs, deaths: 2, unrepaired: true }));
  });

  it('holds with tries and all else at once, and comes to every step', () => {
    const programs = [
      program(['tryWrite', 'write']),
      program(['tryRead', 'read'], 2, peeks),
      program('write', 1, { ...givesUp, ...peeks }),
    ];
    const model = new RwLockModel({ programs, deaths: 2, unrepaired: true });
    holdsInAll(100_000, model);
    expect(sorted(model.reached)).toEqual(sorted(steps));
  });
});

describe('the model finds', () => {
  const locks = [program('lock'), program('lock'), program('lock', 1, givesUp)];
  const writes = [program('write', 1, givesUp), program('write', 1, givesUp), program('read', 1, givesUp)];
  const any = { deaths: 2, unrepaired: true };
  const waits = 'somebody waits for ever';

  it.each<[Mistake, string]>([
    ['wakes before it stores', waits],
    ['never looks', waits],
    ['does not wake again after clearing STARVING', waits],
    ['keeps the wake-up that it had when it gives up', waits],
    ['does not tell those who sleep that a lock is not recoverable', waits],
  ])('a mutex that %s', (mistake, what) => {
    expect(explore(new MutexModel({ programs: locks, ...any, mistake })).fault?.what).toBe(what);
  });

  it.each<[Mistake, string]>([
    ['wakes before it stores', waits],
    ['never looks', waits],
    ['does not wake again after clearing STARVING', waits],
    ['keeps the wake-up that it had when it gives up', waits],
    ['does not tell those who sleep that a lock is not recoverable', waits],
    ['leaves STARVING behind when it stops reading', waits],
    ['backs out without waking', waits],
    ['takes over only where a reader would wait', waits],
    ['writes before readers are gone', 'two have a lock that excludes them'],
    ['forgets an abandoned lock when it gives up', 'a reader reads what is half-written'],
  ])('an RwLock that %s', (mistake, what) => {
    expect(explore(new RwLockModel({ programs: writes, ...any, mistake })).fault?.what).toBe(what);
  });

  it.each<[string, Partial<Rules>, string]>([
    [
      'a taker that slept and says nothing of other sleepers',
      {
        take: (word, asker) =>
          rules.take(word, { ...asker, slept: false, isTry: asker.isTry || asker.slept }),
      },
      waits,
    ],
    ['a sleeper that says nothing', { sleepOn: (word) => word }, waits],
    ["a taker of a dead owner's lock that says nothing of sleepers", { seize: (_, { id }) => id }, waits],
    [
      'an owner that leaves STARVING alone',
      { release: (word) => word & STARVING },
      'STARVING without WAITERS',
    ],
    [
      'a taker that does not ask who has it',
      { take: (word, { id }) => id | (word & WAITERS) },
      'who has the lock is not its owner',
    ],
  ])('%s', (_, broken, what) => {
    expect(explore(new MutexModel({ programs: locks, ...any, rules: broken })).fault?.what).toBe(what);
  });

  it('a shortest way to a fault, of one step a line', () => {
    const { states, fault } = explore(
      new MutexModel({ programs: locks, rules: { take: (_, { id }) => id } }),
    );
    expect(fault?.trace).toHaveLength(5);
    expect(fault?.trace.at(0)).toContain('1: idle');
    expect(states).toBeLessThan(1000);
  });

  it('circles, also those that can be left', () => {
    const ways: Record<number, number[]> = { 0: [1], 1: [0, 2], 2: [] };
    const model: Model = {
      initial: new Uint8Array(4),
      follow(state, emit) {
        for (const next of ways[state[0]!] ?? []) {
          state[0] = next;
          emit('step');
        }
      },
      violation: () => null,
      ended: ([at]) => at === 2,
      looksCount: () => false,
      describe: ([at]) => `${at}`,
    };
    expect(explore(model)).toEqual({ states: 3, fault: { what: 'steps go in circles', trace: ['0'] } });
    ways[1] = [2];
    expect(explore(model)).toEqual({ states: 3, fault: null });
    ways[2] = [3];
    expect(explore(model).fault).toEqual({ what: 'somebody waits for ever', trace: ['0', '1', '2', '3'] });
  });
});
