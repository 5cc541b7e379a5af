/** UNIX sockets with Python's socket module on the other side. node:net: test/socket/duplex.test.ts */
import { writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createPipe, type SocketMessage, UnixDatagram, type UnixSeqpacket, UnixStream } from 'interproc';
import { describe, expect, it } from 'vitest';
import {
  abstractName,
  closing,
  connecting,
  pairOf,
  socketPath,
  type Type,
  trySend,
  types,
} from '../support/sockets.js';
import { type Program, startProgram } from './programs.js';

const python = ['python3', fileURLToPath(new URL('sockets.py', import.meta.url))];

type AnySocket = UnixDatagram | UnixSeqpacket | UnixStream;
type Way = 'serve' | 'reach' | 'inherit';
const options = { maxFds: 16, credentials: true };

const places = [
  ['a path', socketPath],
  ['an abstract name', abstractName],
] as const;

/** Python does `what` over a socket of this type; ours is the other side. */
async function meet(way: Way, what: string, type: Type, place: () => string) {
  const start = (where: string | number, fds: number[] = []) =>
    startProgram(python, [`${way}-${what}`, type, String(where).replace('\0', '@')], fds);
  const kind = connecting.find((each) => each.type === type);
  const address = place();
  let program: Program;
  let ours: AnySocket;
  if (way === 'inherit') {
    const [first, second] = pairOf(type, options);
    program = start(3, [second.fd]);
    second.close();
    ours = first;
  } else if (way === 'serve') {
    program = start(address);
    expect(await program.line()).toBe('there');
    ours = kind
      ? await kind.Socket.connect(address, options)
      : UnixDatagram.bind(abstractName(), options).connect(address);
  } else if (kind) {
    const server = closing(kind.Server.listen(address, options));
    program = start(address);
    ours = await server.accept();
  } else {
    ours = UnixDatagram.bind(address, options);
    program = start(address);
  }
  return { program, ours: closing(ours) };
}

const send = (socket: AnySocket, data: Uint8Array | string) =>
  socket instanceof UnixStream ? socket.write(data) : socket.send(data);

const cases = types.flatMap((type) =>
  (['serve', 'reach', 'inherit'] as const).flatMap((way) =>
    places.slice(0, way === 'inherit' ? 1 : 2).map(([name, place]) => ({ type, way, name, place })),
  ),
);

describe.each(cases)('Python and a $type socket: $way, $name', ({ type, way, place }) => {
  it('gives back what it gets, messages as they are', async () => {
    const { program, ours } = await meet(way === 'reach' ? 'serve' : way, 'echo', type, place);
    for (const size of [1, 2, 64, 5000, 70_000]) {
      const data = Buffer.from(Array.from({ length: size }, (_, i) => i * 5));
      await send(ours, data);
      let got = Buffer.alloc(0);
      while (got.length < size) got = Buffer.concat([got, ((await ours.receive()) as SocketMessage).data]);
      expect(got.equals(data), String(size)).toBe(true);
    }
    if (ours instanceof UnixDatagram) {
      ours.sendSync('');
      expect((await ours.receive()).data.length).toBe(0);
      ours.sendSync('over');
    } else {
      ours.end();
      expect(await ours.receive()).toBeUndefined();
    }
    await program.ended();
  });

  it('gets back what it sends', async () => {
    const { program, ours } = await meet(way === 'serve' ? 'reach' : way, 'talk', type, place);
    for (;;) {
      const message = await ours.receive();
      if (message === undefined || String(message) === 'over') break;
      const { data, address } = message;
      if (ours instanceof UnixDatagram && address !== null) await ours.sendTo(data, address);
      else await send(ours, data);
    }
    await program.ended();
  });

  it('sends descriptors', async () => {
    const { program, ours } = await meet(way === 'serve' ? 'reach' : way, 'give', type, place);
    const message = (await ours.receive()) as SocketMessage;
    expect(String(message)).toBe('take them');
    expect(message.fds).toHaveLength(3);
    expect(message.fdsTruncated).toBe(false);
    expect(message.credentials).toEqual({
      pid: program.process.pid,
      uid: process.getuid?.(),
      gid: process.getgid?.(),
    });
    for (const [i, { fd }] of message.fds.entries()) writeSync(fd, `pipe ${i}`);
    message.close();
    await program.ended();
  });

  it('receives descriptors', async () => {
    const { program, ours } = await meet(way === 'reach' ? 'serve' : way, 'take', type, place);
    const pipes = Array.from({ length: 16 }, () => createPipe());
    expect(trySend(ours, 'pipe', { fds: pipes.map(({ writer }) => writer) })).toBe(true);
    for (const { writer } of pipes) writer.close();
    for (const [i, { reader }] of pipes.entries()) {
      expect(String(await reader.read())).toBe(`pipe ${i}`);
      expect(await reader.read()).toBeUndefined();
      reader.close();
    }
    await program.ended();
  });

  it('is told who sends, and who is at the other end', async () => {
    const { program, ours } = await meet(way === 'reach' ? 'serve' : way, 'credentials', type, place);
    expect(await program.line()).toBe('asked');
    await send(ours, 'x');
    const own = `${process.pid} ${process.getuid?.()} ${process.getgid?.()}`;
    expect(await program.line()).toBe(own);
    expect(await program.line()).toBe(type === 'datagram' && way !== 'inherit' ? '0 -1 -1' : own);
    await program.ended();
    if (type !== 'datagram' && way !== 'inherit') expect(ours.peerCredentials?.pid).toBe(program.process.pid);
  });
});
