/**
 * Every step of the protocol at which a process can die (native/os/failpoint.h), with a real SIGKILL there: of Node
 * processes, and of C programs that use interproc.h. Whoever is left goes on, and a successor takes the place of the
 * dead one.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Channel, type Receiver, type Sender } from 'interproc';
import { afterAll, describe, expect, it } from 'vitest';
import { compile } from '../interop/programs.js';
import { holdGate } from '../support/gate.js';
import { channelName, prefix } from '../support/names.js';
import { takingPart } from '../support/participants.js';
import { inNode, type Language, linesOf, runActor, startActor, startVictim, type Victim } from './actors.js';
import { lengthOf, messageOf, numberOf } from './messages.js';
import { inAddon, inHeader, inLib, isOfLocks, type LanguageName, reached, walks } from './steps.js';

// Before the first test, whose titles name what it makes.
const folder = mkdtempSync(join(tmpdir(), prefix));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const languages: Record<LanguageName, Language> = {
  Node: inNode,
  C: compile(new URL('actor.c', import.meta.url), folder),
};
const capacity = 256;
const mostBytes = capacity / 2 - 8;
/** How many a successor sends. */
const more = 20;

const title = '$language, $form: $failpoint, pass $hit';

// Passed once by each that comes or goes.
const creating = [
  'create.filled',
  'create.ready',
  'join.gated',
  'join.locked',
  'join.described',
  'join.listed',
];
const joining = ['join.gated', 'join.locked', 'join.described', 'join.listed'];
const retiring = ['retire.found', 'retire.unlinked', 'retire.marked'];
/** Of taking a role: whoever dies there was the sender or receiver, and has done nothing. */
const attaching = ['attach.taken', 'attach.roused'];
const leaving = ['leave.gated', 'leave.struck'];

// Passed with each message, or with many.
const sending = [
  'claim.padded',
  'commit.written',
  'commit.accepted',
  'publish.begin',
  'publish.counted',
  'publish.stored',
];
const receiving = ['receive.begun', 'receive.handled', 'receive.done', 'release.counted', 'release.stored'];

/** Nothing of the name is left. */
function expectNoName(name: string) {
  const left = readdirSync('/dev/shm').filter((each) => each.endsWith(name.slice(1)));
  expect(left).toEqual([]);
}

/** Sends and receives in this process, and leaves. */
function expectUsable(channel: Channel) {
  const sender = channel.sender();
  const receiver = channel.receiver();
  sender.sendSync('works');
  sender.close();
  const texts = [];
  for (let one = receiver.tryReceive(); one !== undefined; one = receiver.tryReceive())
    texts.push(String(one));
  expect(texts.at(-1)).toBe('works');
  channel.close();
}

