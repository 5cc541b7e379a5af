/** Wrong arguments of every public call, closed sockets, descriptors of something else; and nothing is left behind. */

import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { connect as connectTcp, createServer as createTcpServer } from 'node:net';
import { inspect } from 'node:util';
import {
  createPipe,
  socketPair,
  UnixDatagram,
  UnixSeqpacket,
  UnixSeqpacketServer,
  UnixStream,
  UnixStreamServer,
} from 'interproc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failureOf, misuse, systemError, type Wrong } from '../support/failures.js';
import { openDescriptors } from '../support/leaks.js';
import { prefix, tempDir } from '../support/names.js';
import { abstractName, closing, closingFd, pairOf } from '../support/sockets.js';

let before: string[];
let stream: UnixStream;
let seqpacket: UnixSeqpacket;
let datagram: UnixDatagram;
let server: UnixStreamServer;
const others: { close(): void }[] = [];

beforeAll(async () => {
  const pairs = [socketPair('stream'), socketPair('seqpacket')] as const;
  [stream, seqpacket] = [pairs[0][0], pairs[1][0]];
  datagram = UnixDatagram.bind();
  datagram.connect(datagram.address as string);
  server = UnixStreamServer.listen(`\0${prefix}bad`);
  others.push(...pairs[0], ...pairs[1], datagram, server);
  await stream.read({ timeout: 0 }).catch(() => {}); // what waiting takes of its own
  before = await openDescriptors();
});

afterAll(async () => {
  expect(await openDescriptors()).toEqual(before);
  expect(datagram.tryReceive()).toBeNull();
  expect(pendingOf()).toEqual([null, null]);
  for (const each of others) each.close();
});

const pendingOf = () => [(others[1] as UnixStream).tryRead(), (others[3] as UnixSeqpacket).tryReceive()];

const never = `/tmp/${prefix}never`;

type Call = [title: string, call: (value: Wrong) => unknown];

const addressed: Call[] = [
  ['UnixDatagram.bind', (address) => UnixDatagram.bind(address)],
  ['UnixDatagram.unlink', (address) => UnixDatagram.unlink(address)],
  ['connect of a datagram socket', (address) => datagram.connect(address)],
  ['trySendTo', (address) => datagram.trySendTo('x', address)],
  ['sendTo', (address) => datagram.sendTo('x', address)],
  ['sendToSync', (address) => datagram.sendToSync('x', address)],
  ...[UnixStreamServer, UnixSeqpacketServer].flatMap((kind): Call[] => [
    [`${kind.name}.listen`, (address) => kind.listen(address)],
    [`${kind.name}.unlink`, (address) => kind.unlink(address)],
  ]),
  ...[UnixStream, UnixSeqpacket].flatMap((kind): Call[] => [
    [`${kind.name}.connect`, (address) => kind.connect(address)],
    [`${kind.name}.connectSync`, (address) => kind.connectSync(address)],
    [`${kind.name}.tryConnect`, (address) => kind.tryConnect(address)],
  ]),
];

const withOptions: Call[] = [
  ['UnixDatagram.bind', (options) => UnixDatagram.bind(never, options)],
  ['UnixDatagram.create', (options) => UnixDatagram.create(options)],
  ['UnixDatagram.fromFd', (options) => UnixDatagram.fromFd(datagram.fd, options)],
  ['UnixStream.fromFd', (options) => UnixStream.fromFd(stream.fd, options)],
  ['UnixSeqpacket.fromFd', (options) => UnixSeqpacket.fromFd(seqpacket.fd, options)],
  ['UnixStreamServer.fromFd', (options) => UnixStreamServer.fromFd(server.fd, options)],
  ['socketPair', (options) => socketPair('stream', options)],
  ...[UnixStreamServer, UnixSeqpacketServer].map(
    (kind): Call => [`${kind.name}.listen`, (options) => kind.listen(never, options)],
  ),
  ...[UnixStream, UnixSeqpacket].flatMap((kind): Call[] => [
    [`${kind.name}.connect`, (options) => kind.connect(never, options)],
    [`${kind.name}.connectSync`, (options) => kind.connectSync(never, options)],
    [`${kind.name}.tryConnect`, (options) => kind.tryConnect(never, options)],
  ]),
];

