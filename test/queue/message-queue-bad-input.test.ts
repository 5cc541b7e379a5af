/** Wrong arguments of every public call; and nothing is sent, taken or left behind by them. */
import { inspect } from 'node:util';
import { MessageQueue } from 'interproc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failureOf, misuse, systemError, type Wrong } from '../support/failures.js';
import { makeQueue, small } from '../support/message-queues.js';
import { prefix } from '../support/names.js';
import { leavesNothingOpen } from '../support/pipes.js';
import { seeded } from '../support/random.js';

leavesNothingOpen();

let queue: MessageQueue;
/** What no call of this file makes. */
const never = `/${prefix}never`;

beforeAll(() => {
  queue = MessageQueue.create(`${prefix}bad`, small);
});

afterAll(() => {
  expect(queue.attributes()).toEqual({ ...small, messages: 0, nonBlocking: false });
  expect(queue.linked).toBe(true);
  queue.unlink();
  queue.close();
  expect(() => MessageQueue.open(never)).toThrow(systemError('ENOENT', 'mq_open', never));
});

type Call = [title: string, call: (value: Wrong) => unknown];

const wrongType = (subject: string) => misuse('TypeError', 'ERR_INVALID_ARG_TYPE', subject);
const wrongValue = (subject: string) => misuse('TypeError', 'ERR_INVALID_ARG_VALUE', subject);
const outOfRange = (subject: string) => misuse('RangeError', 'ERR_OUT_OF_RANGE', subject);

const factories: Call[] = [
  ['create', (options) => MessageQueue.create(never, options)],
  ['open', (options) => MessageQueue.open(queue.name as string, options)],
  ['openOrCreate', (options) => MessageQueue.openOrCreate(queue.name as string, options)],
];
const creating: Call[] = [
  ['create', (options) => MessageQueue.create(never, options)],
  ['openOrCreate', (options) => MessageQueue.openOrCreate(never, options)],
];
const named: Call[] = [
  ['create', (name) => MessageQueue.create(name)],
  ['open', (name) => MessageQueue.open(name)],
  ['openOrCreate', (name) => MessageQueue.openOrCreate(name)],
  ['unlink', (name) => MessageQueue.unlink(name)],
];
const receiving: Call[] = [
  ['tryReceive', (options) => queue.tryReceive(options)],
  ['receive', (options) => queue.receive(options)],
  ['receiveSync', (options) => queue.receiveSync(options)],
];
const sending: [title: string, call: (data: Wrong, options?: Wrong) => unknown][] = [
  ['trySend', (data, options) => queue.trySend(data, options)],
  ['send', (data, options) => queue.send(data, options)],
  ['sendSync', (data, options) => queue.sendSync(data, options)],
];
const withPriority = sending.map(([title, call]): Call => [title, (options) => call('x', options)]);
const notifying: Call = ['notifications', (options) => queue.notifications(options).next()];
const waiting: Call[] = [...receiving, ...withPriority].filter(([title]) => !title.startsWith('try'));

const noObjects = [null, 5, 'x', true, [], () => {}, Symbol('x'), 5n];
const moved = () => {
  const memory = new Uint8Array(8);
  structuredClone(memory, { transfer: [memory.buffer] });
  return memory;
};

describe('a name', () => {
  it.each(named)('is a string: %s', async (_, call) => {
    for (const name of [undefined, null, 5, {}, [], Symbol('x'), Buffer.from('x')]) {
      expect(await failureOf(() => call(name)), inspect(name)).toEqual(wrongType('"name" argument'));
    }
  });

  it.each(named)('is one component without null bytes: %s', async (_, call) => {
    for (const name of ['', '/', 'a/b', '//a', '/a/', 'a\0b', '.', '..', '/..']) {
      expect(await failureOf(() => call(name)), inspect(name)).toEqual(wrongValue('"name" argument'));
    }
  });

  it.each(named)('has at most 255 bytes: %s', async (_, call) => {
    for (const name of ['x'.repeat(256), `/${'x'.repeat(256)}`, 'é'.repeat(128)]) {
      expect(await failureOf(() => call(name))).toMatchObject({ name: 'IpcError', code: 'ENAMETOOLONG' });
    }
  });
});

