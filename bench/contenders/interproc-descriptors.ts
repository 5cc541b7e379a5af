/**
 * This package over descriptors: messages go by `tryWrite` or `trySend`, and by the promise where there is no room; they
 * come by `read` or `receive` into one buffer, one way by their `try` forms as long as there is something.
 */
import { Buffer } from 'node:buffer';
import {
  Fifo,
  PipeReader,
  PipeWriter,
  type SocketMessage,
  UnixDatagram,
  UnixSeqpacket,
  UnixStream,
} from 'interproc';
import type { DescriptorCalls } from '../scenarios/scenario.js';
import { pathsOf } from '../support/paths.js';
import { checkPing, fillPing, pingBytes, Stopwatch } from '../support/round-trips.js';
import { lanesOf, systemWork } from '../support/work.js';
import type { Side, Task } from './contender.js';

const readBytes = 65_536;

interface Into {
  into: Buffer;
}

/** What a side sends by, and what it receives by: `Got` is what a call gives, and undefined the end. */
interface Ends<Got = Uint8Array | SocketMessage> {
  /** Undefined: it is gone. */
  put(message: Buffer): Promise<void> | undefined;
  /** null: none now. */
  tryGet(options: Into): Got | null | undefined;
  get(options: Into): Promise<Got | undefined>;
}

export async function openDescriptors(task: Task, shape: DescriptorCalls): Promise<Side> {
  const ends = await endsOf(task, shape);
  if (shape.work === 'ping-pong') return task.role === 'lead' ? pinging(ends, task.most) : ponging(ends);
  return task.role === 'lead' ? sending(ends, shape) : receiving(ends, shape);
}

async function endsOf(task: Task, { transport }: DescriptorCalls): Promise<Ends> {
  const [fd, back] = task.handed as [number, number];
  switch (transport) {
    case 'pipe':
      return endsOfBytes(PipeWriter.fromFd(fd), PipeReader.fromFd(back));
    case 'fifo': {
      const paths = pathsOf(task);
      const opening = [Fifo.openWriter(paths.out), Fifo.openReader(paths.back)] as const;
      return endsOfBytes(...(await Promise.all(opening)));
    }
    case 'stream': {
      const stream = UnixStream.fromFd(fd);
      return endsOfBytes(stream, stream);
    }
    case 'datagram':
      return endsOfMessages(UnixDatagram.fromFd(fd));
    case 'seqpacket':
      return endsOfMessages(UnixSeqpacket.fromFd(fd));
  }
}

function endsOfBytes(writer: PipeWriter | UnixStream, reader: PipeReader | UnixStream): Ends<Uint8Array> {
  return {
    put: (message) => {
      const written = writer.tryWrite(message) ?? 0;
      return written === message.length ? undefined : writer.write(message.subarray(written));
    },
    tryGet: (options) => reader.tryRead(options),
    get: (options) => reader.read(options),
  };
}

function endsOfMessages(socket: UnixDatagram | UnixSeqpacket): Ends<SocketMessage> {
  return {
    put: (message) => (socket.trySend(message) ? undefined : socket.send(message)),
    tryGet: (options) => socket.tryReceive(options),
    get: (options) => socket.receive(options),
  };
}

function lengthOf(got: Uint8Array | SocketMessage | undefined): number {
  if (got === undefined) throw new Error('the other side is gone');
  return got instanceof Uint8Array ? got.length : got.data.length;
}

function sending(ends: Ends, { bytes }: DescriptorCalls): Side {
  const { producer } = systemWork(bytes);
  return {
    run: async (count) => {
      for (let number = 0; number < count; number++) {
        const wait = ends.put(producer.source(number));
        if (wait !== undefined) await wait;
      }
    },
  };
}

function receiving(ends: Ends, { bytes }: DescriptorCalls): Side {
  const { consumer } = systemWork(bytes);
  const buffer = Buffer.alloc(readBytes);
  const lanes = lanesOf(buffer);
  const whole = { into: buffer };
  return {
    run: async (count) => {
      consumer.begin(count);
      for (let have = 0; !consumer.done; ) {
        const options = have === 0 ? whole : { into: buffer.subarray(have) };
        const got = ends.tryGet(options);
        have += lengthOf(got === null ? await ends.get(options) : got);
        let at = 0;
        for (; have - at >= bytes; at += bytes) consumer.take(lanes, at >> 2);
        if (at > 0 && at < have) buffer.copyWithin(0, at, have);
        have -= at;
      }
    },
    verify: () => consumer.finish(),
  };
}

/** What goes and comes, in one buffer. */
class Ball {
  readonly #ends: Ends;
  readonly #bytes = Buffer.alloc(pingBytes);
  readonly #lanes = lanesOf(this.#bytes);
  readonly #options = { into: this.#bytes };

  constructor(ends: Ends) {
    this.#ends = ends;
  }

  put(number: number): void {
    fillPing(this.#lanes, 0, number);
    this.#ends.put(this.#bytes);
  }

  async get(number: number): Promise<void> {
    lengthOf(await this.#ends.get(this.#options));
    checkPing(this.#lanes, 0, number);
  }
}

function pinging(ends: Ends, most: number): Side {
  const ball = new Ball(ends);
  const stopwatch = new Stopwatch(most);
  return {
    run: async (count) => {
      stopwatch.start();
      for (let number = 0; number < count; number++) {
        ball.put(number);
        await ball.get(number);
        stopwatch.lap();
      }
    },
    latencies: () => stopwatch.laps(),
  };
}

function ponging(ends: Ends): Side {
  const ball = new Ball(ends);
  return {
    run: async (count) => {
      for (let number = 0; number < count; number++) {
        await ball.get(number);
        ball.put(number);
      }
    },
  };
}
