/** Sides whose transport is a stream of Node each way: messages without anything between them, one write each. */
import type { Writable } from 'node:stream';
import type { DescriptorCalls } from '../scenarios/scenario.js';
import { systemWork } from '../support/work.js';
import { Ball, pinging, ponging, receiving } from './called.js';
import type { Side, Task } from './contender.js';
import { Batches, type FrameReader } from './net-frames.js';

/** `connect` has what arrives go to the reader, and gives the stream that is written. */
export function streaming(
  task: Task,
  shape: DescriptorCalls,
  connect: (reader: FrameReader) => Writable,
): Side {
  const framing = { head: 0, bytes: shape.bytes } as const;
  if (shape.work === 'ping-pong') {
    const ball = new Ball(framing.head);
    const stream = connect(ball.reader);
    const send = (bytes: Uint8Array) => stream.write(bytes);
    return task.role === 'lead' ? pinging(ball, send, task.most) : ponging(ball, send);
  }
  const { producer, consumer } = systemWork(shape.bytes);
  const { reader, side } = receiving(consumer, framing);
  const stream = connect(reader);
  if (task.role === 'follow') return side;
  // All but the number is the same in each message.
  const batches = new Batches(stream, () => producer.fresh(0));
  return {
    run: async (count) => {
      for (let number = 0; number < count; number++) {
        const batch = batches.get();
        batch.lanes[0] = number;
        const wait = batches.write(batch, shape.bytes);
        if (wait !== undefined) await wait;
      }
    },
  };
}