describe('options', () => {
  it.each([...factories, ...receiving, ...withPriority, notifying])('are an object: %s', async (_, call) => {
    for (const options of noObjects) {
      expect(await failureOf(() => call(options)), inspect(options)).toEqual(
        wrongType('"options" argument must be of type object'),
      );
    }
  });

  it.each(factories)('readOnly, writeOnly and nonBlocking are flags: %s', async (_, call) => {
    for (const key of ['readOnly', 'writeOnly', 'nonBlocking']) {
      for (const value of [null, 1, 'true', {}]) {
        expect(await failureOf(() => call({ [key]: value })), key).toEqual(wrongType(`"options.${key}"`));
      }
    }
    expect(await failureOf(() => call({ readOnly: true, writeOnly: true }))).toEqual(
      wrongValue('options.writeOnly'),
    );
  });

  it.each(creating)(
    'sizes are whole numbers above 0, and those that no queue can have are refused: %s',
    async (_, call) => {
      for (const key of ['maxMessages', 'messageSize']) {
        for (const value of [null, '1', 1n, {}]) {
          expect(await failureOf(() => call({ [key]: value })), key).toEqual(wrongType(`"options.${key}"`));
        }
        for (const value of [0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
          expect(await failureOf(() => call({ [key]: value })), key).toEqual(outOfRange(`"options.${key}"`));
        }
        for (const value of [2 ** 31, 2 ** 32 + 1, 2 ** 53 - 1]) {
          expect(await failureOf(() => call({ [key]: value })), `${key} ${value}`).toMatchObject({
            name: 'IpcError',
            code: expect.stringMatching(/^(EINVAL|EOVERFLOW)$/),
            syscall: 'mq_open',
          });
        }
      }
    },
  );

  it.each(creating)('mode, uid and gid are in range: %s', async (_, call) => {
    for (const key of ['mode', 'uid', 'gid']) {
      for (const value of [null, '1', 1n]) {
        expect(await failureOf(() => call({ [key]: value }))).toEqual(wrongType(`"options.${key}"`));
      }
      for (const value of [-1, 0.5, 2 ** 33, ...(key === 'mode' ? [0o1000] : [])]) {
        expect(await failureOf(() => call({ [key]: value }))).toEqual(outOfRange(`"options.${key}"`));
      }
    }
  });

  it.each(withPriority)('priority is a whole number from 0 to 32,767: %s', async (_, call) => {
    for (const priority of [null, '1', 1n, {}]) {
      expect(await failureOf(() => call({ priority }))).toEqual(wrongType('"options.priority"'));
    }
    for (const priority of [-1, 32_768, 0.5, Number.NaN, 2 ** 32]) {
      expect(await failureOf(() => call({ priority }))).toEqual(outOfRange('"options.priority"'));
    }
  });

  it.each(waiting)('timeout is a number that is not negative: %s', async (_, call) => {
    for (const timeout of ['1', null, 1n, {}]) {
      expect(await failureOf(() => call({ timeout }))).toEqual(wrongType('"options.timeout"'));
    }
    for (const timeout of [-1, -0.001, Number.NaN, Number.NEGATIVE_INFINITY]) {
      expect(await failureOf(() => call({ timeout }))).toEqual(outOfRange('"options.timeout"'));
    }
  });

  it.each([...waiting.filter(([title]) => !title.endsWith('Sync')), notifying])(
    'signal is an AbortSignal: %s',
    async (_, call) => {
      for (const signal of [null, 'x', {}, new AbortController(), new EventTarget()]) {
        expect(await failureOf(() => call({ signal }))).toEqual(wrongType('"options.signal"'));
      }
    },
  );

  it.each(receiving)('into is memory, and not empty: %s', async (_, call) => {
    for (const into of [null, 'x', [1], {}, 8]) {
      expect(await failureOf(() => call({ into }))).toEqual(wrongType('"options.into"'));
    }
    for (const into of [new Uint8Array(0), new ArrayBuffer(0), moved()]) {
      expect(await failureOf(() => call({ into }))).toEqual(wrongValue('"options.into"'));
    }
  });

  it('nonBlocking is set to a flag', () => {
    for (const value of [null, 1, 'x', {}] as Wrong[]) {
      expect(() => {
        queue.nonBlocking = value;
      }).toThrow(wrongType('nonBlocking'));
    }
    expect(queue.nonBlocking).toBe(false);
  });
});

describe('data', () => {
  it.each(sending)('is text or bytes: %s', async (_, call) => {
    for (const data of [
      undefined,
      null,
      5,
      5n,
      true,
      {},
      [1],
      Symbol('x'),
      () => {},
      new Proxy(Buffer.from('x'), {}),
    ]) {
      expect(await failureOf(() => call(data))).toEqual(
        wrongType('"data" argument must be of type string or an instance of'),
      );
    }
    expect(await failureOf(() => call(moved()))).toEqual(wrongValue('"data" argument must have its memory'));
  });

  it.each(sending)('is refused before anybody waits: %s', async (_, call) => {
    for (const data of [Buffer.alloc(small.messageSize + 1), 'é'.repeat(33), new ArrayBuffer(1_000_000)]) {
      expect(await failureOf(() => call(data))).toEqual(
        systemError('EMSGSIZE', 'mq_send', queue.name as string),
      );
    }
  });

  it.each([...sending, ...receiving])('or options that throw are not swallowed: %s', async (title, call) => {
    const thrown = new Error('from a getter');
    const throwing = (key: string) =>
      Object.defineProperty({}, key, {
        get() {
          throw thrown;
        },
      });
    const isSending = /send/i.test(title);
    const keys = title.startsWith('try') ? [] : ['timeout'];
    for (const key of [isSending ? 'priority' : 'into', ...keys]) {
      const options = throwing(key);
      expect(await failureOf(() => (isSending ? call('x', options) : (call as Call[1])(options)))).toBe(
        thrown,
      );
    }
  });
});

it('only factories make queues', () => {
  const Kind = MessageQueue as Wrong;
  const setup = { descriptor: {}, name: '/x', created: true };
  for (const args of [[], [Symbol('construct'), setup], [undefined, setup]]) {
    expect(() => new Kind(...args)).toThrow(
      misuse('TypeError', 'ERR_ILLEGAL_CONSTRUCTOR', 'factories of MessageQueue'),
    );
  }
  class Sub extends Kind {}
  expect(() => new Sub()).toThrow(misuse('TypeError', 'ERR_ILLEGAL_CONSTRUCTOR', 'MessageQueue'));
});

it('methods are for queues: what is none, and a queue that is half made, are a TypeError', async () => {
  const { trySend, tryReceive, receive, send, attributes, stat, notifications, close } =
    MessageQueue.prototype;
  for (const self of [undefined, null, {}, Object.create(queue), Object.create(MessageQueue.prototype)]) {
    for (const method of [
      trySend,
      tryReceive,
      receive,
      send,
      attributes,
      stat,
      notifications,
      close,
    ] as Wrong[]) {
      expect(await failureOf(() => method.call(self, 'x')), inspect(self)).toBeInstanceOf(TypeError);
    }
  }
});

it.each([1, 2, 3, 4])(
  'whatever comes as an argument, a call works or says what is wrong: seed %i',
  async (seed) => {
    const random = seeded(seed);
    const mine = makeQueue();
    const values: Wrong[] = [
      ...[
        undefined,
        null,
        0,
        -0,
        1,
        -1,
        0.5,
        64,
        65,
        2 ** 31,
        2 ** 53,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        5n,
      ],
      ...[
        '',
        'x',
        'x'.repeat(65),
        true,
        false,
        Symbol('s'),
        () => {},
        {},
        [],
        [1],
        new Date(),
        /x/,
        new Map(),
      ],
      ...[
        new Uint8Array(0),
        new Uint8Array(8),
        new Uint8Array(100),
        new ArrayBuffer(8),
        new SharedArrayBuffer(70),
      ],
      ...[new DataView(new ArrayBuffer(9), 1), new Float64Array(2), moved(), mine, queue, new Proxy({}, {})],
      ...[AbortSignal.abort(), new AbortController().signal, Object.create(null), Buffer.alloc(64)],
    ];
    const any = () => values[random(values.length)];
    const keys = [
      'into',
      'priority',
      'timeout',
      'signal',
      'readOnly',
      'nonBlocking',
      'maxMessages',
      'messageSize',
    ];
    const options = () => {
      if (random(3) === 0) return any();
      const made: Wrong = {};
      for (let count = random(3); count > 0; count--) made[keys[random(keys.length)] as string] = any();
      return made;
    };
    const calls: (() => unknown)[] = [
      () => mine.trySend(any(), options()),
      () => mine.tryReceive(options()),
      // These may wait, so long as they are given no limit.
      () => mine.sendSync(any(), { ...Object(options()), timeout: random(2) ? 0 : (any() ?? 0) }),
      () => mine.receiveSync({ ...Object(options()), timeout: 0 }),
      () => mine.send(any(), { ...Object(options()), timeout: random(3) ? random(3) : -1 }),
      () => mine.receive({ ...Object(options()), timeout: random(3) ? random(3) : Number.NaN }),
      () => mine.attributes(),
      () => mine.stat(),
      () => {
        mine.nonBlocking = any();
      },
      () => MessageQueue.open(typeof any() === 'string' ? never : any(), options()).close(),
      () => MessageQueue.fromFd([any(), -1, 99_999][random(3)]).close(),
      () => void (random(9) === 0 && drainOf(mine)),
    ];
    const known = /^(ERR_[A-Z_]+|ETIMEDOUT|ABORT_ERR|EMSGSIZE|EBADF|ENOENT|EINVAL|ENAMETOOLONG)$/;
    let failures = 0;
    for (let count = 0; count < 3000; count++) {
      const index = random(calls.length);
      if (index === 2 && mine.attributes().messages === small.maxMessages) drainOf(mine);
      const error = (await failureOf(calls[index] as () => unknown)) as { code: string } | undefined;
      if (error === undefined) continue;
      failures++;
      if (!known.test(error.code)) expect.fail(`${calls[index]}: ${inspect(error)}`);
    }
    expect(failures).toBeGreaterThan(500);
    drainOf(mine);
    mine.trySend('still works');
    expect(String((await mine.receive()).data)).toBe('still works');
  },
);

function drainOf(queue: MessageQueue): void {
  while (queue.tryReceive() !== null);
}
