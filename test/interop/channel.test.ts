import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Channel, type Receiver, type Sender } from 'interproc';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { channelName, prefix, tempDir, tempPath } from '../support/names.js';
import { startPeer } from '../support/peer.js';
import { watchdogMs } from '../support/watchdog.js';
import { compile, type Program, startProgram } from './programs.js';

const source = new URL('channel.c', import.meta.url);
const largestSent = 600; // as channel.c has it
const fnvStart = 2166136261;
/** Room for all that a test sends without anybody receiving. */
const roomy = 1 << 16;

let program: string[] = [];
const folder = mkdtempSync(join(tmpdir(), prefix));
beforeAll(() => {
  program = compile(source, folder, { standard: 'c11' });
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Messages as channel.c has them: size and bytes follow from the number. As text, for peers too. */
const messageSource = `(number, max) => {
  const size = (Math.imul(number, 2654435761) >>> 0) % (max + 1);
  return Uint8Array.from({ length: size }, (_, at) => number * 31 + at * 7);
}`;
const messageOf: (number: number, max: number) => Uint8Array = new Function(`return ${messageSource}`)();

/** FNV-1a */
function sumOn(sum: number, bytes: Uint8Array): number {
  let next = sum;
  for (const byte of bytes) next = Math.imul(next ^ byte, 16777619);
  return next >>> 0;
}

/** The checksum of messages `from` to `to`, as a C program tells it of those that it has sent or received. */
function sumOf(from: number, to: number, max = largestSent): number {
  let sum = fnvStart;
  for (let number = from; number < to; number++) sum = sumOn(sum, messageOf(number, max));
  return sum;
}

/** A channel that Node has open, and how a C program gets at it. */
interface Place {
  channel: Channel;
  where: string;
  fds: number[];
}

function closing(channel: Channel): Channel {
  onTestFinished(() => channel.close());
  return channel;
}

function made(capacity: number): Place {
  const name = channelName();
  return { channel: closing(Channel.create(name, { capacity })), where: name.slice(1), fds: [] };
}

function madeAnonymous(capacity: number): Place {
  const channel = closing(Channel.anonymous({ capacity }));
  return { channel, where: 'fd:3', fds: [channel.fd] };
}

function madeInFile(capacity: number): Place {
  const path = tempPath();
  return { channel: closing(Channel.create({ path }, { capacity })), where: path, fds: [] };
}

async function madeByC(capacity: number): Promise<Place> {
  const name = channelName();
  const where = name.slice(1);
  const maker = startProgram(program, ['receive-and-hang', `create:${capacity}:${where}`, 1]);
  expect(await maker.line()).toBe('created');
  const channel = closing(await Channel.open(name));
  await kill(maker); // Node has it by now
  return { channel, where, fds: [] };
}

async function start(command: string, { where, fds }: Place, ...args: number[]): Promise<Program> {
  const started = startProgram(program, [command, where, ...args], fds);
  expect(await started.line()).toBe('open');
  return started;
}

async function kill({ process, ended }: Program): Promise<void> {
  process.kill('SIGKILL');
  await expect(ended()).rejects.toThrow('SIGKILL');
}

/** Kills a program once it has done what it was to do. */
async function killHanging(hanging: Program): Promise<void> {
  expect(await hanging.line()).toBe('hanging');
  await kill(hanging);
}

/** What a C program tells at its end. */
async function outcomeOf(running: Program) {
  const line = await running.line();
  await running.ended();
  const [, result, ...numbers] = /^(.*) (\d+) (\d+) (\d+)$/.exec(line ?? '') ?? [undefined, line];
  const [count, sum, redelivered] = numbers.map(Number);
  return { result, count, sum, redelivered };
}

function largestOf(channel: Channel): number {
  return Math.min(channel.maxMessageSize, largestSent);
}

async function send(sender: Sender, until: number): Promise<void> {
  const max = Math.min(sender.maxMessageSize, largestSent);
  while (sender.sent < until) await sender.send(messageOf(sender.sent, max));
}

/** Receives to the end, checking each message. */
async function receiveAll(receiver: Receiver, max = largestSent) {
  const from = receiver.received;
  let count = from;
  let sum = fnvStart;
  let redelivered = 0;
  let code: unknown;
  try {
    for await (const message of receiver) {
      redelivered += receiver.redelivered;
      if (!message.equals(messageOf(count, max))) throw new Error(`message ${count} is another one`);
      count++;
      sum = sumOn(sum, message);
    }
  } catch (error) {
    code = (error as { code?: unknown }).code ?? error;
  }
  return { from, count, sum, redelivered, code };
}

/** The head of a Node peer that has the channel of `place` open. */
function startNodePeer({ channel }: Place, script: string) {
  return startPeer(
    `const messageOf = ${messageSource};
    const channel = args[0] === null ? Channel.fromFd(4) : await Channel.open(args[0]);
    ${script}`,
    { args: [channel.name], fds: [channel.fd] },
  );
}

const soon = () => new Promise((resolve) => setImmediate(resolve));
const died = expect.objectContaining({ code: 'ERR_INTERPROC_PEER_DIED' });

describe.each([
  { way: 'that Node made with a name', make: made },
  { way: 'that Node made without a name', make: madeAnonymous },
  { way: 'that Node made in a file', make: madeInFile },
  { way: 'that a C program made', make: madeByC },
])('a channel $way', ({ make }) => {
  const total = 2000;

  it.each([64, 4096, 1 << 20])('takes what C sends to Node, through %i bytes', async (capacity) => {
    const place = await make(capacity);
    const receiver = place.channel.receiver();
    const sending = await start('send', place, total);
    const received = await receiveAll(receiver, largestOf(place.channel));
    const sum = sumOf(0, total, largestOf(place.channel));
    expect(received).toEqual({ from: 0, count: total, sum, redelivered: 0, code: undefined });
    expect(await outcomeOf(sending)).toEqual({ result: 'ok', count: total, sum, redelivered: 0 });
    receiver.close();
    expect(place.channel.stats()).toMatchObject({ published: total, received: total, used: 0 });
  });

  it.each([64, 4096, 1 << 20])('takes what Node sends to C, through %i bytes', async (capacity) => {
    const place = await make(capacity);
    // The C program that made it died as its receiver, and the next one may not be there yet.
    const sender = place.channel.sender({ awaitPeer: true });
    const receiving = await start('receive', place);
    await send(sender, total);
    sender.close();
    const sum = sumOf(0, total, largestOf(place.channel));
    expect(await outcomeOf(receiving)).toEqual({ result: 'ENDED', count: total, sum, redelivered: 0 });
  });
});

describe.each([
  { way: 'with a name', make: made },
  { way: 'without a name', make: madeAnonymous },
])('on a channel $way', ({ make }) => {
  it.each(['C', 'Node'])(
    'what a killed C sender published is received, and a %s program goes on from there',
    async (language) => {
      const place = make(roomy);
      await killHanging(await start('send-and-hang', place, 50, 40)); // 40 published, 10 more accepted
      const receiver = place.channel.receiver();
      const first = await receiveAll(receiver);
      expect(first).toMatchObject({ count: 40, code: 'ERR_INTERPROC_PEER_DIED' });
      if (language === 'C') {
        const successor = await outcomeOf(await start('send', place, 100));
        expect(successor).toMatchObject({ result: 'ok', count: 100, sum: sumOf(40, 100) });
      } else {
        const successor = place.channel.sender();
        expect(successor.predecessorPublished).toBe(40);
        await send(successor, 100);
        successor.close();
      }
      expect(await receiveAll(receiver)).toMatchObject({ from: 40, count: 100, code: undefined });
    },
  );

  it.each(['C', 'Node'])(
    'what a killed Node sender published is received, and a %s program goes on from there',
    async (language) => {
      const place = make(roomy);
      const peer = startNodePeer(
        place,
        `const sender = channel.sender();
        while (sender.sent < 40) sender.trySend(messageOf(sender.sent, ${largestSent}));
        sender.flush();
        while (sender.sent < 50) sender.trySend(messageOf(sender.sent, ${largestSent}));
        process.kill(process.pid, 'SIGKILL');`,
      );
      expect(await peer.exited).toMatchObject({ signal: 'SIGKILL' });
      expect(await outcomeOf(await start('receive', place))).toEqual({
        result: 'PEER_DIED',
        count: 40,
        sum: sumOf(0, 40),
        redelivered: 0,
      });
      expect(await outcomeOf(await start('receive', place))).toMatchObject({
        result: 'PEER_DIED',
        count: 40,
      });
      if (language === 'C') {
        expect(await outcomeOf(await start('send', place, 100))).toMatchObject({ result: 'ok' });
      } else {
        const successor = place.channel.sender();
        await send(successor, 100);
        successor.close();
      }
      expect(await outcomeOf(await start('receive', place))).toEqual({
        result: 'ENDED',
        count: 100,
        sum: sumOf(40, 100),
        redelivered: 0,
      });
    },
  );

  it('a killed C receiver gives back to Node what it had in hand, and nothing else', async () => {
    const place = make(roomy);
    const sender = place.channel.sender();
    await send(sender, 20);
    await killHanging(await start('receive-and-hang', place, 5));
    const receiver = place.channel.receiver();
    sender.close();
    expect(receiver.received).toBe(4);
    expect(await receiveAll(receiver)).toMatchObject({ from: 4, count: 20, redelivered: 1, code: undefined });
  });

  it('a killed Node receiver gives back to C what it had in hand, also after a second death', async () => {
    const place = make(roomy);
    const sender = place.channel.sender();
    await send(sender, 20);
    sender.flush();
    const peer = startNodePeer(
      place,
      `const receiver = channel.receiver();
      for (let more = 5; more > 0; more--) receiver.tryReceive();
      receiver.tryReceiveMany(3);
      process.kill(process.pid, 'SIGKILL');`,
    );
    expect(await peer.exited).toMatchObject({ signal: 'SIGKILL' });
    await killHanging(await start('receive-and-hang', place, 1)); // has the first of the three in hand
    sender.close();
    expect(await outcomeOf(await start('receive', place))).toEqual({
      result: 'ENDED',
      count: 20,
      sum: sumOf(5, 20),
      redelivered: 3,
    });
  });

  it('a Node receiver that waits for a C sender hears of its death', async () => {
    const place = make(roomy);
    const receiver = place.channel.receiver();
    const hanging = await start('send-and-hang', place, 3, 3);
    for (let number = 0; number < 3; number++) {
      expect((await receiver.receive())?.equals(messageOf(number, largestSent))).toBe(true);
    }
    const waiting = expect(receiver.receive()).rejects.toEqual(died);
    await killHanging(hanging);
    await waiting;
  });

  it('a Node sender that waits for a C receiver hears of its death, and goes on with a successor', async () => {
    const place = make(4096);
    const sender = place.channel.sender();
    const hanging = await start('receive-and-hang', place, 1);
    const sending = send(sender, 10_000).catch((error: unknown) => error);
    await killHanging(hanging);
    expect(await sending).toEqual(died);
    const receiving = await start('receive', place);
    while (sender.peer !== 'alive') await soon();
    await send(sender, 1000);
    sender.close();
    expect(await outcomeOf(receiving)).toMatchObject({ result: 'ENDED', count: 1000, redelivered: 1 });
  });

  it('a C receiver that waits for a Node sender hears of its death', async () => {
    const place = make(roomy);
    const peer = startNodePeer(
      place,
      `channel.sender();
      await send('ready');
      setInterval(() => {}, 1000);`,
    );
    expect(await peer.next()).toBe('ready');
    const receiving = await start('receive', place);
    while (place.channel.stats().timesSlept.receiver === 0) await soon();
    peer.process.kill('SIGKILL');
    expect(await outcomeOf(receiving)).toMatchObject({ result: 'PEER_DIED', count: 0 });
  });

  it('a C sender that waits for a Node receiver hears that it died, and another that it has closed', async () => {
    const place = make(4096);
    const peer = startNodePeer(
      place,
      `channel.receiver();
      await send('ready');
      setInterval(() => {}, 1000);`,
    );
    expect(await peer.next()).toBe('ready');
    const filling = await start('fill', place);
    while (place.channel.stats().timesSlept.sender === 0) await soon();
    peer.process.kill('SIGKILL');
    expect(await outcomeOf(filling)).toMatchObject({ result: 'PEER_DIED' });
    place.channel.receiver().close();
    expect(await outcomeOf(await start('fill', place))).toMatchObject({ result: 'PEER_CLOSED' });
  });
});

it('one program at a time is the sender, and Node tells which', async () => {
  const place = made(roomy);
  const hanging = await start('send-and-hang', place, 1, 1);
  expect(await hanging.line()).toBe('hanging');
  const { pid } = hanging.process;
  expect(() => place.channel.sender()).toThrow(
    expect.objectContaining({
      code: 'ERR_INTERPROC_BUSY',
      message: expect.stringContaining(`process ${pid} `),
    }),
  );
  const second = await start('send', place, 1);
  await expect(second.ended()).rejects.toThrow('interproc_attach_sender: BUSY');
  const participants = place.channel.participants();
  expect(participants).toHaveLength(2);
  expect(participants).toContainEqual(expect.objectContaining({ pid: process.pid, roles: [] }));
  expect(participants).toContainEqual(expect.objectContaining({ pid, roles: ['sender'], readOnly: false }));
  await kill(hanging);
  const sender = place.channel.sender();
  const third = await start('send', place, 1);
  await expect(third.ended()).rejects.toThrow('interproc_attach_sender: BUSY');
  sender.close();
  expect(await outcomeOf(await start('send', place, 2))).toMatchObject({ result: 'ok', count: 2 });
});

it('a sender that goes on as another program has died, to a receiver that sleeps', async () => {
  const place = made(roomy);
  const receiver = place.channel.receiver();
  const sending = await start('send-and-exec', place, 1);
  expect(await sending.line()).toBe('sent');
  await receiver.receive();
  // Shorter than the program's watchdog, which would be a death of its own.
  const next = expect(receiver.receive({ timeout: watchdogMs / 2 })).rejects.toEqual(died);
  while (place.channel.stats().timesSlept.receiver === 0)
    await new Promise((resolve) => setImmediate(resolve));
  sending.say('go on');
  await next;
  await kill(sending);
});

it('the name goes with the last, be it a C program or Node', async () => {
  const name = channelName();
  const where = name.slice(1);
  const channel = Channel.create(name, { capacity: roomy });
  const receiving = await start('receive', { channel, where, fds: [] });
  channel.sender().close();
  channel.close();
  expect(await outcomeOf(receiving)).toMatchObject({ result: 'ENDED', count: 0 });
  expect(Channel.tryOpen(name)).toBeNull();
  const hanging = startProgram(program, ['send-and-hang', `create:4096:${where}`, 1, 1]);
  expect(await hanging.line()).toBe('created');
  const opened = closing(await Channel.open(name));
  await killHanging(hanging);
  expect(opened.linked).toBe(true);
  opened.close();
  expect(Channel.tryOpen(name)).toBeNull();
});

it('each takes the place of what dead ones of the other kind have left', async () => {
  const name = channelName();
  const where = name.slice(1);
  const hanging = startProgram(program, ['send-and-hang', `create:4096:${where}`, 1, 1]);
  expect(await hanging.line()).toBe('created');
  await killHanging(hanging);
  const peer = startPeer(
    `assert.equal(Channel.create(args[0], { capacity: 8192 }).capacity, 8192);
    process.kill(process.pid, 'SIGKILL');`,
    { args: [name] },
  );
  expect(await peer.exited).toMatchObject({ signal: 'SIGKILL', stderr: '' });
  const successor = startProgram(program, ['send-and-hang', `create:16384:${where}`, 1, 1]);
  expect(await successor.line()).toBe('created');
  const opened = closing(await Channel.open(name));
  expect(opened.capacity).toBe(16384);
  expect((await opened.receiver().receive())?.equals(messageOf(0, largestSent))).toBe(true);
});

it.each([
  {
    language: 'c',
    standard: 'c11',
    warnings: ['-pedantic', '-Wshadow', '-Wconversion', '-Wno-sign-conversion'],
  },
  { language: 'c', standard: 'gnu17', warnings: ['-pedantic'] },
  { language: 'c++', standard: 'c++17', warnings: ['-pedantic'] },
])('interproc.h is $standard without a warning', (setting) => {
  expect(compile(source, tempDir(), setting)).toHaveLength(1);
});
