// Runs the smoke suite with the binary for musl on a runtime for musl: Bun, of which npm has such a build. Of
// a system with musl this needs musl, which Debian has, and a C++ library for the runtime, which it has not:
// Debian's own does, with a stub for the few functions that it misses in musl.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { hasZig, zigForMusl } from '../zig.js';

const bun = '@oven/bun-linux-x64-musl';
const version = '1.4.4';

/** @param {import('./kit.js').Kit} kit */
export async function musl(kit) {
  if (!hasZig) {
    console.log(`the binary for musl is tried on linux-x64 only, and this is linux-${process.arch}`);
    return;
  }
  const { root, temporary, withoutCompiler, check, run, ended, project } = kit;
  await run('bash', [join(root, 'scripts/debian.sh'), 'musl']);
  const libraries = await systemLibraries(kit);
  const runtime = await fetchBun(kit);
  const folder = await project('musl', { type: 'module' });
  cpSync(join(root, 'test/smoke'), join(folder, 'smoke'), { recursive: true });
  // The loader knows Alpine by a file in /etc, which isn't here.
  const env = { ...withoutCompiler, LD_LIBRARY_PATH: libraries, LIBC: 'musl' };

  await check(`every room works with musl, on Bun ${version}`, async () => {
    const { status, signal, stdout, stderr } = await ended(runtime, ['smoke/smoke.js'], { cwd: folder, env });
    if (status !== 0 || !/^smoke: [1-9]\d* passed, 0 failed, 0 gaps$/m.test(stdout)) {
      throw new Error(`it ended with ${signal ?? status}\n${stdout.replace(/^ok .*\n/gm, '')}${stderr}`);
    }
    console.log(`        ${stdout.trim().split('\n').at(-1)}`);
  });

  const use = `import { isSupported, SharedMemory } from 'interproc';
    try { SharedMemory.create('interproc-matrix-musl', { size: 1 }).unlink(); }
    catch ({ code, cause }) { console.log(JSON.stringify({ isSupported, code, cause: cause.message })); }`;
  const failure = async (/** @type {NodeJS.ProcessEnv} */ env) =>
    JSON.parse(await run(runtime, ['-e', use], { cwd: folder, env }));
  await check('the binary for glibc is refused by musl, and the import works', async () => {
    const { isSupported, code, cause } = await failure({ ...env, LIBC: 'glibc' });
    if (isSupported || code !== 'ERR_INTERPROC_LOAD' || !cause.includes('glibc')) {
      throw new Error(`${code} ${cause}`);
    }
  });
  rmSync(join(folder, 'node_modules/interproc/prebuilds/linux-x64/interproc.musl.node'));
  await check('where there is none for musl the one for glibc is not taken', async () => {
    const { isSupported, code, cause } = await failure(env);
    if (isSupported || code !== 'ERR_INTERPROC_LOAD' || !cause.includes('No native build was found')) {
      throw new Error(`${code} ${cause}`);
    }
  });
  rmSync(join(temporary, 'musl-libraries'), { recursive: true });
}

/**
 * For LD_LIBRARY_PATH: Debian's C++ library and what it asks for.
 *
 * @param {import('./kit.js').Kit} kit
 */
async function systemLibraries({ root, temporary, run }) {
  const folder = join(temporary, 'musl-libraries');
  mkdirSync(folder);
  for (const name of ['libstdc++.so.6', 'libgcc_s.so.1']) {
    const { stdout } = spawnSync('gcc', [`-print-file-name=${name}`], { encoding: 'utf8' });
    symlinkSync(stdout.trim(), join(folder, name));
  }
  const { CC, env } = zigForMusl();
  // The name of a library that the C++ library asks for, and that would be glibc's loader.
  const name = 'ld-linux-x86-64.so.2';
  const source = join(root, 'scripts/matrix/musl-stub.c');
  const command = `${CC} -shared -fPIC -O1 -Wl,-soname,${name} -o ${name} ${source}`;
  await run('sh', ['-c', command], { cwd: folder, env: { ...process.env, ...env } });
  return folder;
}

/** @param {import('./kit.js').Kit} kit */
async function fetchBun({ root, environment, run }) {
  const folder = join(root, '.runtimes', `bun-musl-${version}`);
  const program = join(folder, 'node_modules', bun, 'bin/bun');
  if (!existsSync(program)) {
    mkdirSync(folder, { recursive: true });
    // By force: npm sees that this system's libc is another one.
    const how = ['--force', '--ignore-scripts', '--no-save', '--no-package-lock', '--no-audit', '--no-fund'];
    await run('npm', ['install', '--prefix', folder, ...how, `${bun}@${version}`], { env: environment });
  }
  return program;
}
