/**
 * This package. In place: `tryClaim` and `tryDrain`; with copy: `trySend` and `tryDrain`; owned Buffers by the method
 * that the scenario names. What finds no room or no message spins with the `try` form, or sleeps in the `Sync` form; of
 * the methods that are promises, it awaits.
 */
import { Channel, type Message, type Receiver, type Sender } from 'interproc';
import type { OneWay, PingPong } from '../scenarios/scenario.js';
import { Patience } from '../support/patience.js';
import { checkPing, fillPing, pingBytes, Stopwatch } from '../support/round-trips.js';
import { type Consumer, consumerOf, producerOf } from '../support/work.js';
import type { Side, Task } from './contender.js';

export async function open(task: Task): Promise<Side> {
  const { shape, role } = task;
  if (shape.kind === 'memory') return (await import('./interproc-memory.js')).openMemory(task, shape);
  if (shape.kind === 'descriptor')
    return (await import('./interproc-descriptors.js')).openDescriptors(task, shape);
  if (shape.kind === 'queue') return (await import('./interproc-queues.js')).openQueues(task, shape);
  if (shape.kind === 'semaphore')
    return (await import('./interproc-semaphores.js')).openSemaphores(task, shape);
  if (shape.kind === 'lock') return (await import('./interproc-locks.js')).openLocks(task, shape);
  if (shape.kind === 'mapped') return (await import('./arrays.js')).open(task);
  if (shape.kind === 'one-way') {
    const channel = Channel.fromFd(task.handed[0] as number);
    return role === 'lead' ? sending(channel.sender(), shape) : receiving(channel.receiver(), shape);
  }
  const [there, back] = task.handed.map((fd) => Channel.fromFd(fd)) as [Channel, Channel];
  return role === 'lead'
    ? pinging(there.sender(), back.receiver(), shape, task.most)
    : ponging(back.sender(), there.receiver(), shape);
}

function sending(sender: Sender, shape: OneWay): Side {
  const { bytes, method } = shape;
  const producer = producerOf(method, bytes);
  const sleeps = shape.waiting === 'sleeping';
  const patience = new Patience();

  const inPlace = (count: number): void => {
    patience.start();
    for (let number = 0; number < count; number++) {
      let slot = sender.tryClaim(bytes);
      if (slot === null && sleeps) slot = sender.claimSync(bytes);
      while (slot === null) {
        patience.look();
        slot = sender.tryClaim(bytes);
      }
      producer.fill(slot.int32, slot.int32Offset, number);
      slot.commit();
    }
    sender.flush();
  };
  const byCopy = (count: number): void => {
    patience.start();
    for (let number = 0; number < count; number++) {
      const message = producer.source(number);
      while (!sender.trySend(message)) {
        if (sleeps) {
          sender.sendSync(message);
          break;
        }
        patience.look();
      }
    }
    sender.flush();
  };
  const async = async (count: number): Promise<void> => {
    for (let number = 0; number < count; number++) {
      const message = producer.source(number);
      if (!sender.trySend(message)) await sender.send(message);
    }
    sender.flush();
  };
  if (method === 'copy') return { run: byCopy };
  return { run: method === 'in-place' || method === 'in-place-sparse' ? inPlace : async };
}

function receiving(receiver: Receiver, shape: OneWay): Side {
  const { bytes, method } = shape;
  const consumer = consumerOf(method, bytes);
  const runs = { receive, 'receive-many': receiveMany, 'for-await': forAwait };
  if (method in runs) {
    const run = runs[method as keyof typeof runs];
    return {
      run: async (count) => {
        consumer.begin(count);
        await run(receiver, consumer, count);
        receiver.tryReceive(); // there is none, but it finishes the last one
      },
      verify: () => consumer.finish(),
    };
  }
  const sleeps = shape.waiting === 'sleeping';
  const patience = new Patience();
  const handler = ({ int32, int32Offset, length }: Message): void => {
    if (length !== bytes) throw new Error(`a message has ${length} bytes, and not ${bytes}`);
    consumer.take(int32, int32Offset);
  };
  return {
    run: (count) => {
      patience.start();
      consumer.begin(count);
      let left = count;
      while (left > 0) {
        let handled = receiver.tryDrain(handler);
        if (handled === 0) {
          if (sleeps) handled = receiver.drainSync(handler);
          else patience.look();
        }
        if (handled === undefined) break;
        left -= handled;
      }
    },
    verify: () => consumer.finish(),
  };
}