describe('one that dies while it makes a channel', () => {
  const cases = [
    ...walks('Node', ['create', 'openOrCreate'], [...creating, 'create.linked'], [1]),
    ...walks('C', ['create'], creating, [1]),
  ];

  it.each(cases)(`leaves nothing half-made, and others make it: ${title}`, async (walk) => {
    const { language, failpoint, hit, form } = walk;
    const name = channelName();
    const waiting = new AbortController();
    const opening = Channel.open(name, { signal: waiting.signal });
    opening.catch(() => {});
    await startVictim(failpoint, hit, languages[language], form, name, capacity).died;

    // Either there is none, or it is complete; and nobody takes part in it.
    const listed = Channel.list().filter((each) => each.name === name);
    if (failpoint === 'create.linked') {
      const opened = await opening; // complete: who has waited for it may have it
      expect(takingPart(opened)).toHaveLength(1);
      expect(opened.capacity).toBe(capacity);
      expect(() => Channel.create(name, { capacity })).toThrow(expect.objectContaining({ code: 'EEXIST' }));
      opened.close();
    } else {
      expect(listed).toEqual([]);
      expect(Channel.tryOpen(name)).toBeNull();
    }
    waiting.abort();

    await startVictim(failpoint, hit, languages[language], form, name, capacity).died;
    expectUsable(Channel.openOrCreate(name, { capacity }));
    await startVictim(failpoint, hit, languages[language], form, name, capacity).died;
    expectUsable(Channel.create(name, { capacity: 2 * capacity }));
    expectNoName(name);
  });

  const replacing = [...walks('Node', ['create'], retiring, [1]), ...walks('C', ['create'], retiring, [1])];

  it.each(replacing)(`in the place of a dead one, lets the next do so: ${title}`, async (walk) => {
    const { language, failpoint, hit } = walk;
    const name = channelName();
    await startVictim('publish.stored', 1, languages[language], 'create', name, capacity).died;
    expect(Channel.list()).toContainEqual({ name, capacity, participants: 0 });

    await startVictim(failpoint, hit, languages[language], 'create', name, capacity).died;
    // With its name gone it is nobody's any more: who opens waits for the next one. Before, it is a dead one as it was.
    const isGone = failpoint !== 'retire.found';
    expect(Channel.list().some((channel) => channel.name === name)).toBe(!isGone);
    if (!isGone) return expectUsable(Channel.create(name, { capacity: 2 * capacity }));
    expect(Channel.tryOpen(name)).toBeNull();
    const opening = Channel.open(name);
    const created = Channel.create(name, { capacity: 2 * capacity });
    const opened = await opening;
    expect(opened.capacity).toBe(2 * capacity);
    opened.close();
    expectUsable(created);
    expectNoName(name);
  });
});

describe('one that dies while it opens a channel', () => {
  const cases = [...walks('Node', ['open'], joining, [1]), ...walks('C', ['open'], joining, [1])];

  it.each(cases)(`takes part no more, and is in nobody's way: ${title}`, async (walk) => {
    const { language, failpoint, hit, form } = walk;
    const name = channelName();
    const channel = Channel.create(name, { capacity });
    await startVictim(failpoint, hit, languages[language], form, name).died;
    expect(channel.participants().map(({ pid }) => pid)).toEqual([process.pid]);
    for (const each of Object.values(languages)) await runActor(each, 'open', name);
    expectUsable(channel);
    expectNoName(name);
  });

  it('takes no place for good: after many more than may take part, one gets in', async () => {
    const name = channelName();
    const channel = Channel.create(name, { capacity });
    for (let count = 0; count < 60; count++)
      await startVictim('join.listed', 1, languages.C, 'open', name).died;
    await runActor(languages.Node, 'open', name);
    expect(takingPart(channel)).toHaveLength(1);
    channel.close();
    expectNoName(name);
  });
});

describe('one that dies while it waits at the gate', () => {
  const cases = [
    ...walks('Node', ['open'], ['gate.busy'], [1, 5]),
    ...walks('C', ['open'], ['gate.busy'], [1, 5]),
  ];

  it.each(cases)(`is in nobody's way: ${title}`, async ({ language, failpoint, hit, form }) => {
    const name = channelName();
    const channel = Channel.create(name, { capacity });
    const { letGo } = await holdGate(channel.path as string);
    await startVictim(failpoint, hit, languages[language], form, name).died;
    await letGo();
    for (const each of Object.values(languages)) await runActor(each, 'open', name);
    expectUsable(channel);
    expectNoName(name);
  });
});

describe('one that dies while it removes the name', () => {
  const steps = ['unlink.gated', 'unlink.removed'];
  const cases = [...walks('Node', ['unlink'], steps, [1]), ...walks('C', ['unlink'], steps, [1])];

  it.each(cases)(`has done so or not, and leaves the gate free: ${title}`, async (walk) => {
    const { language, failpoint, hit, form } = walk;
    const name = channelName();
    const channel = Channel.create(name, { capacity });
    await startVictim(failpoint, hit, languages[language], form, name).died;
    expect(channel.linked).toBe(failpoint === 'unlink.gated');
    const opened = Channel.openOrCreate(name, { capacity });
    expect(opened.created).toBe(failpoint === 'unlink.removed');
    expect(await runActor(languages[language], 'unlink', name)).toEqual(['end']);
    expectNoName(name);
    opened.close();
    channel.close();
  });
});

