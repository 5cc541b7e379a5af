// Runs the C++ tests and then all others under AddressSanitizer and UndefinedBehaviorSanitizer, and counts
// meanwhile which lines of native/ and lib/ run, in every process. Fails on a failed test, a report of a
// sanitizer, or if less than 90% of the lines of either have run. Arguments go to vitest.
//
//   npm run coverage -- [--native-junit FILE] [ARGUMENTS]
//
// --native-junit  the results of the C++ tests
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { LineCounts } from './line-counts.js';
import {
  build,
  buildFolder,
  debianPackages,
  noReports,
  resetCounters,
  root,
  sanitizedEnvironment,
  sanitizedNode,
} from './sanitizers.js';

/** @import { FileCount } from './line-counts.js' */

const leastPercent = 90;
const shownFiles = 15;

const args = process.argv.slice(2);
const junitAt = args.indexOf('--native-junit');
const junit = junitAt === -1 ? undefined : args.splice(junitAt, 2)[1];
const problems = /** @type {string[]} */ ([]);

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{ env: NodeJS.ProcessEnv, cwd?: string, meanwhile?: () => void }} options
 */
async function succeeds(command, args, { env, cwd = root, meanwhile }) {
  const child = spawn(command, args, { cwd, env, stdio: 'inherit' });
  const timer = meanwhile && setInterval(meanwhile, 1000);
  const [code] = await once(child, 'close');
  clearInterval(timer);
  return code === 0;
}

debianPackages('gcovr');
build({ tests: true });
resetCounters();

{
  // doctest tells of SIGSEGV itself, and the leaks of a C++ test are its own.
  const { env, reports } = sanitizedEnvironment({ leaks: true });
  const more = junit ? ['--output-junit', resolve(junit)] : [];
  const parallel = ['--parallel', String(availableParallelism())];
  const ctest = ['--output-on-failure', '--no-tests=error', ...parallel, ...more];
  if (!(await succeeds('ctest', ctest, { env, cwd: buildFolder }))) problems.push('C++ tests failed');
  if (!noReports(reports())) problems.push('a sanitizer found something in the C++ tests');
}

const counts = new LineCounts(root);
{
  const { env, reports } = sanitizedEnvironment();
  const counted = mkdtempSync(join(tmpdir(), 'interproc-counts-'));
  chmodSync(counted, 0o1777); // some tests drop their rights
  const took = await succeeds(sanitizedNode, ['node_modules/vitest/vitest.mjs', 'run', ...args], {
    env: { ...env, NODE_V8_COVERAGE: counted },
    meanwhile: () => counts.takeIn(counted),
  });
  if (!took) problems.push('tests failed');
  if (!noReports(reports())) problems.push('a sanitizer found something in the addon');
  const torn = counts.takeIn(counted);
  if (torn > 0) console.log(`${torn} processes were killed while they wrote their counters`);
  rmSync(counted, { recursive: true });
}

/**
 * @param {string} title
 * @param {FileCount[]} files
 */
function report(title, files) {
  const lines = files.reduce((sum, file) => sum + file.lines, 0);
  const run = files.reduce((sum, file) => sum + file.run, 0);
  const percent = (100 * run) / lines;
  console.log(`\n${title}: ${percent.toFixed(1)}% of ${lines} lines have run`);
  const least = files
    .filter((file) => file.missing.length > 0)
    .sort((a, b) => a.run / a.lines - b.run / b.lines);
  for (const file of least.slice(0, shownFiles)) {
    const share = ((100 * file.run) / file.lines).toFixed(1).padStart(5);
    console.log(`  ${share}%  ${file.file}: not ${ranges(file.missing)}`);
  }
  if (least.length > shownFiles) console.log(`          and ${least.length - shownFiles} with fewer`);
  if (!(percent >= leastPercent)) problems.push(`less than ${leastPercent}% of the lines of ${title}`);
}

/** `[1, 2, 3, 7]` is `1-3 7`. @param {number[]} numbers */
function ranges(numbers) {
  /** @type {[number, number][]} */
  const found = [];
  for (const number of numbers) {
    const last = found.at(-1);
    if (last?.[1] === number - 1) last[1] = number;
    else found.push([number, number]);
  }
  return found.map(([from, to]) => (from === to ? from : `${from}-${to}`)).join(' ');
}

/** @returns {FileCount[]} */
function nativeFiles() {
  const json = execFileSync(
    'gcovr',
    [
      '--json',
      '--root',
      root,
      '--filter',
      'native/',
      '--object-directory',
      buildFolder,
      '-j',
      '2',
      buildFolder,
    ],
    { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 },
  );
  /** @type {{ files: { file: string, lines: { line_number: number, count: number, 'gcovr/noncode': boolean }[] }[] }} */
  const { files } = JSON.parse(json);
  return files.map((file) => {
    const lines = file.lines.filter((line) => !line['gcovr/noncode']);
    const missing = lines.filter(({ count }) => count === 0).map(({ line_number: line }) => line);
    return {
      file: relative(root, resolve(root, file.file)),
      lines: lines.length,
      run: lines.length - missing.length,
      missing,
    };
  });
}

report('native/', nativeFiles());
report('lib/', counts.files());
for (const problem of problems) console.log(`failed: ${problem}`);
process.exitCode = problems.length === 0 ? 0 : 1;
