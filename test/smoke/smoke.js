// Every room of the package once, on whatever runtime this is started with: within one process, between two, and
// in a worker. Needs the package, and nothing else: no root, no test runner, 100 KB of /dev/shm.
//
//   RUNTIME test/smoke/smoke.js [--only ROOM,ROOM] [--gaps FILE]
//
// FILE says, in JSON, what this runtime is known to lack: { "ROOM: sentence": "CODE, or a pattern of the message" }.
// Such a test has to fail, in just that way. INTERPROC_SMOKE_COMMAND, a JSON array, is how a second process is
// started; INTERPROC_SMOKE_SECONDS, how long a test may take before it counts as hanging: 30.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Sides } from './sides.js';
import { TestContext } from './test-context.js';

const all = ['features', 'memory', 'pipe', 'socket', 'queue', 'semaphore', 'sync', 'channel'];
const { values } = parseArgs({ options: { only: { type: 'string' }, gaps: { type: 'string' } } });
const rooms = values.only?.split(',') ?? all;
/** @type {Record<string, string>} */
const gaps = values.gaps ? JSON.parse(readFileSync(values.gaps, 'utf8')) : {};
const watchdogMs = 1000 * Number(process.env.INTERPROC_SMOKE_SECONDS ?? 30);

// Of promises that nobody awaits, such as those of a test that has failed before.
/** @type {unknown[]} */
const strays = [];
process.on('unhandledRejection', (reason) => strays.push(reason));

const counts = { passed: 0, failed: 0, gaps: 0 };
const sides = new Sides();

/** @param {string} text */
const say = (text) => console.log(text);

/**
 * @template T
 * @param {Promise<T>} work
 * @returns {Promise<T>}
 */
async function watched(work) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const hangs = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it hangs: not over after ${watchdogMs} ms`)), watchdogMs);
  });
  try {
    return /** @type {T} */ (await Promise.race([work, hangs]));
  } finally {
    clearTimeout(timer);
  }
}

/** @param {unknown} error */
const codeOf = (error) => String(/** @type {{ code?: unknown }} */ (error)?.code ?? 'no code');
/** @param {unknown} error */
const messageOf = (error) => (error instanceof Error ? error.message : String(error));

/** @param {string} room @param {string} sentence @param {(t: TestContext) => unknown} body */
async function test(room, sentence, body) {
  const name = `${room}: ${sentence}`;
  const gap = gaps[name];
  const context = new TestContext(room, sides);
  /** @type {unknown} */
  let error;
  let failed = false;
  try {
    await watched(Promise.race([Promise.resolve().then(() => body(context)), context.trouble]));
  } catch (reason) {
    error = reason;
    failed = true;
  }
  try {
    await watched(context.cleanUp());
  } catch (reason) {
    if (!failed) error = reason;
    failed = true;
  }
  const [stray] = strays.splice(0);
  if (!failed && stray !== undefined) {
    error = stray;
    failed = true;
  }
  if (gap === undefined && !failed) {
    counts.passed++;
    say(`ok      ${name}`);
  } else if (gap === undefined) {
    counts.failed++;
    say(`not ok  ${name}\n${error instanceof Error ? (error.stack ?? error) : error}`);
  } else if (!failed) {
    counts.failed++;
    say(`not ok  ${name}\nit passes, so it is no gap any more`);
  } else if (codeOf(error) === gap || new RegExp(gap).test(messageOf(error))) {
    counts.gaps++;
    say(`gap     ${name} (${codeOf(error)}: ${messageOf(error).split('\n')[0]})`);
  } else {
    counts.failed++;
    say(`not ok  ${name}\nit fails otherwise than the known gap, ${gap}:`);
    say(String(error instanceof Error ? error.stack : error));
  }
}

const names = new Set(['all: a process that has used all of it ends with code 0']);
for (const room of rooms) {
  const { tests } = await import(`./rooms/${room}.js`);
  for (const [sentence, body] of Object.entries(tests)) {
    names.add(`${room}: ${sentence}`);
    await test(room, sentence, body);
  }
}
// The shared second process has used every room, and has to end well all the same.
await test('all', 'a process that has used all of it ends with code 0', () => sides.end());
for (const name of Object.keys(gaps)) {
  if (values.only || names.has(name)) continue;
  counts.failed++;
  say(`not ok  ${name}\nit is named as a gap, and no test has this name`);
}

say(`smoke: ${counts.passed} passed, ${counts.failed} failed, ${counts.gaps} gaps`);
// By itself, so that a runtime that can't end is noticed; the code is told before.
process.exitCode = counts.failed === 0 ? 0 : 1;