describe('one that dies while it leaves as the last', () => {
  const steps = [...leaving, ...retiring];
  const cases = [...walks('Node', ['create'], steps, [1]), ...walks('C', ['create'], steps, [1])];

  it.each(cases)(`leaves a name that can be made again: ${title}`, async (walk) => {
    const { language, failpoint, hit, form } = walk;
    const name = channelName();
    await startVictim(failpoint, hit, languages[language], form, name, capacity).died;
    await startVictim(failpoint, hit, languages[language], form, name, capacity).died;
    expectUsable(Channel.openOrCreate(name, { capacity }));
    await startVictim(failpoint, hit, languages[language], form, name, capacity).died;
    const rest = await runActor(languages.C, 'create', name, capacity);
    expect(rest).toEqual(['end']);
    expectNoName(name);
  });
});

/**
 * For a step of falling asleep: waits until the side has slept once more than at the last time; it will, since nothing
 * moves meanwhile. Does nothing for other steps, and once the victim is dead.
 */
function pauses(channel: Channel, side: 'sender' | 'receiver', failpoint: string, victim: Victim) {
  let last = 0;
  return async () => {
    if (!failpoint.endsWith('.asleep')) return;
    const slept = () => channel.stats().timesSlept[side];
    while (victim.process.exitCode === null && victim.process.signalCode === null && slept() === last)
      await new Promise((resolve) => setImmediate(resolve));
    last = slept();
  };
}

/** Reads until the sender is gone, and how: messages come whole, in order and from `from` on. */
async function readOn(
  receiver: Receiver,
  from: number,
  pause = async () => {},
): Promise<{ next: number; sender: 'died' | 'closed' }> {
  for (let next = from; ; next++) {
    try {
      let message: Buffer | null | undefined = receiver.tryReceive();
      if (message === null) {
        await pause(); // all room was given back, so that the sender fills it and falls asleep
        message = await receiver.receive();
      }
      if (message === undefined) return { next, sender: 'closed' };
      expect(numberOf(message)).toBe(next);
      expect(message).toHaveLength(lengthOf(next, mostBytes));
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_INTERPROC_PEER_DIED') throw error;
      return { next, sender: 'died' };
    }
  }
}

describe('a sender that dies', () => {
  const allHits = [1, 2, 7];
  const endless = [
    ...walks('Node', ['send', 'sendSync'], sending, allHits),
    ...walks('Node', ['sendMany', 'claim', 'trySend'], sending, [2]),
    ...walks('Node', ['send', 'sendSync', 'sendMany', 'claim'], ['wait.asleep'], allHits),
    ...walks('C', ['send', 'claim', 'try'], sending, allHits),
    ...walks('C', ['send', 'claim'], ['send.asleep'], allHits),
  ].map((walk) => ({ ...walk, count: 0, leaves: 'died' as const }));
  const finite = [
    ...walks('Node', ['send', 'sendSync'], [...attaching, 'close.published', 'close.leaving'], [1]),
    ...walks('C', ['claim', 'try'], [...attaching, 'close.leaving'], [1]),
  ].map((walk) => ({ ...walk, count: 30, leaves: 'died' as const }));
  const closed = [
    ...walks('Node', ['send', 'sendSync'], ['close.left', ...leaving], [1]),
    ...walks('C', ['claim', 'try'], ['close.left', ...leaving], [1]),
  ].map((walk) => ({ ...walk, count: 30, leaves: 'closed' as const }));

  it.each([...endless, ...finite, ...closed])(
    `loses nothing that was published, and its successor goes on there: ${title}`,
    async ({ language, failpoint, hit, form, count, leaves }) => {
      const name = channelName();
      const channel = Channel.create(name, { capacity });
      const receiver = channel.receiver();
      const victim = startVictim(failpoint, hit, languages[language], 'send', name, form, count);
      // Nobody is told of one that dies before it has said that it is there: look when it is over.
      if (attaching.includes(failpoint)) await victim.died;
      const first = await readOn(receiver, 0, pauses(channel, 'sender', failpoint, victim));
      await victim.died;
      expect(first.sender).toBe(leaves);
      if (count !== 0 && !attaching.includes(failpoint)) expect(first.next).toBe(count);
      expect(receiver.peer).toBe(leaves);
      const { published } = channel.stats();
      expect(first.next).toBe(published);

      const successor = startActor(languages[hit === 2 ? 'Node' : 'C'], 'send', name, 'send', more);
      expect(await successor.line()).toBe(`from ${published}`);
      const second = await readOn(receiver, published);
      expect(second).toEqual({ next: published + more, sender: 'closed' });
      await successor.ended();

      const total = published + more;
      expect(receiver.redelivered).toBe(0);
      receiver.close();
      expect(channel.stats()).toMatchObject({ published: total, received: total, used: 0 });
      expect(takingPart(channel)).toHaveLength(1);
      channel.close();
      expectNoName(name);
    },
  );
});