const receiving: Call[] = [
  ['tryReceive of a datagram socket', (options) => datagram.tryReceive(options)],
  ['receive of a datagram socket', (options) => datagram.receive(options)],
  ['receiveSync of a datagram socket', (options) => datagram.receiveSync(options)],
  ['tryReceive of a seqpacket socket', (options) => seqpacket.tryReceive(options)],
  ['receive of a seqpacket socket', (options) => seqpacket.receive(options)],
  ['receiveSync of a seqpacket socket', (options) => seqpacket.receiveSync(options)],
  ['tryReceive of a stream', (options) => stream.tryReceive(options)],
  ['receive of a stream', (options) => stream.receive(options)],
  ['receiveSync of a stream', (options) => stream.receiveSync(options)],
  ['tryRead', (options) => stream.tryRead(options)],
  ['read', (options) => stream.read(options)],
  ['readSync', (options) => stream.readSync(options)],
];

const self = () => datagram.address as string;
const sending: [title: string, call: (data: Wrong, options?: Wrong) => unknown][] = [
  ['trySend of a datagram socket', (data, options) => datagram.trySend(data, options)],
  ['send of a datagram socket', (data, options) => datagram.send(data, options)],
  ['sendSync of a datagram socket', (data, options) => datagram.sendSync(data, options)],
  ['trySendTo', (data, options) => datagram.trySendTo(data, self(), options)],
  ['sendTo', (data, options) => datagram.sendTo(data, self(), options)],
  ['sendToSync', (data, options) => datagram.sendToSync(data, self(), options)],
  ['trySend of a seqpacket socket', (data, options) => seqpacket.trySend(data, options)],
  ['send of a seqpacket socket', (data, options) => seqpacket.send(data, options)],
  ['sendSync of a seqpacket socket', (data, options) => seqpacket.sendSync(data, options)],
  ['tryWrite', (data, options) => stream.tryWrite(data, options)],
  ['write', (data, options) => stream.write(data, options)],
  ['writeSync', (data, options) => stream.writeSync(data, options)],
];

const listing: [title: string, call: (list: Wrong, options?: Wrong) => unknown][] = [
  ['tryWritev', (list) => stream.tryWritev(list)],
  ['writev', (list, options) => stream.writev(list, options)],
  ['writevSync', (list, options) => stream.writevSync(list, options)],
];

const waiting: Call[] = [
  ...receiving.filter(([title]) => !title.startsWith('try')),
  ...sending
    .filter(([title]) => !title.startsWith('try'))
    .map(([title, call]): Call => [title, (options) => call('x', options)]),
  ...listing.slice(1).map(([title, call]): Call => [title, (options) => call(['x'], options)]),
  ['accept', (options) => server.accept(options)],
  ['acceptSync', (options) => server.acceptSync(options)],
  ...withOptions.filter(([title]) => /connect(Sync)?$/.test(title)),
];

const typeError = (subject: string) => misuse('TypeError', 'ERR_INVALID_ARG_TYPE', subject);
const rangeError = (subject: string) => misuse('RangeError', 'ERR_OUT_OF_RANGE', subject);

