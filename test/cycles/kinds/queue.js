import { MessageQueue, SysvMessageQueue } from 'interproc';
import { aborted, close, closedInWait, timedOut, turn } from './place.js';

const small = { maxMessages: 2, messageSize: 8 };

/** @type {Record<string, import('./place.js').Kind>} */
export const queueKinds = {
  MessageQueue:
    ({ name }) =>
    (drop) => {
      const queue = MessageQueue.create(name, small);
      const opened = MessageQueue.open(name);
      MessageQueue.unlink(name);
      queue.trySend('x', { priority: 1 });
      opened.tryReceive();
      close(drop, queue, opened);
    },
  'MessageQueue with notifications': ({ name }) => {
    return async (drop) => {
      const queue = MessageQueue.create(name, small);
      queue.unlink();
      const notices = queue.notifications();
      const first = notices.next();
      queue.trySend('x');
      await first;
      if (!drop) await notices.return?.();
      close(drop, queue);
    };
  },
  'MessageQueue that is waited for': ({ name }) => {
    return async (drop) => {
      const queue = MessageQueue.create(name, small);
      queue.unlink();
      await aborted(
        (options) => queue.receive(options),
        (options) => queue.receive(options),
        (options) => queue.notifications(options).next(),
      );
      if (drop) await timedOut(() => queue.receive({ timeout: 0.01 }));
      while (queue.trySend('x'));
      await aborted((options) => queue.send('y', options));
      for await (const _ of queue) break;
      if (drop) return;
      while (queue.tryReceive());
      await closedInWait(queue, () => queue.receive());
    };
  },
  SysvMessageQueue:
    ({ key }) =>
    (drop) => {
      const queue = SysvMessageQueue.create(key);
      const opened = SysvMessageQueue.open(key);
      queue.trySend(1, 'x');
      opened.tryReceive();
      queue.remove();
      close(drop, queue, opened);
    },
  'SysvMessageQueue that is waited for': ({ key }) => {
    return async (drop) => {
      const queue = SysvMessageQueue.create(key, { maxBytes: 8 });
      await aborted(
        (options) => queue.receive({ ...options, type: 1 }),
        (options) => queue.receive({ ...options, type: 2 }),
      );
      while (queue.trySend(1, 'x'));
      await aborted((options) => queue.send(2, 'y', options));
      await turn();
      const gone = queue.receive({ type: 3 }).catch(() => {});
      queue.remove();
      await gone;
      close(drop, queue);
    };
  },
};