/** Sends without end, until the receiver is gone; and how. */
async function feed(
  sender: Sender,
  pause: () => Promise<void>,
): Promise<{ next: number; receiver: 'died' | 'closed' }> {
  for (let next = 0; ; next++) {
    try {
      await sender.send(messageOf(lengthOf(next, mostBytes), next, process.pid));
      if (next % 3 !== 2) continue;
      await sender.drained();
      await pause();
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === 'ERR_INTERPROC_PEER_DIED') return { next: sender.sent, receiver: 'died' };
      if (code === 'ERR_INTERPROC_PEER_CLOSED') return { next: sender.sent, receiver: 'closed' };
      throw error;
    }
  }
}

/** What a receiver has said of its messages: for each time those that it was given at once. */
function deliveries(lines: string[]): { number: number; again: boolean }[][] {
  return lines
    .filter((line) => /^[\dt]/.test(line))
    .map((line) =>
      line.split(' ').map((each) => ({ number: Number.parseInt(each, 10), again: each.endsWith('!') })),
    );
}

describe('a receiver that dies', () => {
  const allHits = [1, 2, 7];
  const endless = [
    ...walks('Node', ['receive', 'drainSync'], receiving, allHits),
    ...walks('Node', ['receiveSync', 'for await', 'receiveMany', 'drain', 'tryReceive'], receiving, [2]),
    ...walks(
      'Node',
      ['receive', 'receiveSync', 'receiveMany', 'drain', 'drainSync'],
      ['wait.asleep'],
      allHits,
    ),
    ...walks('C', ['receive', 'try'], receiving, allHits),
    ...walks('C', ['receive'], ['receive.asleep'], allHits),
  ].map((walk) => ({ ...walk, count: 0, leaves: 'died' as const }));
  const finite = [
    ...walks('Node', ['receive', 'drain'], [...attaching, 'close.leaving'], [1]),
    ...walks('C', ['receive', 'try'], [...attaching, 'close.leaving'], [1]),
  ].map((walk) => ({ ...walk, count: 30, leaves: 'died' as const }));
  const closed = [
    ...walks('Node', ['receive', 'drain'], ['close.left', ...leaving], [1]),
    ...walks('C', ['receive', 'try'], ['close.left', ...leaving], [1]),
  ].map((walk) => ({ ...walk, count: 30, leaves: 'closed' as const }));

  it.each([...endless, ...finite, ...closed])(
    `gives back what it had in hand, and only that: ${title}`,
    async ({ language, failpoint, hit, form, count, leaves }) => {
      const name = channelName();
      const channel = Channel.create(name, { capacity });
      const sender = channel.sender();
      const victim = startVictim(failpoint, hit, languages[language], 'receive', name, form, count);
      if (attaching.includes(failpoint)) await victim.died;
      const fed = await feed(sender, pauses(channel, 'receiver', failpoint, victim));
      const given = deliveries(await victim.died);
      expect(fed.receiver).toBe(leaves);
      const numbers = given.flat().map(({ number }) => number);
      expect(numbers).toEqual(numbers.map((_, index) => index));
      expect(given.flat().some(({ again }) => again)).toBe(false);

      const successor = startActor(languages[hit === 2 ? 'Node' : 'C'], 'receive', name, 'receive');
      const from = await successor.line();
      const total = fed.next + more;
      for (let next = fed.next; next < total; next++)
        await sender.send(messageOf(lengthOf(next, mostBytes), next, process.pid));
      sender.close();
      const delivered = deliveries(await linesOf(successor)).flat();
      await successor.ended();

      // What it was given last was in hand, until it said that it had finished that.
      const inHand = given.at(-1)?.length ?? 0;
      const finished = failpoint === 'receive.handled' ? numbers.length - inHand : numbers.length;
      expect(from).toBe(`from ${finished}`);
      expect(delivered.map(({ number }) => number)).toEqual(
        Array.from({ length: total - finished }, (_, index) => finished + index),
      );
      const again = delivered.filter(({ again: flagged }) => flagged).length;
      expect(delivered.findIndex(({ again: flagged }) => !flagged)).toBe(again);
      if (failpoint === 'receive.handled') expect(again).toBe(inHand);
      else if (failpoint === 'receive.begun') {
        // It dies before it is given the message; of several, when it has the first.
        expect(again).toBeGreaterThan(0);
        expect(again).toBeLessThanOrEqual(form === 'receiveMany' ? 5 : 1);
      } else expect(again).toBe(0);

      expect(channel.stats()).toMatchObject({ published: total, received: total, used: 0 });
      expect(takingPart(channel)).toHaveLength(1);
      channel.close();
      expectNoName(name);
    },
  );
});

