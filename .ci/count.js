// Adds up what the parts of .ci/run left in a folder, and ends with the line `N passed, N failed`. A
// part without a result, a test that ran nowhere and a part that failed otherwise count as failed.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.argv[2] ?? '.';
const read = (/** @type {string} */ file) => readFileSync(join(folder, file), 'utf8');

let passed = 0;
let failed = 0;

/** @param {string} part @param {number} ok @param {number} notOk */
function add(part, ok, notOk) {
  passed += ok;
  failed += notOk;
  console.log(`${part}: ${ok} passed, ${notOk} failed`);
}

/** @param {string} problem */
function fail(problem) {
  failed++;
  console.log(`failed: ${problem}`);
}

/** @param {string} part @param {() => void} count */
function part(part, count) {
  const before = passed + failed;
  try {
    count();
    if (passed + failed === before) fail(`${part} tested nothing`);
  } catch (error) {
    fail(`${part} left no result: ${error instanceof Error ? error.message : error}`);
  }
}

/**
 * The tests of a run of vitest by their status.
 *
 * @param {string} file
 * @returns {Record<'passed' | 'failed' | 'skipped', string[]>}
 */
function vitest(file) {
  /** @type {Record<'passed' | 'failed' | 'skipped', string[]>} */
  const tests = { passed: [], failed: [], skipped: [] };
  for (const { name, status, assertionResults } of JSON.parse(read(file)).testResults) {
    const suite = name.replace(`${process.cwd()}/`, '');
    for (const test of assertionResults) {
      const kind = test.status === 'passed' || test.status === 'failed' ? test.status : 'skipped';
      tests[/** @type {keyof typeof tests} */ (kind)].push(`${suite}: ${test.fullName}`);
      for (const message of test.failureMessages) console.log(`${suite}: ${test.fullName}\n${message}`);
    }
    if (
      assertionResults.length === 0 ||
      (status === 'failed' && !tests.failed.some((test) => test.startsWith(suite)))
    ) {
      tests.failed.push(`${suite}: the file itself`);
    }
  }
  return tests;
}

part('vitest', () => {
  const runs = {
    tests: vitest('tests.json'),
    'with a SharedArrayBuffer, without futex_waitv and pidfd': vitest('fallbacks.json'),
    'under AddressSanitizer': vitest('sanitized.json'),
  };
  const ranSomewhere = new Set(Object.values(runs).flatMap((run) => [...run.passed, ...run.failed]));
  for (const [name, run] of Object.entries(runs)) {
    add(name, run.passed.length, run.failed.length);
    for (const test of run.failed) console.log(`failed, ${name}: ${test}`);
    // What one version of Node can't do, the other one must have shown.
    for (const test of run.skipped.filter((test) => !ranSomewhere.has(test)))
      fail(`skipped everywhere: ${test}`);
  }
});

for (const [name, file] of /** @type {[string, string][]} */ ([
  ['C++ tests', 'native.xml'],
  ['C++ tests under ThreadSanitizer', 'threads.xml'],
])) {
  part(name, () => {
    const cases = read(file).match(/<testcase\b[^>]*>/g) ?? [];
    const notRun = cases.filter((test) => !test.includes('status="run"'));
    add(name, cases.length - notRun.length, notRun.length);
    for (const test of notRun) console.log(`failed, ${name}: ${test}`);
    const written = readdirSync('test/native')
      .filter((file) => file.endsWith('.cc'))
      .reduce(
        (sum, file) =>
          sum + (readFileSync(`test/native/${file}`, 'utf8').match(/^TEST_CASE\(/gm)?.length ?? 0),
        0,
      );
    if (cases.length !== written) fail(`of ${written} C++ tests ${cases.length} are known to ctest`);
  });
}

for (const name of ['chaos', 'cycles']) {
  part(name, () => {
    const { checks } = JSON.parse(read(`${name}.json`));
    const broken = checks.filter((/** @type {{ ok: boolean }} */ check) => check.ok !== true);
    add(name, checks.length - broken.length, broken.length);
    for (const check of broken) console.log(`failed, ${name}: ${JSON.stringify(check)}`);
  });
}

part('demo', () => {
  const { transports } = JSON.parse(read('demo.json'));
  const ok = transports.filter(
    (/** @type {{ verified: boolean }} */ { verified }) => verified === true,
  ).length;
  add('demo', ok, transports.length - ok);
});

// Each contender of each scenario; what its numbers are is not asked.
part('bench', () => {
  const { scenarios, missing, skipped } = JSON.parse(read('bench.json'));
  const ran = scenarios.flatMap((/** @type {{ summary: unknown[] }} */ { summary }) => summary).length;
  add('bench', ran, 0);
  for (const name of Object.keys(missing)) fail(`the bench went without ${name}`);
  for (const reason of skipped) console.log(`the bench skipped ${reason}`);
});

part('matrix', () => {
  const printed = read('matrix.txt');
  const [, ok, notOk] = /^matrix: (\d+) passed, (\d+) failed$/m.exec(printed) ?? [];
  if (ok === undefined) throw new Error('it ended before its last line');
  add('matrix', Number(ok), Number(notOk));
  // A failure is told up to the next check, which may be one of another part.
  for (const [failure] of printed.matchAll(/^not ok {2}.*\n(?:(?!ok {6}|not ok {2}|matrix: ).*\n)*/gm)) {
    console.log(`failed, matrix: ${failure.slice('not ok  '.length).trimEnd()}`);
  }
});

// A part that failed counts, even where each of its tests passed.
for (const name of read('failed-parts').split('\n').filter(Boolean)) fail(name);

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
