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
    'with a SharedArrayBuffer': vitest('runtimes.json'),
    'without futex_waitv and pidfd': vitest('fallbacks.json'),
  };
  const ranSomewhere = new Set(Object.values(runs).flatMap((run) => [...run.passed, ...run.failed]));
  for (const [name, run] of Object.entries(runs)) {
    add(name, run.passed.length, run.failed.length);
    // What one version of Node can't do, the other one must have shown.
    for (const test of run.skipped.filter((test) => !ranSomewhere.has(test)))
      fail(`skipped everywhere: ${test}`);
  }
});

part('C++ tests', () => {
  const cases = read('native.xml').match(/<testcase\b[^>]*>/g) ?? [];
  const ok = cases.filter((test) => test.includes('status="run"')).length;
  add('C++ tests', ok, cases.length - ok);
  const written = readdirSync('test/native')
    .filter((file) => file.endsWith('.cc'))
    .reduce(
      (sum, file) => sum + (readFileSync(`test/native/${file}`, 'utf8').match(/^TEST_CASE\(/gm)?.length ?? 0),
      0,
    );
  if (cases.length !== written) fail(`of ${written} C++ tests ${cases.length} are known to ctest`);
});

part('chaos', () => {
  const { checks } = JSON.parse(read('chaos.json'));
  const ok = checks.filter((/** @type {{ ok: boolean }} */ check) => check.ok === true).length;
  add('chaos', ok, checks.length - ok);
});

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

part('package', () => {
  const [, ok, notOk] = /^package: (\d+) passed, (\d+) failed$/m.exec(read('package.txt')) ?? [];
  if (ok === undefined) throw new Error('it ended before its last line');
  add('package', Number(ok), Number(notOk));
});

// A part that failed counts, even where each of its tests passed.
for (const name of read('failed-parts').split('\n').filter(Boolean)) fail(name);

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
