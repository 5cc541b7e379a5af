/**
 * The cycles: each kind of object is made, opened, used and closed over and over, and some of them are dropped for the
 * collection to close. What the process holds must stay as it was: memory, descriptors, mappings, threads (samples.js says what
 * counts as more). Then as many workers, one after the other, make one of each and end.
 *
 *   npm run cycles -- --count 100000 --workers 500 --only 'Mutex,MessageQueue' --jobs 2 --json FILE
 *
 * A long run (from 10,000 cycles on) gives each kind a process of its own. Exits with 1 when something grew, failed, or was left.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MessageQueue, Semaphore, SysvMessageQueue, SysvSemaphoreSet, SysvSharedMemory } from 'interproc';
import { tellChecks, wholeNumber } from '../chaos/storms.js';
import { kinds } from './kinds/all.js';
import { judge, longRun } from './samples.js';

const { values: options } = parseArgs({
  options: {
    count: { type: 'string', default: '100000' },
    workers: { type: 'string', default: '500' },
    only: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    json: { type: 'string' },
    // Plants a leak, to show that it is found: one of those in side.js.
    leak: { type: 'string' },
  },
});
const count = wholeNumber('count', options.count, 16);
const workers = wholeNumber('workers', options.workers, 0);
const jobs = wholeNumber('jobs', options.jobs, 1);
const asked = options.only?.split(',').map((each) => each.trim());
const unknown = asked?.find((each) => !(each in kinds));
if (unknown !== undefined) {
  console.error(`--only must be some of ${Object.keys(kinds).join(', ')}; not '${unknown}'`);
  process.exit(2);
}
const ownProcess = count >= longRun;
const patienceMs = 120_000 + 20 * count;

/**
 * @typedef {import('./side.js').Order} Order
 * @typedef {import('./side.js').Report} Report
 * @typedef {{ kind: string, cycles: number, cpuUs: number, grown: ReturnType<typeof judge>, error?: string }} Result
 */

