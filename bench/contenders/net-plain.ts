/**
 * A UNIX socket by node:net, as services mostly use it: each message is a write of its length and its bytes, corked for
 * one turn's worth of 32; what arrives by 'data' events is cut into Buffers. net.ts is what can be had at most.
 */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { OneWay } from '../scenarios/scenario.js';
import { consumerOf, lanesOf, producerOf } from '../support/work.js';
import type { Side, Task } from './contender.js';
import { accept, connectTo } from './net.js';
import { headBytes } from './net-frames.js';

const batchMessages = 32;

export async function open(task: Task): Promise<Side> {
  const { shape, role } = task;
  const path = join(task.folder, task.name);
  if (shape.kind !== 'one-way') throw new Error(`there is no ${shape.kind} here`);
  return role === 'lead' ? sending(await accept(path), shape) : receiving(await connectTo({ path }), shape);
}

function sending(socket: Socket, { bytes, method }: OneWay): Side {
  const producer = producerOf(method, bytes);
  return {
    run: async (count) => {
      for (let number = 0; number < count; ) {
        socket.cork();
        for (const end = Math.min(count, number + batchMessages); number < end; number++) {
          const head = Buffer.allocUnsafe(headBytes);
          head.writeInt32LE(bytes);
          socket.write(head);
          socket.write(producer.fresh(number));
        }
        socket.uncork();
        if (socket.writableNeedDrain) await new Promise((resolve) => socket.once('drain', resolve));
      }
    },
  };
}

function receiving(socket: Socket, { bytes, method }: OneWay): Side {
  const consumer = consumerOf(method, bytes);
  const owned = method !== 'in-place' && method !== 'in-place-sparse' && method !== 'copy';
  let rest: Buffer = Buffer.alloc(0);
  let finished: (() => void) | undefined;
  socket.on('data', (chunk: Buffer) => {
    const all = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (all.length - at >= headBytes) {
      const end = at + headBytes + all.readInt32LE(at);
      if (end > all.length) break;
      const message = all.subarray(at + headBytes, end);
      if (owned) consumer.takeOwned(message);
      else consumer.take(lanesOf(message), 0);
      at = end;
    }
    rest = all.subarray(at);
    if (finished !== undefined && consumer.done) finished();
  });
  return {
    run: (count) => {
      consumer.begin(count);
      return new Promise<void>((resolve) => {
        finished = () => {
          finished = undefined;
          resolve();
        };
      });
    },
    verify: () => consumer.finish(),
  };
}
