// Many processes send their log to one: datagrams, each a line. Nothing is lost, as who is faster than the collector
// waits; who must not wait drops a line instead, and says how many.
//
//   node examples/socket/log-collector.js
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UnixDatagram } from 'interproc';

const senders = 4;
const lines = 2000;

async function collect() {
  const folder = mkdtempSync(join(tmpdir(), 'interproc-example-'));
  const path = join(folder, 'log.sock');
  // `credentials`: each line tells which process it is of, and none can pretend to be another.
  const log = UnixDatagram.bind(path, { credentials: true });
  const children = Array.from({ length: senders }, () =>
    spawn(process.execPath, [import.meta.filename, path], { stdio: 'inherit' }),
  );
  const ended = Promise.all(children.map((child) => once(child, 'exit')));
  // One that fails never says that it is done: let the loop end.
  ended.then((exits) => exits.some(([code]) => code !== 0) && log.close());

  /** @type {Map<number, number>} lines by process */
  const next = new Map();
  let dropped = 0;
  let done = 0;
  for await (const { data, credentials } of log) {
    const pid = credentials?.pid ?? 0;
    const [word, number] = data.toString().split(' ');
    if (word === 'dropped') {
      dropped += Number(number);
      if (++done === senders) break;
    } else {
      const expected = next.get(pid) ?? 0;
      if (Number(number) !== expected)
        throw new Error(`line ${number} of ${pid} in the place of ${expected}`);
      next.set(pid, expected + 1);
    }
  }
  await ended;
  log.close();
  rmSync(folder, { recursive: true });
  const total = [...next.values()].reduce((sum, count) => sum + count, 0);
  console.log(`Collected ${total} lines of ${next.size} processes, each in order.`);
  console.log(`Of lines that might be dropped ${dropped > 0 ? 'some were' : 'none was'}.`);
}

/** @param {string} path */
async function send(path) {
  const socket = UnixDatagram.create(); // needs no name: nobody answers it
  for (let number = 0; number < lines; number++) {
    await socket.sendTo(`line ${number}`, path); // waits while the collector has too many unread
  }
  let dropped = 0;
  for (let number = 0; number < lines; number++) {
    if (!socket.trySendTo(`line ${lines + number - dropped}`, path)) dropped++; // never waits
  }
  await socket.sendTo(`dropped ${dropped}`, path);
  socket.close();
}

const [path] = process.argv.slice(2);
if (path === undefined) await collect();
else await send(path);