const folder = mkdtempSync(join(tmpdir(), 'interproc-cycles-'));
/** @type {Set<import('node:child_process').ChildProcess>} */
const sides = new Set();
process.on('exit', () => {
  for (const side of sides) side.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

function startSide() {
  const script = fileURLToPath(new URL('side.js', import.meta.url));
  const side = fork(script, {
    // A small young generation: else V8 takes 16 MB for it, sooner or later.
    execArgv: ['--expose-gc', '--max-semi-space-size=1'],
    env: {
      ...process.env,
      MALLOC_ARENA_MAX: '1',
      // What V8's compilers take for a while is mapped, and given back.
      MALLOC_MMAP_THRESHOLD_: '32768',
      MALLOC_TRIM_THRESHOLD_: '32768',
    },
  });
  sides.add(side);
  side.once('exit', () => sides.delete(side));
  return side;
}

/** @param {import('node:child_process').ChildProcess} side @param {Order} order @returns {Promise<Report>} */
function report(side, order) {
  return new Promise((resolve) => {
    const finish = (/** @type {Report} */ result) => {
      clearTimeout(watchdog);
      side.removeAllListeners('message');
      side.removeListener('exit', onExit);
      resolve(result);
    };
    const onExit = (/** @type {number | null} */ code, /** @type {string | null} */ signal) =>
      finish({ error: `its process ended: ${code ?? signal}` });
    const watchdog = setTimeout(() => {
      side.kill('SIGKILL');
      finish({ error: `it took longer than ${patienceMs / 1000} s` });
    }, patienceMs);
    side.on('message', (message) => finish(/** @type {Report} */ (message)));
    side.once('exit', onExit);
    side.send(order);
  });
}

/** Names that nothing else has. @param {number} index @returns {import('./kinds/place.js').Place} */
function placeOf(index) {
  return {
    name: `/interproc-cycles-${process.pid}-${index}`,
    key: ((process.pid & 0x7fff) << 16) | (index + 1),
    path: join(folder, String(index)), // short: the address of a socket has 107 bytes
  };
}

/** What is still there under a kind's names; it is removed. @param {import('./kinds/place.js').Place} place */
function leftOf({ name, key, path }) {
  const left = [];
  for (const kind of [MessageQueue, Semaphore]) {
    for (const each of [name, `${name}-left`]) {
      try {
        kind.unlink(each);
        left.push(`${kind.name} ${each}`);
      } catch (error) {
        if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ENOENT') throw error;
      }
    }
  }
  for (const kind of [SysvSharedMemory, SysvMessageQueue, SysvSemaphoreSet]) {
    for (const object of kind.list().filter((each) => each.key === key)) {
      kind.remove(object.id);
      left.push(`${kind.name} ${object.id}`);
    }
  }
  const own = (/** @type {string} */ at, /** @type {string} */ file) =>
    readdirSync(at)
      .filter((each) => each === file || each.endsWith(`.${file}`))
      .map((each) => join(at, each));
  for (const file of [...own('/dev/shm', name.slice(1)), ...own(folder, path.slice(folder.length + 1))]) {
    rmSync(file);
    left.push(file);
  }
  return left;
}

/** @param {string} kind @param {Report} outcome @param {string[]} left @returns {Result} */
function resultOf(kind, outcome, left) {
  if ('error' in outcome) return { kind, cycles: 0, cpuUs: 0, grown: [], error: outcome.error };
  const { samples, cycles, cpuMs } = outcome;
  const grown = judge(samples, cycles);
  const result = { kind, cycles, cpuUs: (1000 * cpuMs) / cycles, grown };
  return left.length === 0 ? result : { ...result, error: `left: ${left.join(', ')}` };
}

const size = (/** @type {number} */ bytes) => `${(bytes / 1024).toFixed(0)}K`;
const columns = /** @type {const} */ ([
  ['fds', 'descriptors'],
  ['objects', 'objects'],
  ['threads', 'threads'],
  ['handles', 'handles'],
  ['maps', 'maps'],
  ['virtual', 'virtual'],
  ['rss', 'rss'],
  ['malloc', 'malloc'],
  ['heap', 'heapUsed'],
  ['external', 'external'],
]);
const widest = Math.max(...Object.keys(kinds).map((kind) => kind.length)) + 1;
const inBytes = ['virtual', 'rss', 'malloc', 'heapUsed', 'external'];

/** @param {Result} result */
function tell({ kind, cpuUs, grown, error }) {
  const cells = columns.map(([title, name]) => {
    const { grown: by = 0, ok = true } = grown.find((each) => each.name === name) ?? {};
    return `${inBytes.includes(name) ? size(by) : by}${ok ? '' : '!'}`.padStart(Math.max(title.length, 7));
  });
  console.log(kind.padEnd(widest), cpuUs.toFixed(0).padStart(7), ...cells);
  if (error !== undefined) console.log(`  ${error}`);
}

console.log(
  `${count} cycles of each kind: CPU microseconds of a cycle, and what there was more of at the end (! is too much)`,
);
console.log(
  'kind'.padEnd(widest),
  'us'.padStart(7),
  ...columns.map(([title]) => title.padStart(Math.max(title.length, 7))),
);

/** @type {Result[]} */
const results = [];
const queue = asked ?? Object.keys(kinds);
const begun = performance.now();

async function work() {
  let side = startSide();
  for (let kind = queue.shift(); kind !== undefined; kind = queue.shift()) {
    const place = placeOf(Object.keys(kinds).indexOf(kind) + 1);
    const order = { kind, count, place, ...(options.leak !== undefined && { leak: options.leak }) };
    const outcome = await report(side, order);
    if (ownProcess || 'error' in outcome) {
      side.kill('SIGKILL');
      side = startSide();
    }
    const result = resultOf(kind, outcome, leftOf(place));
    results.push(result);
    tell(result);
  }
  side.kill('SIGKILL');
}
await Promise.all(Array.from({ length: jobs }, work));

if (asked === undefined && workers > 0) {
  const side = startSide();
  const place = placeOf(0);
  const outcome = await report(side, { kind: 'workers', count: workers, place });
  side.kill('SIGKILL');
  const result = resultOf(`${workers} workers`, outcome, leftOf(place));
  results.push(result);
  tell(result);
}

const seconds = (performance.now() - begun) / 1000;
console.log(`in ${seconds.toFixed(0)} s`);
const checks = results.flatMap(({ kind, grown, error }) => [
  ...grown.map(({ name, grown: by, bound, ok }) => ({
    name: `${kind}: ${name} grew by ${by}, more than ${bound}`,
    ok,
  })),
  { name: `${kind}: ${error ?? 'to its end'}`, ok: error === undefined },
]);
if (options.json !== undefined)
  writeFileSync(options.json, `${JSON.stringify({ count, seconds, results, checks }, null, 2)}\n`);
tellChecks(checks);
