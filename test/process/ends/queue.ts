import type { Kinds } from './table.js';

export const queue: Kinds = {
  MessageQueue: {
    make: `const queue = MessageQueue.create(name, { maxMessages: 2, messageSize: 8 }); queue.unlink(); queue.unref(); keep(queue);
      const fill = () => { while (queue.trySend('x')); };`,
    steps: {
      created: '',
      unread: "queue.trySend('x');",
      'received from': "const got = queue.receive(); queue.trySend('x'); await got;",
      'waited for': 'queue.receive().catch(() => {}); queue.receive({ timeout: 1e9 }).catch(() => {});',
      'sent to': "fill(); queue.send('y').catch(() => {});",
      'in a loop': '(async () => { for await (const message of queue); })();',
      'with notifications': '(async () => { for await (const count of queue.notifications()); })();',
      'between notifications':
        "const notices = queue.notifications(); const first = notices.next(); queue.trySend('x'); await first; keep(notices);",
      closed: 'queue.close(); queue.close();',
      'closed while it is waited for':
        'queue.receive().catch(() => {}); queue.notifications().next(); await turn(); queue.close();',
      dropped: 'queue.notifications(); forget();',
    },
    stays: {
      'waited for by all': 'queue.ref().receive(); queue.notifications().next();',
      'just noticed': "queue.ref().receive().then(() => inside()); queue.trySend('x'); await never;",
      'in the middle of a loop': "queue.trySend('x'); for await (const message of queue) await inside();",
      'in the middle of notifications':
        "queue.ref(); setImmediate(() => queue.trySend('x')); for await (const count of queue.notifications()) await inside();",
    },
    blocks: {
      receiveSync: 'queue.receiveSync();',
      'receiveSync with a timeout': 'queue.receiveSync({ timeout: 1e9 });',
      sendSync: "fill(); queue.sendSync('y');",
    },
  },
  SysvMessageQueue: {
    make: `const queue = SysvMessageQueue.create(key, { maxBytes: 8 }); queue.unref(); keep(queue);`,
    steps: {
      created: '',
      unread: "queue.trySend(1, 'x');",
      'received from': "const got = queue.receive(); queue.trySend(1, 'x'); await got;",
      'waited for': 'for (let type = 0; type < 5; type++) queue.receive({ type }).catch(() => {});',
      'waited for with a timeout': 'queue.receive({ timeout: 1e9 }).catch(() => {}); await turn();',
      'sent to': "while (queue.trySend(1, 'x')); queue.send(2, 'y').catch(() => {});",
      'in a loop': '(async () => { for await (const message of queue); })().catch(() => {});',
      'waited for no longer':
        'const controller = new AbortController(); queue.receive({ signal: controller.signal }).catch(() => {}); await turn(); controller.abort();',
      removed: 'queue.receive().catch(() => {}); await turn(); queue.remove();',
      closed: 'queue.close(); queue.close();',
      'closed while it is waited for': 'queue.receive().catch(() => {}); await turn(); queue.close();',
      dropped: 'forget();',
    },
    stays: {
      'waited for by all':
        'for (let type = 0; type < 5; type++) queue.ref().receive({ type }).catch(() => {});',
      'just noticed': "queue.ref().receive().then(() => inside()); queue.trySend(1, 'x'); await never;",
    },
    blocks: {
      receiveSync: 'queue.receiveSync();',
      'receiveSync with a timeout': 'queue.receiveSync({ timeout: 1e9 });',
      sendSync: "while (queue.trySend(1, 'x')); queue.sendSync(2, 'y');",
    },
  },
};