describe('an address', () => {
  it.each(addressed)('is a string, a URL or bytes: %s', async (title, call) => {
    for (const value of [
      null,
      1,
      true,
      {},
      [],
      Symbol('x'),
      () => {},
      new Uint16Array(2),
      new ArrayBuffer(3),
    ]) {
      expect(await failureOf(() => call(value)), inspect(value)).toEqual(typeError('"address" argument'));
    }
    if (title !== 'UnixDatagram.bind')
      expect(await failureOf(() => call(undefined))).toEqual(typeError('"address"'));
  });

  it.each(addressed)('is neither empty, nor has it null bytes within: %s', async (_, call) => {
    for (const value of ['', Buffer.alloc(0), 'a\0b', '/tmp/x\0']) {
      expect(await failureOf(() => call(value)), inspect(value)).toEqual(
        misuse('TypeError', 'ERR_INVALID_ARG_VALUE', '"address" argument must'),
      );
    }
    expect(await failureOf(() => call(new URL('http://localhost/x')))).toMatchObject({
      code: 'ERR_INVALID_URL_SCHEME',
    });
  });

  it.each(addressed)('that is too long is a clear error: %s', async (_, call) => {
    for (const length of [108, 109, 300, 5000]) {
      expect(await failureOf(() => call('/'.padEnd(length, 'x'))), String(length)).toMatchObject({
        name: 'IpcError',
        code: 'ENAMETOOLONG',
        syscall: expect.stringMatching(/^(bind|connect|send|unlink)$/),
        message: expect.stringMatching(
          `it has ${length} bytes, and the address of a UNIX socket has room for 107 .*relative to the working directory`,
        ),
      });
    }
    for (const length of [109, 300]) {
      expect(await failureOf(() => call('\0'.padEnd(length, 'x'))), String(length)).toMatchObject({
        code: 'ENAMETOOLONG',
        message: expect.stringContaining(
          `it has ${length} bytes, and the address of a UNIX socket has room for 108`,
        ),
      });
    }
    expect(await failureOf(() => call('/'.padEnd(60, 'é')))).toMatchObject({ code: 'ENAMETOOLONG' }); // 119 bytes
  });

  it('of 107 bytes fits, in a file and back', () => {
    const folder = tempDir();
    const path = `${folder}/`.padEnd(107, 'x');
    const receiver = closing(UnixDatagram.bind(path));
    expect(receiver.address).toBe(path);
    closing(UnixDatagram.create()).sendToSync('x', path);
    expect(String(receiver.tryReceive())).toBe('x');
  });
});