async function receive(receiver: Receiver, consumer: Consumer, count: number): Promise<void> {
  for (let left = count; left > 0; left--) {
    const message = await receiver.receive();
    if (message === undefined) return;
    consumer.takeOwned(message);
  }
}

const many = 1000;

async function receiveMany(receiver: Receiver, consumer: Consumer, count: number): Promise<void> {
  for (let left = count; left > 0; ) {
    const messages = await receiver.receiveMany(many);
    if (messages === undefined) return;
    for (const message of messages) consumer.takeOwned(message);
    left -= messages.length;
  }
}

async function forAwait(receiver: Receiver, consumer: Consumer): Promise<void> {
  for await (const message of receiver) {
    consumer.takeOwned(message);
    if (consumer.done) break;
  }
}

/** Sends a round trip's message, and lets it go at once. */
function put(sender: Sender, number: number, sleeps: boolean, patience: Patience): void {
  let slot = sleeps ? sender.claimSync(pingBytes) : sender.tryClaim(pingBytes);
  while (slot === null) {
    patience.look();
    slot = sender.tryClaim(pingBytes);
  }
  fillPing(slot.int32, slot.int32Offset, number);
  slot.commit();
  sender.flush();
}

/** Calls `handler` for one message. */
function get(
  receiver: Receiver,
  handler: (message: Message) => void,
  sleeps: boolean,
  patience: Patience,
): void {
  if (sleeps) receiver.drainSync(handler, 1);
  else while (receiver.tryDrain(handler, 1) === 0) patience.look();
}

function pinging(sender: Sender, receiver: Receiver, { waiting }: PingPong, most: number): Side {
  const stopwatch = new Stopwatch(most);
  const patience = new Patience();
  let expected = 0;
  const handler = ({ int32, int32Offset }: Message): void => checkPing(int32, int32Offset, expected);
  const blocking = (count: number): void => {
    patience.start();
    const sleeps = waiting === 'sleeping';
    stopwatch.start();
    for (expected = 0; expected < count; expected++) {
      put(sender, expected, sleeps, patience);
      get(receiver, handler, sleeps, patience);
      stopwatch.lap();
    }
  };
  const async = async (count: number): Promise<void> => {
    patience.start();
    stopwatch.start();
    for (expected = 0; expected < count; expected++) {
      put(sender, expected, false, patience);
      await receiver.drain(handler, 1);
      stopwatch.lap();
    }
  };
  return { run: waiting === 'event-loop' ? async : blocking, latencies: () => stopwatch.laps() };
}

function ponging(sender: Sender, receiver: Receiver, { waiting }: PingPong): Side {
  const patience = new Patience();
  let expected = 0;
  const handler = ({ int32, int32Offset }: Message): void => checkPing(int32, int32Offset, expected);
  const blocking = (count: number): void => {
    patience.start();
    const sleeps = waiting === 'sleeping';
    for (expected = 0; expected < count; expected++) {
      get(receiver, handler, sleeps, patience);
      put(sender, expected, sleeps, patience);
    }
  };
  const async = async (count: number): Promise<void> => {
    patience.start();
    for (expected = 0; expected < count; expected++) {
      await receiver.drain(handler, 1);
      put(sender, expected, false, patience);
    }
  };
  return { run: waiting === 'event-loop' ? async : blocking };
}
