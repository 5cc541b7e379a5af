// What the parts of `npm run matrix` share: the tarball, packed once; empty projects that install it; an
// environment in which no compiler can be reached; the checks and their count.
//
// All that starts a process gives a promise, so that one part can run while another one waits, and has a
// watchdog, which ends the process and all that it started.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @typedef {Awaited<ReturnType<typeof makeKit>>} Kit */
/** @typedef {{ cwd?: string, env?: NodeJS.ProcessEnv, watchdogMs?: number }} RunOptions */
/** @typedef {{ status: number | null, signal: NodeJS.Signals | null, stdout: string, stderr: string }} Ended */

export const root = fileURLToPath(new URL('../..', import.meta.url));
const watchdogDefaultMs = 600_000;

// As outside of `npm run`: else npm and npx would take this checkout for the project.
export const environment = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^npm_(package_|lifecycle_|config_local_prefix)/.test(name),
  ),
);

/** @type {Set<number>} */
const groups = new Set();
process.on('exit', () => {
  for (const group of groups) end(group);
});
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => process.exit(1));
}

/** @param {number} group */
function end(group) {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // All of it has ended.
  }
}

/**
 * Runs a command to its end, whatever that is.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {RunOptions} options
 * @returns {Promise<Ended>}
 */
export function ended(command, args, { cwd = root, env = environment, watchdogMs = watchdogDefaultMs } = {}) {
  return new Promise((resolve, reject) => {
    // A process group of its own, for the watchdog.
    const child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const { pid } = child;
    if (pid !== undefined) groups.add(pid);
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
    const watchdog = setTimeout(() => {
      stderr += `\nthe watchdog ended it after ${watchdogMs} ms\n`;
      if (pid !== undefined) end(pid);
    }, watchdogMs);
    child.on('error', (error) => {
      clearTimeout(watchdog);
      reject(error);
    });
    child.on('close', (status, signal) => {
      clearTimeout(watchdog);
      if (pid !== undefined) groups.delete(pid);
      resolve({ status, signal, stdout, stderr });
    });
  });
}

/**
 * Runs a command that has to succeed, and gives what it printed.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {RunOptions} options
 */
export async function run(command, args, options = {}) {
  const { status, signal, stdout, stderr } = await ended(command, args, options);
  if (status !== 0) {
    throw new Error(`${command} ${args.join(' ')} ended with ${signal ?? status}\n${stdout}${stderr}`);
  }
  return stdout;
}

/**
 * A folder with links to these commands and nothing else, for PATH.
 *
 * @param {string} folder
 * @param {readonly string[]} commands
 */
export async function folderOfCommands(folder, commands) {
  mkdirSync(folder);
  for (const command of commands) {
    const path =
      command === 'node' ? process.execPath : (await run('sh', ['-c', `command -v ${command}`])).trim();
    symlinkSync(path, join(folder, command));
  }
  return folder;
}

/**
 * @param {string} temporary
 * @param {string | undefined} given a tarball that is there already
 */
async function pack(temporary, given) {
  let path = given && resolve(given);
  if (path === undefined) {
    console.log('building the prebuilt binaries and packing, which takes a while');
    await run('npm', ['run', 'prebuild']);
    const printed = await run('npm', ['pack', '--json', '--pack-destination', temporary]);
    // `prepare` has built everything and talked about it before.
    path = join(temporary, JSON.parse(printed.slice(printed.lastIndexOf('\n[\n')))[0].filename);
  }
  const listed = (await run('tar', ['-tzf', path])).trim().split('\n');
  return {
    /** Its path. */
    tarball: path,
    /** What it holds: `dist/index.js`. */
    files: listed.map((file) => file.replace(/^package\//, '')),
  };
}

/**
 * Packs, which takes a while. `close()` removes all that was made and prints the last line.
 *
 * @param {{ tarball?: string | undefined }} options with a tarball: tests that one, and makes none
 */
export async function makeKit({ tarball: given } = {}) {
  const temporary = mkdtempSync(join(tmpdir(), 'interproc-matrix-'));
  process.on('exit', () => rmSync(temporary, { recursive: true, force: true }));
  const { tarball, files } = await pack(temporary, given);
  // What a slim container has: node and npm, and of the system no more than they call.
  const bare = await folderOfCommands(join(temporary, 'bin'), ['node', 'npm', 'sh']);
  /** @type {NodeJS.ProcessEnv} */
  const withoutCompiler = { ...environment, PATH: bare, PREBUILDS_ONLY: '1' };

  let passed = 0;
  let failed = 0;

  /**
   * One sentence that holds or not; the rest is run in either case, unless it has nothing to stand on.
   *
   * @param {string} sentence
   * @param {() => unknown} holds false or an exception means no
   * @returns {Promise<boolean>} whether it holds
   */
  async function check(sentence, holds) {
    try {
      if ((await holds()) === false) throw new Error('it is not so');
      passed++;
      console.log(`ok      ${sentence}`);
      return true;
    } catch (error) {
      failed++;
      console.log(`not ok  ${sentence}\n${error instanceof Error ? error.message : error}`);
      return false;
    }
  }

  /**
   * Makes a project that is empty, and private.
   *
   * @param {string} name of its folder
   * @param {Record<string, unknown>} manifest what else its package.json says
   * @returns {string} its folder
   */
  function emptyProject(name, manifest = {}) {
    const folder = join(temporary, name);
    mkdirSync(folder);
    writeFileSync(
      join(folder, 'package.json'),
      JSON.stringify({ name: basename(name), version: '1.0.0', private: true, ...manifest }, null, 2),
    );
    return folder;
  }

  /**
   * Installs with npm where no compiler is and no script may run.
   *
   * @param {string} folder
   * @param {readonly string[]} packages
   */
  const install = (folder, ...packages) =>
    run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', ...packages], {
      cwd: folder,
      env: withoutCompiler,
    });

  /**
   * Makes a project with the tarball installed as a user would do it, and nothing else.
   *
   * @param {string} name of its folder
   * @param {Record<string, unknown>} manifest what else its package.json says
   */
  async function project(name, manifest = {}) {
    const folder = emptyProject(name, manifest);
    await install(folder, tarball);
    return folder;
  }

  /** @returns {number} how many checks failed */
  function close() {
    rmSync(temporary, { recursive: true, force: true });
    console.log(`matrix: ${passed} passed, ${failed} failed`);
    return failed;
  }

  return {
    root,
    temporary,
    tarball,
    files,
    environment,
    withoutCompiler,
    check,
    run,
    ended,
    folderOfCommands,
    emptyProject,
    install,
    project,
    close,
  };
}