describe('whoever waits for the first peer', () => {
  it.each(
    attaching.flatMap((failpoint) =>
      (Object.keys(languages) as LanguageName[]).map((language) => ({ failpoint, language })),
    ),
  )(
    'is served by the one that comes after one that died on its way in: $language, $failpoint',
    async ({ failpoint, language }) => {
      const name = channelName();
      const channel = Channel.create(name, { capacity });
      const receiving = channel.receiver().receive();
      receiving.catch(() => {});
      await expect.poll(() => channel.stats().timesSlept.receiver).toBe(1); // awake, it would see the dead one
      await startVictim(failpoint, 1, languages[language], 'send', name, 'send', 1).died;
      await runActor(languages[language], 'send', name, 'send', 1);
      expect(numberOf((await receiving) as Buffer)).toBe(0);
      channel.close();
      expectNoName(name);
    },
  );
});

describe('the steps', () => {
  const others = (names: string[]) => names.filter((name) => !isOfLocks(name));
  const header = others(inHeader);
  const addon = others(inAddon);
  const lib = others(inLib);

  it('that a C program comes by were all walked', () => {
    expect(header.length).toBeGreaterThan(20);
    expect(header.filter((name) => !reached.C.has(name))).toEqual([]);
  });

  it('that a Node process comes by were all walked', () => {
    expect(lib.length).toBeGreaterThan(10);
    // How a set of semaphores is made: test/semaphore/set-creation.
    const ofChannels = addon.filter((name) => !name.startsWith('semaphore-set.'));
    expect(ofChannels.length).toBeLessThan(addon.length);
    expect([...ofChannels, ...lib].filter((name) => !reached.Node.has(name))).toEqual([]);
    // The addon joins, leaves and retires with the functions of the header.
    const shared = header.filter((name) =>
      /^(gate|create|join|leave|retire|unlink|attach|close)\./.test(name),
    );
    expect(shared.length).toBeGreaterThan(10);
    expect(shared.filter((name) => !reached.Node.has(name))).toEqual([]);
  });

  it('are walked only where they are in the sources', () => {
    const known = new Set([...header, ...addon, ...lib]);
    const walked = [...reached.C, ...reached.Node];
    expect(walked.filter((name) => !known.has(name))).toEqual([]);
  });
});
