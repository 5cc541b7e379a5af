// Makes the binaries that are published, in prebuilds/: prebuildify builds each in a copy of the sources,
// so that build/ stays what it is. What they may need of the system: native/os/glibc_baseline.h.
//
//   npm run prebuild -- [--only x64,arm64,x64-musl]
//
// The one of this machine's architecture is made with CC, CXX and STRIP, where set; the other one with
// Debian's cross compiler, and the one for musl with Zig. Both are installed if need be.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { hasZig, zigForMusl } from './zig.js';

const root = fileURLToPath(new URL('..', import.meta.url));
// The oldest Node that the package supports.
const oldestNode = '20.19.0';

/** @typedef {{ arch: string, libc: 'glibc' | 'musl', environment: () => NodeJS.ProcessEnv }} Binary */

/** @type {Record<string, Binary>} */
const binaries = {
  x64: { arch: 'x64', libc: 'glibc', environment: () => gcc('x64', 'x86_64', 'x86-64') },
  arm64: { arch: 'arm64', libc: 'glibc', environment: () => gcc('arm64', 'aarch64', 'aarch64') },
  'x64-musl': { arch: 'x64', libc: 'musl', environment: zig },
};

/**
 * @param {string} arch
 * @param {string} machine as Debian's compilers name it
 * @param {string} packaged as Debian's packages do
 * @returns {NodeJS.ProcessEnv}
 */
function gcc(arch, machine, packaged) {
  if (arch === process.arch) return {};
  const prefix = `${machine}-linux-gnu-`;
  if (spawnSync(`${prefix}g++`, ['--version']).error) {
    run('bash', ['scripts/debian.sh', `g++-${packaged}-linux-gnu`]);
  }
  return { CC: `${prefix}gcc`, CXX: `${prefix}g++`, STRIP: `${prefix}strip` };
}

/** @returns {NodeJS.ProcessEnv} */
function zig() {
  const { CC, CXX, env } = zigForMusl();
  const folder = join(root, 'build-prebuild');
  mkdirSync(folder, { recursive: true });
  const noDemangler = join(folder, 'no-demangler.o');
  const command = `${CC} -Os -fPIC -c ${join(root, 'scripts/zig/no-demangler.c')} -o ${noDemangler}`;
  run('sh', ['-c', command], { ...process.env, ...env });
  // Its C++ library is linked in, and shows none of its names: the runtime has a C++ library of its own.
  const LDFLAGS = `-Wl,--version-script=${join(root, 'scripts/zig/exports.map')} ${noDemangler}`;
  // Small before fast: it carries a C++ library, and the tarball is to stay under 1 MB.
  return { CC, CXX, CXXFLAGS: '-Os', LDFLAGS, ...env };
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 */
function run(command, args, env = process.env) {
  const { status, error } = spawnSync(command, args, { cwd: root, env, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`);
}

/** @param {string} name @param {Binary} binary */
function prebuild(name, { arch, libc, environment }) {
  const env = { ...process.env, ...environment() };
  // Below the root, where node-addon-api is found.
  const copy = join(root, 'build-prebuild', `linux-${name}`);
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(copy, { recursive: true });
  for (const part of ['package.json', 'binding.gyp', 'native']) {
    cpSync(join(root, part), join(copy, part), { recursive: true });
  }
  rmSync(join(root, 'prebuilds', `linux-${arch}`, `interproc.${libc}.node`), { force: true });
  const what = ['--napi', '-t', oldestNode, '--arch', arch, '--tag-libc', '--libc', libc];
  const where = ['--cwd', copy, '--out', root, '--strip', '--strip-bin', env.STRIP ?? 'strip'];
  run(process.execPath, ['scripts/with-node-headers.js', 'prebuildify', ...what, ...where], env);
}

const { values: options } = parseArgs({ options: { only: { type: 'string' } } });
const names = options.only?.split(',') ?? Object.keys(binaries);
for (const name of names) {
  const binary = binaries[name];
  if (binary === undefined) throw new Error(`no ${name}: there are ${Object.keys(binaries).join()}`);
  if (binary.libc === 'musl' && !hasZig) {
    const reason = `the compiler for musl is to be had on linux-x64 only, and this is linux-${process.arch}`;
    if (options.only !== undefined) throw new Error(reason);
    console.log(`no ${name}: ${reason}`);
  } else {
    prebuild(name, binary);
  }
}
