/** The streams of Node and of the web over what reads and writes bytes. A stream that is destroyed closes its end. */
import type { Buffer } from 'node:buffer';
import {
  Duplex,
  type DuplexOptions,
  Readable,
  type ReadableOptions,
  Writable,
  type WritableOptions,
} from 'node:stream';
import {
  type ReadableByteStreamController,
  ReadableStream,
  type ReadableStreamBYOBRequest,
  type UnderlyingByteSource,
  type UnderlyingSource,
  WritableStream,
} from 'node:stream/web';
import type { MessageData } from './bytes.js';
import { readSize } from './read-memory.js';

interface Closes {
  close(): void;
}

export interface ByteSource extends Closes {
  read(options?: { into: ArrayBufferView }): Promise<Buffer | undefined>;
}

export interface ByteSink extends Closes {
  write(data: MessageData): Promise<void>;
  writev(list: readonly MessageData[]): Promise<void>;
}

type Done = (error?: Error | null) => void;

const reading = (source: ByteSource) => ({
  read(this: Readable): void {
    source.read().then(
      (chunk) => this.push(chunk ?? null),
      (error: Error) => this.destroy(error),
    );
  },
});

const writing = (sink: ByteSink) => ({
  write(chunk: Buffer, _encoding: unknown, done: Done): void {
    sink.write(chunk).then(() => done(), done);
  },
  writev(chunks: { chunk: Buffer }[], done: Done): void {
    sink.writev(chunks.map(({ chunk }) => chunk)).then(() => done(), done);
  },
});

const closing = (end: Closes) => ({
  destroy(error: Error | null, done: Done): void {
    end.close();
    done(error);
  },
});

export function readableOf(source: ByteSource, options: ReadableOptions | undefined): Readable {
  return new Readable({ ...options, ...reading(source), ...closing(source) });
}

/** `oneByOne`: each chunk is a write of its own, also where several wait. */
export function writableOf(
  sink: ByteSink,
  options: WritableOptions | undefined,
  oneByOne: boolean,
): Writable {
  const { write, writev } = writing(sink);
  const how = oneByOne ? { write, writev: undefined } : { write, writev };
  return new Writable({ ...options, decodeStrings: true, ...how, ...closing(sink) } as WritableOptions);
}

/** `end`: no more is written. */
export function duplexOf(
  both: ByteSource & ByteSink,
  end: () => void,
  options: DuplexOptions | undefined,
): Duplex {
  const final = (done: Done): void => {
    try {
      end();
      done();
    } catch (error) {
      done(error as Error);
    }
  };
  return new Duplex({
    ...options,
    decodeStrings: true,
    ...reading(both),
    ...writing(both),
    final,
    ...closing(both),
  });
}

/** Reads when it is asked, into the memory that it is asked to fill. */
export function webReadableOf(
  source: ByteSource,
  ended: () => void = () => source.close(),
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    type: 'bytes',
    autoAllocateChunkSize: readSize,
    async pull(controller) {
      const request = (controller as ReadableByteStreamController).byobRequest as ReadableStreamBYOBRequest;
      const chunk = await source.read({ into: request.view as ArrayBufferView });
      if (chunk === undefined) {
        controller.close();
        ended();
      }
      request.respond(chunk?.length ?? 0);
    },
    cancel: () => source.close(),
  } satisfies UnderlyingByteSource as unknown as UnderlyingSource<Uint8Array>);
}

export function webWritableOf(
  sink: ByteSink,
  ended: () => void = () => sink.close(),
): WritableStream<MessageData> {
  return new WritableStream<MessageData>({
    // A stream that has failed calls neither of the others.
    write: (chunk) =>
      sink.write(chunk).catch((error) => {
        sink.close();
        throw error;
      }),
    close: () => ended(),
    abort: () => sink.close(),
  });
}
