/** Message queues, POSIX and System V, with C and Python programs on the other side. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ftok, MessageQueue, SysvMessageQueue } from 'interproc';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { systemError } from '../support/failures.js';
import { prefix, queueName, tempPath } from '../support/names.js';
import { closing } from '../support/sockets.js';
import { compile, debianPython, hasSysvIpc, type Program, sleeps, startProgram } from './programs.js';

const project = 200; // as the peers have it; gives a negative key

let inC: string[] = [];
const folder = mkdtempSync(join(tmpdir(), prefix));
beforeAll(() => {
  inC = compile(new URL('queues.c', import.meta.url), folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

const script = fileURLToPath(new URL('queues.py', import.meta.url));
const languages = [
  { language: 'C', peer: () => inC },
  { language: 'Python', peer: () => ['python3', script] },
];

/** A file for ftok; what its key leads to is removed after the test. */
function keyFile(): string {
  const path = tempPath('key');
  writeFileSync(path, '');
  const key = ftok(path, project);
  onTestFinished(() => {
    for (const queue of SysvMessageQueue.list()) if (queue.key === key) SysvMessageQueue.remove(queue.id);
  });
  return path;
}

/** Starts a program that opens the queue or, with a shape, makes it. */
async function start(
  peer: string[],
  kind: string,
  where: string | number,
  shape: number[] = [],
): Promise<Program> {
  const fds = kind === 'fd' ? [where as number] : [];
  const create = shape.length > 0 ? ['create', ...shape] : [];
  const program = startProgram(peer, [kind, kind === 'fd' ? 3 : where, ...create], fds);
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

const hex = (data: string | Uint8Array) => Buffer.from(data as string).toString('hex');
const failed = (code: keyof typeof constants.errno) => `failed ${constants.errno[code]}`;

describe.each(languages)('a $language program and a POSIX queue', ({ peer }) => {
  const shape = { maxMessages: 8, messageSize: 100 };

  it('gets what Node sends, in the order of the priorities', async () => {
    const queue = closing(MessageQueue.create(queueName(), shape));
    const bytes = Buffer.from([0, 255, 10, 13]);
    for (const [priority, data] of [
      [1, 'low'],
      [9, bytes],
      [1, ''],
      [32_767, 'first'],
    ] as const) {
      queue.trySend(data, { priority });
    }
    const program = await start(peer(), 'posix', queue.name as string);
    expect(await ask(program, 'attributes')).toBe('8 100 4');
    expect(await ask(program, 'receive 0')).toBe(`32767 ${hex('first')}`);
    expect(await ask(program, 'receive 0')).toBe(`9 ${hex(bytes)}`);
    expect(await ask(program, 'receive 0')).toBe(`1 ${hex('low')}`);
    expect(await ask(program, 'receive 0')).toBe('1 ');
    expect(queue.attributes().messages).toBe(0);
    await finish(program);
  });

  it('makes a queue and sends what Node gets', async () => {
    const name = queueName();
    const program = await start(peer(), 'posix', name, [7, 50]);
    const queue = closing(MessageQueue.open(name));
    expect(queue.attributes()).toEqual({ maxMessages: 7, messageSize: 50, messages: 0, nonBlocking: false });
    const bytes = Buffer.from(Array.from({ length: 50 }, (_, i) => i * 7));
    expect(await ask(program, `send 4 ${hex(bytes)}`)).toBe('sent');
    expect(await ask(program, 'send 5 ')).toBe('sent');
    expect(await queue.receive()).toEqual({ data: Buffer.alloc(0), priority: 5 });
    expect(queue.receiveSync()).toEqual({ data: bytes, priority: 4 });
    expect(await ask(program, 'remove')).toBe('done');
    expect(() => MessageQueue.open(name)).toThrow(systemError('ENOENT', 'mq_open', name));
    await finish(program);
  });

  it('waits for Node, and Node for it', async () => {
    const queue = closing(MessageQueue.create(queueName(), { maxMessages: 1, messageSize: 8 }));
    const program = await start(peer(), 'posix', queue.name as string);
    const received = queue.receive();
    expect(await ask(program, `send 1 ${hex('a')}`)).toBe('sent');
    expect(String((await received).data)).toBe('a');
    program.say('receive 0');
    await sleeps(program);
    await queue.send('b');
    expect(await program.line()).toBe(`0 ${hex('b')}`);
    // It is full: each waits for room that the other makes.
    await queue.send('c');
    program.say(`send 1 ${hex('d')}`);
    await sleeps(program);
    expect(String(queue.tryReceive()?.data)).toBe('c');
    expect(await program.line()).toBe('sent');
    const sent = queue.send('e');
    expect(await ask(program, 'receive 0')).toBe(`1 ${hex('d')}`);
    await sent;
    expect(await ask(program, 'receive 0')).toBe(`0 ${hex('e')}`);
    await finish(program);
  });

  it('inherits the descriptor, and sees O_NONBLOCK as Node has set it', async () => {
    const queue = closing(MessageQueue.create(queueName(), shape));
    const program = await start(peer(), 'fd', queue.fd);
    queue.trySend('inherited');
    expect(await ask(program, 'receive 0')).toBe(`0 ${hex('inherited')}`);
    queue.nonBlocking = true;
    expect(await ask(program, 'receive 0')).toBe(failed('EAGAIN'));
    queue.nonBlocking = false;
    program.say('receive 0');
    await sleeps(program);
    queue.trySend('at last');
    expect(await program.line()).toBe(`0 ${hex('at last')}`);
    expect(await ask(program, 'nonblock')).toBe('done');
    expect(queue.nonBlocking).toBe(true);
    await finish(program);
  });

  it('passes hundreds of messages to and fro, each once and in order', async () => {
    const name = queueName();
    const [there, back] = [name, `${queueName()}`].map((each) => closing(MessageQueue.create(each, shape)));
    const program = await start(peer(), 'posix', name);
    const answering = await start(peer(), 'posix', back?.name as string);
    for (let i = 0; i < 300; i++) {
      await there?.send(`${i}`);
      const message = (await ask(program, 'receive 0'))?.split(' ')[1];
      expect(message).toBe(hex(`${i}`));
      expect(await ask(answering, `send 0 ${message}`)).toBe('sent');
      expect(String((await back?.receive())?.data)).toBe(`${i}`);
    }
    await Promise.all([finish(program), finish(answering)]);
  });
});

describe('a C program that mq_notify tells of messages', () => {
  it('mq_notify 4: is told once for each time that it asks, and then Node can ask', async () => {
    const queue = closing(MessageQueue.create(queueName(), { maxMessages: 8, messageSize: 100 }));
    const program = await start(inC, 'posix', queue.name as string);
    expect(await ask(program, 'notify')).toBe('done');
    await expect(queue.notifications().next()).rejects.toEqual(
      systemError('EBUSY', 'mq_notify', queue.name as string),
    );
    queue.trySend('for the program');
    expect(await ask(program, 'notified')).toBe('signal');
    queue.tryReceive();
    const notices = queue.notifications();
    const notice = notices.next();
    expect(await ask(program, 'notify')).toBe(failed('EBUSY'));
    expect(await ask(program, `send 0 ${hex('for Node')}`)).toBe('sent');
    expect(await notice).toEqual({ done: false, value: 1 });
    await notices.return?.();
    expect(await ask(program, 'notify')).toBe('done');
    await finish(program);
  });

  it('mq_notify 5: goes before notices when it waits in mq_receive', async () => {
    const queue = closing(MessageQueue.create(queueName(), { maxMessages: 8, messageSize: 100 }));
    const program = await start(inC, 'posix', queue.name as string);
    const notices = queue.notifications();
    const notice = notices.next();
    program.say('receive 0');
    await sleeps(program);
    queue.trySend('for the one who waits');
    expect(await program.line()).toBe(`0 ${hex('for the one who waits')}`);
    // The first notice is of what comes now, and lies there with another by the time that it is looked at.
    queue.trySend('1');
    expect(await notice).toEqual({ done: false, value: 1 });
    await notices.return?.();
    await finish(program);
  });
});

const inSysv = [
  { language: 'C', peer: () => inC, kind: 'sysv', nothing: [failed('ENOMSG'), failed('EAGAIN')] },
  {
    language: 'Python (ctypes)',
    peer: () => ['python3', script],
    kind: 'sysv',
    nothing: [failed('ENOMSG'), failed('EAGAIN')],
  },
];
const withModule = {
  language: 'Python (python3-sysv-ipc)',
  peer: () => [debianPython, script],
  kind: 'module',
  nothing: ['failed busy', 'failed busy'],
};

const sysvCases = (({ language, peer, kind, nothing }: (typeof inSysv)[number]) => {
  it('gets what Node sends, by type', async () => {
    const path = keyFile();
    const queue = closing(SysvMessageQueue.create(ftok(path, project)));
    const bytes = Buffer.from([0, 255, 10, 13]);
    for (const [type, data] of [
      [3, 'third'],
      [1, bytes],
      [2, 'by type'],
      [2 ** 31, 'last'],
    ] as const) {
      queue.trySend(type, data);
    }
    const program = await start(peer(), kind, path);
    const { messages, bytes: there, maxBytes } = queue.stat();
    const told = await ask(program, 'attributes');
    expect(told).toBe(`${messages} ${kind === 'module' ? '?' : there} ${maxBytes}`);
    expect(await ask(program, 'receive 2')).toBe(`2 ${hex('by type')}`);
    expect(await ask(program, 'receive -3')).toBe(`1 ${hex(bytes)}`);
    expect(await ask(program, 'receive 0')).toBe(`3 ${hex('third')}`);
    expect(await ask(program, 'receive 0')).toBe(`${2 ** 31} ${hex('last')}`);
    await finish(program);
  });

  it('makes a queue and sends what Node gets', async () => {
    const path = keyFile();
    const program = await start(peer(), kind, path, [1, 1]);
    const queue = closing(SysvMessageQueue.open(ftok(path, project)));
    const bytes = Buffer.from(Array.from({ length: 5000 }, (_, i) => i * 7));
    expect(await ask(program, `send 4 ${hex(bytes)}`)).toBe('sent');
    expect(await ask(program, `send 5 ${hex('five')}`)).toBe('sent');
    expect(await queue.receive({ type: 5 })).toEqual({ type: 5, data: Buffer.from('five') });
    expect(queue.receiveSync()).toEqual({ type: 4, data: bytes });
    const { lastSendPid, lastReceivePid } = queue.stat();
    expect([lastSendPid, lastReceivePid]).toEqual([program.process.pid, process.pid]);
    expect(await ask(program, 'remove')).toBe('done');
    expect(queue.linked).toBe(false);
    await finish(program);
  });

  it('waits for Node, and Node for it', async () => {
    const path = keyFile();
    const queue = closing(SysvMessageQueue.create(ftok(path, project), { maxBytes: 4 }));
    const program = await start(peer(), kind, path);
    const received = queue.receive({ type: 7 });
    expect(await ask(program, `send 6 ${hex('b')}`)).toBe('sent');
    expect(await ask(program, `send 7 ${hex('a')}`)).toBe('sent');
    expect(String((await received).data)).toBe('a');
    program.say('receive 8');
    await sleeps(program);
    await queue.send(8, 'c');
    expect(await program.line()).toBe(`8 ${hex('c')}`);
    // It is full: each waits for room that the other makes.
    queue.trySend(1, '123');
    program.say(`send 2 ${hex('1234')}`);
    await sleeps(program);
    queue.tryReceive({ type: 6 });
    queue.tryReceive({ type: 1 });
    expect(await program.line()).toBe('sent');
    const sent = queue.send(3, '1234');
    expect(await ask(program, 'receive 0')).toBe(`2 ${hex('1234')}`);
    await sent;
    expect(await ask(program, 'nonblock')).toBe('done');
    expect(await ask(program, `send 1 ${hex('1')}`)).toBe(nothing[1]);
    expect(await ask(program, 'receive 9')).toBe(nothing[0]);
    await finish(program);
  });

  it('ends its wait when Node removes the queue, and Node when it does', async () => {
    const path = keyFile();
    const queue = closing(SysvMessageQueue.create(ftok(path, project)));
    const program = await start(peer(), kind, path);
    const received = queue.receive();
    received.catch(() => {});
    expect(await ask(program, 'remove')).toBe('done');
    await expect(received).rejects.toEqual(systemError('EIDRM', 'msgrcv'));
    await finish(program);
    expect(language).not.toBe('');
  });
}) satisfies (each: (typeof inSysv)[number]) => void;

describe.each(inSysv)('a $language program and a System V queue', sysvCases);
// Debian's python3-sysv-ipc is for Debian's python3.
describe.skipIf(!hasSysvIpc).each([withModule])('a $language program and a System V queue', sysvCases);
