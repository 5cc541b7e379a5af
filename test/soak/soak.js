/**
 * The soak: two processes send each other message after message, each waiting for the other, over each transport; once both
 * on the same CPU, and once where the kernel puts them. A wake-up that gets lost stops them. Of the calls on queues and
 * semaphores a quarter has a timeout or a signal that ends it at a random moment, if it still waits; and they go on event
 * loops, and blocking (`-sync`).
 *
 *   npm run soak -- --count 10000 --transports pipe,queue-sync --placements one --patience 60 --seed 7
 *
 * `--count` is that of round trips; over queues and semaphores, that of the messages each way. The seed decides what is
 * given up; when, is for the machine. Exits with 1 when a message was not the one that was to come, a side failed, something
 * is left, or nothing has come for `--patience` seconds; it tells then what each thread of both was doing.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createPipe, Fifo, SharedMemory } from 'interproc';
import { countersOf, countersSize } from './counters.js';
import { lines } from './lines.js';
import { queues } from './queues.js';
import { semaphores } from './semaphores.js';

const kinds = [...Object.keys(queues), ...Object.keys(semaphores)];
const known = [...Object.keys(lines), ...kinds.flatMap((kind) => [kind, `${kind}-sync`])];
const { values: options } = parseArgs({
  options: {
    count: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 2 ** 31)) },
    transports: { type: 'string', default: known.join() },
    placements: { type: 'string', default: 'one,any' },
    patience: { type: 'string', default: '60' },
  },
});

/** @param {'count' | 'patience' | 'seed'} name */
function number(name) {
  const value = Number(options[name]);
  if (Number.isSafeInteger(value) && value > 0 && value < 2 ** 32) return value;
  console.error(`--${name} must be a whole number from 1 on, not '${options[name]}'`);
  return process.exit(2);
}

/** @param {'transports' | 'placements'} name @param {string[]} all */
function list(name, all) {
  const given = options[name].split(',');
  if (given.every((each) => all.includes(each))) return given;
  console.error(`--${name} must be some of ${all.join()}, not '${options[name]}'`);
  return process.exit(2);
}

const count = number('count');
const seed = number('seed');
const patienceMs = 1000 * number('patience');
const transports = list('transports', known);
const placements = list('placements', ['one', 'any']);

/** The first CPU that this process may use. */
function firstCpu() {
  return /^Cpus_allowed_list:\t(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
}

/** @param {number} pid What its threads do, as the kernel sees it. */
function threadsOf(pid) {
  const read = (/** @type {string} */ path) => {
    try {
      return readFileSync(path, 'utf8').trim();
    } catch {
      return '?';
    }
  };
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).map((id) => {
    const state = /^State:\t(.*)$/m.exec(read(`${tasks}/${id}/status`))?.[1];
    return `  thread ${id} of process ${pid}: ${state}, in ${read(`${tasks}/${id}/wchan`)}, system call ${read(`${tasks}/${id}/syscall`)}`;
  });
}

/**
 * What a transport needs besides two processes.
 *
 * @typedef {object} Needs
 * @property {string} script Of both sides.
 * @property {object} setup
 * @property {() => number} left How many messages or permits are left.
 * @property {() => void} remove
 */

/** Makes it. @param {string} transport @param {SharedMemory} memory @returns {Needs} */
function prepare(transport, memory) {
  const sync = transport.endsWith('-sync');
  const kind = transport.replace(/-sync$/, '');
  const name = `interproc-soak-${process.pid}`;
  const semaphore = semaphores[kind];
  if (semaphore !== undefined) {
    const { address, left, remove } = semaphore.make(name, memory);
    return { script: 'semaphore-side.js', setup: { kind, sync, seed, address }, left, remove };
  }
  const queue = queues[kind];
  if (queue !== undefined) {
    const both = ['questions', 'answers'].map((each) => queue.make(`${name}-${each}`));
    return {
      script: 'queue-side.js',
      setup: { kind, sync, seed, addresses: both.map(({ address }) => address) },
      left: () => both.reduce((sum, each) => sum + each.messages(), 0),
      remove: () => both.forEach((each) => void each.remove()),
    };
  }
  const folder = mkdtempSync(join(tmpdir(), 'interproc-soak-'));
  if (transport === 'fifo') for (const each of ['questions', 'answers']) Fifo.create(join(folder, each));
  const remove = () => rmSync(folder, { recursive: true });
  return { script: 'side.js', setup: { transport, folder }, left: () => 0, remove };
}

