/**
 * The soak: two processes on their event loops send each other message after message, each waiting for the other, over
 * each transport; once both on the same CPU, and once where the kernel puts them. A wake-up that gets lost stops them.
 *
 *   npm run soak -- --count 10000 --transports pipe,stream --placements one --patience 60
 *
 * `--count` is that of round trips. Exits with 1 when a message was not the one that was to come, a side failed, or
 * nothing has come for `--patience` seconds; it tells then what each thread of both was doing.
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

const side = fileURLToPath(new URL('side.js', import.meta.url));
const { values: options } = parseArgs({
  options: {
    count: { type: 'string', default: '1000000' },
    transports: { type: 'string', default: Object.keys(lines).join() },
    placements: { type: 'string', default: 'one,any' },
    patience: { type: 'string', default: '60' },
  },
});

/** @param {'count' | 'patience'} name */
function number(name) {
  const value = Number(options[name]);
  if (Number.isSafeInteger(value) && value > 0 && value < 2 ** 32) return value;
  console.error(`--${name} must be a whole number from 1 on, not '${options[name]}'`);
  return process.exit(2);
}

/** @param {'transports' | 'placements'} name @param {string[]} known */
function list(name, known) {
  const given = options[name].split(',');
  if (given.every((each) => known.includes(each))) return given;
  console.error(`--${name} must be some of ${known.join()}, not '${options[name]}'`);
  return process.exit(2);
}

const count = number('count');
const patienceMs = 1000 * number('patience');
const transports = list('transports', Object.keys(lines));
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

/** Runs one transport. @param {string} transport @param {string} placement */
async function run(transport, placement) {
  const folder = mkdtempSync(join(tmpdir(), 'interproc-soak-'));
  const memory = SharedMemory.anonymous({ size: countersSize });
  const [received, slept] = countersOf(memory);
  const [questions, answers] = [createPipe(), createPipe()];
  if (transport === 'fifo') for (const name of ['questions', 'answers']) Fifo.create(join(folder, name));
  /** @type {import('node:child_process').ChildProcess[]} */
  const children = [];
  let over = false;

  /** @param {boolean} asks @param {number[]} pipes */
  const start = (asks, pipes) => {
    const setup = JSON.stringify({ transport, asks, folder, count });
    const command = [process.execPath, side, setup];
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
      const came = `${received[1]} questions and ${received[0]} answers came`;
      reject(new Error([`${came}, and none since ${patienceMs / 1000} s`, ...facts].join('\n')));
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
    if (received[0] !== count || received[1] !== count) throw new Error(`${received.join(' and ')} came`);
    return { ms, slept: [...slept] };
  } finally {
    over = true;
    clearInterval(watch);
    for (const child of children) child.kill('SIGKILL');
    memory.close();
    rmSync(folder, { recursive: true });
  }
}

let failed = 0;
for (const transport of transports) {
  for (const placement of placements) {
    const what = `${transport}, ${placement === 'one' ? 'both on one CPU' : 'on any CPU'}`;
    try {
      const { ms, slept } = await run(transport, placement);
      const each = ((1000 * ms) / count).toFixed(1);
      const took = `${count} round trips in ${(ms / 1000).toFixed(1)} s, ${each} us each`;
      console.log(`${what}: ${took}; the two slept ${slept.join(' and ')} times`);
    } catch (error) {
      failed++;
      console.log(`${what}: FAILED: ${error instanceof Error ? error.message : error}`);
    }
  }
}
console.log(failed === 0 ? 'No message and no wake-up was lost.' : `${failed} of them failed.`);
process.exitCode = failed === 0 ? 0 : 1;
