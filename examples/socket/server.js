// A server that several clients ask, and that knows which user each of them is. In two terminals:
//
//   node examples/socket/server.js server /tmp/squares.sock
//   node examples/socket/server.js client /tmp/squares.sock
//
// Without arguments it starts both, with three clients.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UnixSeqpacket, UnixSeqpacketServer } from 'interproc';

const questions = 1000;

/** @param {UnixSeqpacket} client */
async function answer(client) {
  // The mode of the file keeps other users out already; this is for a server that lets them in.
  if (client.peerCredentials?.uid === process.getuid?.()) {
    for await (const { data } of client) await client.send(`${Number(data) ** 2}`);
  }
  client.close();
}

/** @param {string} path */
function listen(path) {
  // A server that was killed has left its file: this replaces it, unless that server lives.
  const server = UnixSeqpacketServer.listen(path, { mode: 0o600, replaceStale: true });
  const serving = (async () => {
    for await (const client of server) {
      answer(client).catch((error) => console.error(`a client: ${error.message}`)); // the others go on
    }
  })();
  return { server, serving };
}

/** @param {string} path */
async function ask(path) {
  const socket = await UnixSeqpacket.connect(path);
  let sum = 0;
  for (let number = 0; number < questions; number++) {
    await socket.send(`${number}`);
    const reply = await socket.receive({ timeout: 10_000 });
    if (reply === undefined) throw new Error('the server has gone');
    sum += Number(reply);
  }
  socket.close();
  console.log(`The first ${questions} squares add up to ${sum}.`);
}

const [role, path] = process.argv.slice(2);
if (path === undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'interproc-example-'));
  const address = join(folder, 'squares.sock');
  const { server, serving } = listen(address);
  const clients = Array.from({ length: 3 }, () =>
    spawn(process.execPath, [import.meta.filename, 'client', address], { stdio: 'inherit' }),
  );
  await Promise.all(clients.map((client) => once(client, 'exit')));
  server.close(); // removes its file, and ends its loop
  await serving;
  rmSync(folder, { recursive: true });
} else if (role === 'client') {
  await ask(path);
} else {
  const { server } = listen(path);
  process.once('SIGINT', () => server.close());
}
