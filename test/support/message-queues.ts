/** POSIX message queues for tests: closed and gone when the test is over. */
import { MessageQueue, type MessageQueueCreateOptions } from 'interproc';
import { queueName } from './names.js';
import { closing } from './sockets.js';

/** What the queues of all tests take counts against one limit of their user: RLIMIT_MSGQUEUE. */
export const small = { maxMessages: 4, messageSize: 64 };

export function makeQueue(options?: MessageQueueCreateOptions): MessageQueue {
  return closing(MessageQueue.create(queueName(), { ...small, ...options }));
}

/** Another handle on the same queue. */
export function openAgain(queue: MessageQueue): MessageQueue {
  return closing(MessageQueue.open(queue.name as string));
}

/** Takes all messages that are in it, as text. */
export function drain(queue: MessageQueue): string[] {
  const texts: string[] = [];
  for (let next = queue.tryReceive(); next !== null; next = queue.tryReceive()) texts.push(String(next.data));
  return texts;
}

/** Sends the numbers from 1 on until there is no room; how many that were. */
export function fill(queue: MessageQueue): number {
  let sent = 0;
  while (queue.trySend(`${sent + 1}`)) sent++;
  return sent;
}

/** A turn of the event loop: what has come by then is told. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