describe('options', () => {
  it.each([...withOptions, ...waiting, ...receiving])('are an object: %s', async (_, call) => {
    for (const value of [null, 1, 'x', true, [], () => {}, Symbol('x')]) {
      expect(await failureOf(() => call(value)), inspect(value)).toEqual(
        typeError('"options" argument must be of type object'),
      );
    }
  });

  it.each(sending)('are an object: %s', async (_, call) => {
    for (const value of [null, 1, 'x', true, [], () => {}, Symbol('x')]) {
      expect(await failureOf(() => call('x', value)), inspect(value)).toEqual(
        typeError('"options" argument must be of type object'),
      );
    }
  });

  it.each(withOptions)('maxFds is a number from 0 to 253, credentials a flag: %s', async (_, call) => {
    for (const maxFds of ['1', null, 1n, {}]) {
      expect(await failureOf(() => call({ maxFds }))).toEqual(
        typeError('"options.maxFds" property must be of type number'),
      );
    }
    for (const maxFds of [-1, 254, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(await failureOf(() => call({ maxFds }))).toEqual(rangeError('"options.maxFds" is out of range'));
    }
    for (const credentials of [0, 'true', null, {}]) {
      expect(await failureOf(() => call({ credentials }))).toEqual(
        typeError('"options.credentials" property must be of type boolean'),
      );
    }
  });

  const binding = withOptions.filter(([title]) => /bind|listen/.test(title));
  it.each(binding)('mode, uid, gid, backlog and replaceStale are checked: %s', async (title, call) => {
    for (const key of ['mode', 'uid', 'gid', ...(title.endsWith('listen') ? ['backlog'] : [])]) {
      for (const value of ['1', null, 1n]) {
        expect(await failureOf(() => call({ [key]: value }))).toEqual(typeError(`"options.${key}" property`));
      }
      for (const value of [
        -1,
        0.5,
        2 ** 33,
        ...(key === 'mode' ? [0o1000] : []),
        ...(key === 'backlog' ? [0] : []),
      ]) {
        expect(await failureOf(() => call({ [key]: value }))).toEqual(
          rangeError(`"options.${key}" is out of range`),
        );
      }
    }
    for (const replaceStale of [1, 'true', null]) {
      expect(await failureOf(() => call({ replaceStale }))).toEqual(
        typeError('"options.replaceStale" property must be of type boolean'),
      );
    }
  });

  it.each(waiting)('timeout is a number that is not negative: %s', async (_, call) => {
    for (const timeout of ['1', null, 1n, {}]) {
      expect(await failureOf(() => call({ timeout }))).toEqual(
        typeError('"options.timeout" property must be of type number'),
      );
    }
    for (const timeout of [-1, Number.NaN, Number.NEGATIVE_INFINITY]) {
      expect(await failureOf(() => call({ timeout }))).toEqual(
        rangeError('"options.timeout" is out of range'),
      );
    }
  });

  it.each(waiting.filter(([title]) => !title.includes('Sync')))(
    'signal is an AbortSignal: %s',
    async (_, call) => {
      for (const signal of [null, 'x', {}, new AbortController(), new EventTarget()]) {
        expect(await failureOf(() => call({ signal }))).toEqual(
          typeError('"options.signal" property must be an instance of AbortSignal'),
        );
      }
    },
  );

  it.each(receiving)('into is memory, and not empty: %s', async (_, call) => {
    for (const into of [null, 'x', [1], {}, 8]) {
      expect(await failureOf(() => call({ into }))).toEqual(typeError('"options.into" property'));
    }
    const gone = new Uint8Array(8);
    structuredClone(gone, { transfer: [gone.buffer] });
    for (const into of [new Uint8Array(0), new ArrayBuffer(0), gone]) {
      expect(await failureOf(() => call({ into }))).toEqual(
        misuse('TypeError', 'ERR_INVALID_ARG_VALUE', '"options.into" property'),
      );
    }
  });
});

describe('data', () => {
  it.each(sending)('is text or bytes: %s', async (_, call) => {
    for (const data of [undefined, null, 1, true, {}, [1], Symbol('x'), () => {}]) {
      expect(await failureOf(() => call(data)), inspect(data)).toEqual(
        typeError('"data" argument must be of type string or an instance of'),
      );
    }
    const gone = new Uint8Array(8);
    structuredClone(gone, { transfer: [gone.buffer] });
    expect(await failureOf(() => call(gone))).toEqual(
      misuse('TypeError', 'ERR_INVALID_ARG_VALUE', '"data" argument must have its memory'),
    );
  });

  it.each(listing)('is a list of text or bytes: %s', async (_, call) => {
    for (const list of [undefined, null, 'x', new Uint8Array(1), {}, new Set(['x'])]) {
      expect(await failureOf(() => call(list)), inspect(list)).toEqual(
        typeError('"list" argument must be an instance of Array'),
      );
    }
    for (const each of [undefined, null, 1, {}, ['x']]) {
      expect(await failureOf(() => call(['x', each])), inspect(each)).toEqual(
        typeError('"list[1]" argument'),
      );
    }
  });
});

describe('a descriptor', () => {
  const kinds = [UnixStream, UnixSeqpacket, UnixDatagram, UnixStreamServer, UnixSeqpacketServer];

  it.each(kinds)('is a number that is open: %o', (kind) => {
    for (const fd of ['3', null, undefined, 1n, {}, [3]] as Wrong[]) {
      expect(() => kind.fromFd(fd), inspect(fd)).toThrow(typeError('"fd" argument must be of type number'));
    }
    for (const fd of [-1, 0.5, 2 ** 31, Number.NaN])
      expect(() => kind.fromFd(fd)).toThrow(rangeError('"fd"'));
    expect(() => kind.fromFd(99_999)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });

  it.each(kinds)('is that of a socket of its type: %o', async (kind) => {
    const file = closingFd(openSync('/dev/null', 'r'));
    const { reader, writer } = createPipe();
    closing(reader);
    closing(writer);
    for (const fd of [file, reader.fd, writer.fd]) {
      expect(() => kind.fromFd(fd)).toThrow(systemError('ENOTSOCK', 'getsockopt'));
    }
    const tcp = createTcpServer().listen(0, '127.0.0.1');
    await once(tcp, 'listening');
    const client = connectTcp((tcp.address() as { port: number }).port, '127.0.0.1');
    await once(client, 'connect');
    for (const { _handle } of [tcp, client] as unknown as { _handle: { fd: number } }[]) {
      expect(() => kind.fromFd(_handle.fd)).toThrow(systemError('EAFNOSUPPORT', 'getsockopt'));
    }
    client.destroy();
    tcp.close();
    const all = { UnixStream: stream, UnixSeqpacket: seqpacket, UnixDatagram: datagram };
    for (const [name, socket] of Object.entries(all)) {
      if (kind.name.startsWith(name)) continue;
      expect(() => kind.fromFd(socket.fd)).toThrow(systemError('EPROTOTYPE', 'getsockopt'));
    }
  });
});

describe('a constructor', () => {
  it.each([UnixStream, UnixSeqpacket, UnixDatagram, UnixStreamServer, UnixSeqpacketServer] as Wrong[])(
    'is not for users: %o',
    (Kind) => {
      const setup = { descriptor: {}, receive: { maxFds: 0, credentials: false } };
      for (const args of [[], [Symbol('construct'), setup], [undefined, setup]]) {
        expect(() => new Kind(...args)).toThrow(
          misuse('TypeError', 'ERR_ILLEGAL_CONSTRUCTOR', `factories of ${Kind.name}`),
        );
      }
      class Sub extends Kind {}
      expect(() => new Sub()).toThrow(misuse('TypeError', 'ERR_ILLEGAL_CONSTRUCTOR', Kind.name));
    },
  );

  it('of a received descriptor is not for users either', () => {
    const [first, second] = pairOf('seqpacket', { maxFds: 1 });
    first.sendSync('x', { fds: [first] });
    using message = second.receiveSync() as Exclude<ReturnType<typeof second.receiveSync>, undefined>;
    const ReceivedFd = message.fds[0]?.constructor as Wrong;
    expect(() => new ReceivedFd()).toThrow(misuse('TypeError', 'ERR_ILLEGAL_CONSTRUCTOR', 'ReceivedFd'));
  });

  it.each([undefined, null, 'tcp', '', 1, {}, 'STREAM', 'toString', '__proto__'] as Wrong[])(
    'of a pair knows its types: %o',
    (type) => {
      expect(() => socketPair(type)).toThrow(
        expect.objectContaining({
          name: 'TypeError',
          code: expect.stringMatching(/^ERR_INVALID_ARG_(TYPE|VALUE)$/),
        }),
      );
    },
  );
});

describe('a closed socket', () => {
  const closed = expect.objectContaining({
    name: 'IpcError',
    code: 'ERR_INTERPROC_CLOSED',
    message: expect.stringMatching(/^The .* is closed$/),
  });

  function everyCall(object: object): [string, () => unknown][] {
    const calls: [string, () => unknown][] = [];
    const args: Record<string, unknown[]> = {
      connect: [self()],
      trySendTo: ['x', self()],
      sendTo: ['x', self()],
      sendToSync: ['x', self()],
      tryWritev: [['x']],
      writev: [['x']],
      writevSync: [['x']],
    };
    for (let at = object; at !== Object.prototype; at = Object.getPrototypeOf(at)) {
      for (const [key, { get, set, value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
        if (
          /^(constructor|close|closed|ref|unref|kept|timers|what|checkOpen|checkFree|busyError|sleep|on[A-Z].*|reading|writing|watch|descriptor)$/.test(
            key,
          )
        )
          continue;
        if (/Now$|Later$/.test(key)) continue; // of the classes themselves
        if (get) calls.push([`get ${key}`, () => Reflect.get(object, key)]);
        if (set) calls.push([`set ${key}`, () => Reflect.set(object, key, 5000)]);
        if (typeof value === 'function') {
          const given = args[key] ?? (/^(try)?(send|write)/i.test(key) ? ['x'] : []);
          calls.push([
            key,
            () => (object as Record<string, (...args: unknown[]) => unknown>)[key]?.(...given),
          ]);
        }
      }
    }
    return calls;
  }

  it.each(['stream', 'seqpacket', 'datagram', 'server'])('says so in every method: %s', async (which) => {
    const [first, second] = which === 'server' ? [undefined, undefined] : socketPair(which as 'stream');
    const object = first ?? UnixStreamServer.listen(abstractName());
    second?.close();
    object.close();
    object.close();
    object[Symbol.dispose]();
    expect(object.closed).toBe(true);
    const calls = everyCall(object);
    expect(calls.length).toBeGreaterThan(which === 'server' ? 5 : 14);
    for (const [title, call] of calls) expect(await failureOf(call), title).toEqual(closed);
    object.ref().unref();
  });

  it('says so before it looks at arguments that lead nowhere', () => {
    const fd = openSync('/dev/null', 'r');
    const [first, second] = socketPair('stream');
    first.close();
    expect(() => first.tryWrite('x', { fds: [fd] })).toThrow(closed);
    second.close();
    closeSync(fd);
  });
});
