/** Sides whose transport carries messages as such, and calls for each that comes. */
import type { Buffer } from 'node:buffer';
import type { DescriptorCalls } from '../scenarios/scenario.js';
import { lanesOf, systemWork } from '../support/work.js';
import { Ball, pinging, ponging, receiving } from './called.js';
import type { Side, Task } from './contender.js';

/** Undefined: it is sent. Until then its bytes must stay what they are. */
export type Send = (message: Buffer) => Promise<void> | undefined;

/** `connect` has each message that comes go to `take`, and gives what sends. */
export async function messaging(
  task: Task,
  shape: DescriptorCalls,
  connect: (take: (message: Buffer) => void) => Promise<Send>,
): Promise<Side> {
  const framing = { head: 0, bytes: shape.bytes } as const;
  const taking = ({ reader }: Pick<Ball, 'reader'>) =>
    connect((message) => {
      if (message.length !== shape.bytes)
        throw new Error(`a message has ${message.length} bytes, and not ${shape.bytes}`);
      reader.read(message, lanesOf(message));
    });
  if (shape.work === 'ping-pong') {
    const ball = new Ball(framing.head);
    const send = await taking(ball);
    return task.role === 'lead' ? pinging(ball, send, task.most) : ponging(ball, send);
  }
  const { producer, consumer } = systemWork(shape.bytes);
  const called = receiving(consumer, framing);
  const send = await taking(called);
  if (task.role === 'follow') return called.side;
  return {
    run: async (count) => {
      for (let number = 0; number < count; number++) {
        const wait = send(producer.source(number));
        if (wait !== undefined) await wait;
      }
    },
  };
}
