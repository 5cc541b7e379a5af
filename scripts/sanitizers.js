// The addon and the C++ tests under AddressSanitizer and UndefinedBehaviorSanitizer, with every line
// counted (gcov), in build-asan/; and a Node that has the sanitizer's runtime, which runs them.
//
// The runtime of AddressSanitizer must come first in its process, before the C library. LD_PRELOAD would
// put it into every program that a test starts: some hang with it (procps), and programs with
// ThreadSanitizer can't have both. So only Node gets it: a copy of Node that names it as the first of the
// libraries that it needs, and whose children that are Node are that copy too (process.execPath, PATH).
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'build-asan');
/** What a process exits with that a sanitizer ends. */
export const foundSomething = 23;
/** Where CMake builds. */
export const buildFolder = join(folder, 'build');
const binaries = join(folder, 'bin');
/** Node with the sanitizer's runtime. */
export const sanitizedNode = join(binaries, 'node');

/**
 * Runs to the end, with this process's output; throws if it fails.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string }} [options]
 */
export function run(command, args, { env = process.env, cwd = root } = {}) {
  const { status, signal, error } = spawnSync(command, args, { cwd, env, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${signal ?? status}`);
}

/** @param {string[]} names */
export function debianPackages(...names) {
  run('bash', ['scripts/debian.sh', ...names]);
}

/** Builds what is stale. With `tests` the C++ tests too. */
export function build({ tests = false } = {}) {
  debianPackages('patchelf', ...(tests ? ['doctest-dev'] : []));
  run(process.execPath, [
    'scripts/with-node-headers.js',
    'cmake-js',
    'build',
    '--out',
    buildFolder,
    '--config',
    'Release', // where node-gyp-build looks: build/Release below INTERPROC_PREBUILD
    '--CDINTERPROC_SANITIZE=address,undefined',
    '--CDINTERPROC_COVERAGE=ON',
    ...(tests ? ['--CDINTERPROC_TESTS=ON'] : []), // what was asked for once stays
  ]);
  const library = execFileSync(process.env.CXX ?? 'g++', ['-print-file-name=libasan.so'], {
    encoding: 'utf8',
  });
  mkdirSync(binaries, { recursive: true });
  const made = `${sanitizedNode}.${process.pid}`;
  run('patchelf', ['--add-needed', realpathSync(library.trim()), '--output', made, process.execPath]);
  renameSync(made, sanitizedNode); // another run may be using the last one
}

/**
 * The environment of what runs on `sanitizedNode`. Any process may write a report, also one that a test
 * expects to die: `reports` gives those that there are, and removes the folder that they lie in.
 *
 * @param {{ leaks?: boolean }} [options]
 */
export function sanitizedEnvironment({ leaks = false } = {}) {
  const logs = mkdtempSync(join(tmpdir(), 'interproc-sanitizers-'));
  chmodSync(logs, 0o1777); // some tests drop their rights
  const log = `log_path=${join(logs, 'report')}`;
  const asan = [
    log,
    `exitcode=${foundSomething}`,
    // Node leaves much to the kernel when it exits. npm run test:leaks looks for leaks.
    `detect_leaks=${leaks ? 1 : 0}`,
    // These are signals of tests, and SIGBUS is the addon's: who dies of one is seen by the test.
    'handle_segv=0',
    'handle_sigbus=0',
    // Some tests load two copies of the addon, and each has its own globals.
    'detect_odr_violation=0',
    // A test preloads a library of its own; the runtime still comes before the C library.
    'verify_asan_link_order=0',
    // What stays poisoned after free, in each of many processes.
    'quarantine_size_mb=64',
  ];
  const env = {
    ...process.env,
    PATH: `${binaries}${delimiter}${process.env.PATH}`,
    INTERPROC_TEST_PATIENCE: '3', // all takes longer
    INTERPROC_PREBUILD: folder, // node-gyp-build looks there
    ASAN_OPTIONS: asan.join(':'),
    UBSAN_OPTIONS: `${log}:exitcode=${foundSomething}:halt_on_error=1:print_stacktrace=1`,
    // Not to stderr, which tests compare, if a process that gave up its rights can't write its counters.
    GCOV_ERROR_FILE: '/dev/null',
  };
  const reports = () => {
    const found = readdirSync(logs).map((name) => readFileSync(join(logs, name), 'utf8'));
    rmSync(logs, { recursive: true });
    return found;
  };
  return { env, reports };
}

/** Sets all counters of lines to zero, in files that also processes without rights may add to. */
export function resetCounters() {
  const files = () =>
    readdirSync(buildFolder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.gcda'))
      .map((name) => join(buildFolder, name));
  for (const file of files()) rmSync(file);
  // Each process writes the counters of all its files when it ends.
  const { env, reports } = sanitizedEnvironment();
  run(sanitizedNode, ['--input-type=module', '-e', "await import('interproc')"], { env });
  run(join(buildFolder, 'interproc_native_tests'), ['--count'], { env });
  reports();
  for (const file of files()) chmodSync(file, 0o666);
}

/**
 * Prints them; true if there are none.
 *
 * @param {string[]} reports
 */
export function noReports(reports) {
  for (const report of reports) console.log(report);
  console.log(`sanitizers: ${reports.length === 0 ? 'no reports' : `${reports.length} reports, above`}`);
  return reports.length === 0;
}
