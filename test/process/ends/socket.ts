import type { Kind, Kinds } from './table.js';

const big = 'Buffer.alloc(1_000_000)';

function server(Server: string, Socket: string): Kind {
  return {
    make: `const server = ${Server}.listen(path).unref(); keep(server);`,
    steps: {
      listening: '',
      'waited for': 'server.accept().catch(() => {}); server.accept({ timeout: 1e9 }).catch(() => {});',
      'in a loop': '(async () => { for await (const socket of server); })();',
      'with a client that waits': `keep(${Socket}.tryConnect(path));`,
      'with a client': `keep(${Socket}.tryConnect(path), await server.accept());`,
      closed: 'server.close(); server.close();',
      unlinked: `${Server}.unlink(path);`,
      dropped: 'forget();',
    },
    stays: {
      'waited for by all': 'server.ref().accept(); (async () => { for await (const socket of server); })();',
      'just connected to': `server.ref().accept().then(() => inside()); keep(${Socket}.tryConnect(path)); await never;`,
      'connected to by one who waits': `
        for (;;) if (keep(${Socket}.tryConnect(path)) === null) break;
        ${Socket}.connect(path);`,
    },
    blocks: { acceptSync: 'server.acceptSync();' },
  };
}

function pair(type: string, send: string): Kind {
  return {
    make: `const [one, other] = socketPair('${type}', { maxFds: 2, credentials: true });
      keep(one, other); one.unref(); other.unref();`,
    steps: {
      created: '',
      unread: `one.try${send}('x');`,
      'received from': `const got = other.receive(); one.try${send}('x'); await got;`,
      'waited for': 'one.receive().catch(() => {}); one.receive({ timeout: 1e9 }).catch(() => {});',
      'sent to': `for (let each = 0; each < 1000; each++) one.${send.toLowerCase()}(Buffer.alloc(10_000)).catch(() => {});`,
      'in a loop': '(async () => { for await (const message of one); })();',
      'with descriptors on their way': `one.try${send}('x', { fds: [one, other] });`,
      'with descriptors received': `one.try${send}('x', { fds: [one, other] }); keep(other.tryReceive());`,
      closed: 'for (const each of [one, other, one, other]) each.close();',
      'closed while it is waited for': 'one.receive().catch(() => {}); await turn(); one.close();',
      dropped: `one.try${send}('x', { fds: [one] }); other.tryReceive(); forget();`,
      ...(type === 'stream' && {
        'in streams':
          "const duplex = one.toDuplex().resume(); duplex.write('x'); keep(duplex, other.toWeb());",
        'written to': `one.write(${big}).catch(() => {});`,
      }),
    },
    stays: {
      'waited for by all': 'one.ref().receive(); other.ref().receive();',
      'just noticed': `one.ref().receive().then(() => inside()); other.try${send}('x'); await never;`,
    },
    blocks: {
      receiveSync: 'one.receiveSync();',
      sendSync: `for (;;) one.${send.toLowerCase()}Sync(Buffer.alloc(10_000));`,
    },
  };
}

export const socket: Kinds = {
  'UnixDatagram pair': pair('datagram', 'Send'),
  'UnixSeqpacket pair': pair('seqpacket', 'Send'),
  'UnixStream pair': pair('stream', 'Write'),
  UnixStreamServer: server('UnixStreamServer', 'UnixStream'),
  UnixSeqpacketServer: server('UnixSeqpacketServer', 'UnixSeqpacket'),
  UnixDatagram: {
    make: 'const socket = UnixDatagram.bind(path).unref(); keep(socket);',
    steps: {
      bound: '',
      unread: "UnixDatagram.create().trySendTo('x', path);",
      'waited for': 'socket.receive().catch(() => {});',
      closed: 'socket.close(); socket.close();',
      unlinked: 'UnixDatagram.unlink(path);',
      dropped: 'forget();',
    },
  },
};