/** Kills and removes what is there. */
let cleanUp = () => {};
process.on('exit', () => cleanUp());
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

/** Runs one transport. @param {string} transport @param {string} placement */
async function run(transport, placement) {
  const memory = SharedMemory.anonymous({ size: countersSize });
  const { received, sent, givenUp, slept } = countersOf(memory);
  const [questions, answers] = [createPipe(), createPipe()];
  const { script, setup, left, remove } = prepare(transport, memory);
  /** @type {import('node:child_process').ChildProcess[]} */
  const children = [];
  let over = false;
  cleanUp = () => {
    cleanUp = () => {};
    over = true;
    for (const child of children) child.kill('SIGKILL');
    memory.close();
    try {
      remove();
    } catch {
      // Somebody has removed it: the sides say so.
    }
  };

  /** @param {boolean} asks @param {number[]} pipes */
  const start = (asks, pipes) => {
    const file = fileURLToPath(new URL(script, import.meta.url));
    const command = [process.execPath, file, JSON.stringify({ ...setup, asks, count })];
    if (placement === 'one') command.unshift('taskset', '-c', firstCpu());
    const [program, ...args] = /** @type {[string]} */ (command);
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit', memory.fd, ...pipes] });
    children.push(child);
    const ended = once(child, 'exit').then(([code, signal]) => {
      if (code !== 0 && !over)
        throw new Error(`the side that ${asks ? 'asks' : 'answers'}: ${code ?? signal}`);
    });
    return { child, ended };
  };

  let watch;
  const lost = new Promise((_, reject) => {
    let last = -1;
    let since = performance.now();
    watch = setInterval(() => {
      const now = /** @type {number} */ (received[0]) + /** @type {number} */ (received[1]);
      if (now !== last) since = performance.now();
      last = now;
      if (performance.now() - since < patienceMs) return;
      const facts = children.flatMap(({ pid }) => threadsOf(/** @type {number} */ (pid)));
      const were = `${sent[0]} questions and ${sent[1]} answers were sent`;
      const came = `${received[1]} and ${received[0]} came`;
      reject(new Error([`${were}, ${came}, none since ${patienceMs / 1000} s`, ...facts].join('\n')));
    }, 1000);
  });

  try {
    const answering = start(false, [questions.reader.fd, answers.writer.fd]);
    await Promise.race([once(/** @type {any} */ (answering.child.stdout), 'data'), answering.ended, lost]);
    const asking = start(true, [answers.reader.fd, questions.writer.fd]);
    for (const end of [questions, answers].flatMap(({ reader, writer }) => [reader, writer])) end.close();
    const begun = performance.now();
    await Promise.race([Promise.all([asking.ended, answering.ended]), lost]);
    const ms = performance.now() - begun;
    if (sent[0] !== received[1] || sent[1] !== received[0] || Math.min(...received) < count || left() !== 0) {
      throw new Error(
        `${sent.join(' and ')} were sent, ${received[1]} and ${received[0]} came, ${left()} are left`,
      );
    }
    return { ms, messages: [...sent], givenUp: [...givenUp], slept: [...slept] };
  } finally {
    clearInterval(watch);
    cleanUp();
  }
}

console.log(`seed ${seed}`);
let failed = 0;
for (const transport of transports) {
  for (const placement of placements) {
    const what = `${transport}, ${placement === 'one' ? 'both on one CPU' : 'on any CPU'}`;
    try {
      const { ms, messages, givenUp, slept } = await run(transport, placement);
      const each = ((1000 * ms) / count).toFixed(1);
      const came =
        transport in lines
          ? `${count} round trips`
          : `${messages.join(' and ')} messages (${givenUp.join(' and ')} calls were given up)`;
      const took = `${came} in ${(ms / 1000).toFixed(1)} s, ${each} us each`;
      console.log(`${what}: ${took}; the two slept ${slept.join(' and ')} times`);
    } catch (error) {
      failed++;
      console.log(`${what}: FAILED: ${error instanceof Error ? error.message : error}`);
    }
  }
}
console.log(failed === 0 ? 'No message and no wake-up was lost.' : `${failed} of them failed.`);
process.exitCode = failed === 0 ? 0 : 1;
