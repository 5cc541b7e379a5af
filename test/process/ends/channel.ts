import type { Kind, Kinds } from './table.js';

const fill = "while (sender.trySend('x'.repeat(500)));";

const sides = (make: string): Kind => ({
  make: `${make} channel.unref(); keep(channel);
    const both = () => { const sender = channel.sender({ awaitPeer: true }); const receiver = channel.receiver({ awaitPeer: true });
      sender.unref(); receiver.unref(); keep(sender, receiver); return { sender, receiver }; };`,
  steps: {
    created: '',
    'taken part in': 'both();',
    unread: "const { sender } = both(); sender.trySend('x');",
    'unread, flushed': "const { sender } = both(); sender.trySend('x'); sender.flush();",
    claimed: 'const { sender } = both(); keep(sender.tryClaim(9));',
    'received from':
      "const { sender, receiver } = both(); const got = receiver.receive(); sender.trySend('x'); await got;",
    'waited for': 'const { receiver } = both(); receiver.receive().catch(() => {});',
    'waited for with a timeout':
      'const { receiver } = both(); receiver.receive({ timeout: 1e9 }).catch(() => {});',
    'sent to': `const { sender } = both(); ${fill} sender.send('x'.repeat(500)).catch(() => {});`,
    drained: "const { sender } = both(); sender.trySend('x'); sender.drained().catch(() => {});",
    'in a loop': '(async () => { const { receiver } = both(); for await (const message of receiver); })();',
    closed:
      'const { sender, receiver } = both(); for (const each of [sender, receiver, channel, channel]) each.close();',
    'closed with sides left': 'both(); channel.close();',
    'closed while it is waited for':
      'const { receiver } = both(); receiver.receive().catch(() => {}); await turn(); channel.close();',
    dropped: 'both(); forget();',
  },
  stays: {
    'waited for by all': 'const { receiver } = both(); receiver.ref(); receiver.receive();',
    'in the middle of a drain':
      "const { sender, receiver } = both(); sender.trySend('x'); sender.flush(); receiver.ref(); await receiver.drain(() => insideSync());",
    'in the middle of a loop':
      "const { sender, receiver } = both(); sender.trySend('x'); for await (const message of receiver.ref()) await inside();",
    'just noticed': `const { sender, receiver } = both(); receiver.ref().receive().then(() => inside());
      await turn(); sender.trySend('x'); await never;`,
  },
  blocks: {
    receiveSync: 'both().receiver.receiveSync();',
    'receiveSync with a timeout': 'both().receiver.receiveSync({ timeout: 1e9 });',
    sendSync: `const { sender } = both(); ${fill} sender.sendSync('x'.repeat(500));`,
    claimSync: `const { sender } = both(); ${fill} sender.claimSync(500);`,
  },
});

export const channel: Kinds = {
  Channel: sides('const channel = Channel.create(name, { capacity: 4096 });'),
  'Channel.anonymous': sides('const channel = Channel.anonymous({ capacity: 4096 });'),
  'Channel that is not there yet': {
    make: '',
    steps: {
      'waited for no longer': `const controller = new AbortController();
      Channel.open(name, { signal: controller.signal }).catch(() => {}); await turn(); controller.abort();`,
    },
    stays: { 'waited for': 'Channel.open(name); Channel.open(name, { timeout: 1e9 });' },
    blocks: { openSync: 'Channel.openSync(name);' },
  },
};
