// What is in the tarball, and that it installs first where no compiler can be reached, then without the
// binary where one can.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  architecture,
  isStripped,
  libraries,
  staysLoaded,
  symbolsTooNew,
  uncommonLibraries,
} from '../elf.js';
import { hasZig } from '../zig.js';

const objectName = `/interproc-matrix-${process.pid}`;
const binaries = [
  { arch: 'x64', libc: 'glibc' },
  { arch: 'arm64', libc: 'glibc' },
  ...(hasZig ? [{ arch: 'x64', libc: 'musl' }] : []),
].map(({ arch, libc }) => ({ arch, libc, file: `prebuilds/linux-${arch}/interproc.${libc}.node` }));
const packedMost = 1_000_000;

/** @param {import('./kit.js').Kit} kit */
export async function tarball(kit) {
  try {
    await contents(kit);
    await prebuilt(kit);
    await fromSource(kit, await installation(kit));
  } finally {
    rmSync(`/dev/shm${objectName}`, { force: true });
  }
}

/** @param {import('./kit.js').Kit} kit */
async function contents({ root, tarball, files, check, run }) {
  await check(
    'the tarball holds a binary for each architecture and libc that is promised, and no other',
    () => {
      const held = files.filter((file) => file.startsWith('prebuilds/')).sort();
      const wanted = binaries.map(({ file }) => file).sort();
      if (held.join() !== wanted.join()) throw new Error(held.join('\n'));
    },
  );
  await check(`the tarball is smaller than ${packedMost / 1e6} MB`, () => {
    const { size } = statSync(tarball);
    console.log(`        ${size} bytes`);
    return size < packedMost;
  });
  await check('the tarball holds what a build from source needs', () => {
    for (const file of [
      'native/binding.gyp',
      'native/sources.json',
      'native/addon.cc',
      'native/node-addon-api/napi.h',
    ]) {
      if (!files.includes(file)) throw new Error(`${file} is missing`);
    }
  });
  await check(
    'the tarball holds the licence of each header it carries, and its own',
    () => files.includes('LICENSE') && files.includes('native/node-addon-api/LICENSE.md'),
  );
  await check('the tarball holds nothing else', () => {
    const wanted = /^(dist|native|docs|prebuilds\/linux-(x64|arm64))\/|^(package\.json|LICENSE|[A-Z]+\.md)$/;
    const junk = files.filter((file) => !wanted.test(file) || /\.(o|tgz|log)$/.test(file));
    if (junk.length > 0) throw new Error(junk.join('\n'));
  });
  await check(
    'packing leaves nothing behind in the sources',
    () => !['node-addon-api', 'binding.gyp'].some((name) => existsSync(join(root, 'native', name))),
  );
  await check('publint finds nothing wrong with the tarball', () =>
    run(join(root, 'node_modules/.bin/publint'), ['run', tarball, '--strict']),
  );
}

/** @param {import('./kit.js').Kit} kit */
async function prebuilt({ tarball, temporary, check, run }) {
  const unpacked = join(temporary, 'unpacked');
  mkdirSync(unpacked);
  await run('tar', ['-xzf', tarball, '-C', unpacked]);
  for (const { arch, libc, file } of binaries) {
    const path = join(unpacked, 'package', file);
    await check(`${file} is for ${arch}`, () => architecture(path) === arch);
    await check(`${file} loads with glibc 2.28 and the C++ library of GCC 8`, () => {
      const tooNew = symbolsTooNew(path);
      if (tooNew.length > 0) throw new Error(tooNew.join('\n'));
    });
    await check(`${file} needs no library but those of C and C++`, () => {
      const uncommon = uncommonLibraries(path);
      if (uncommon.length > 0) throw new Error(uncommon.join('\n'));
      return libraries(path).includes(libc === 'musl' ? 'libc.so' : 'libc.so.6');
    });
    await check(`${file} stays loaded when a worker that used it ends`, () => staysLoaded(path));
    await check(`${file} is stripped`, () => isStripped(path));
  }
}

/** @param {import('./kit.js').Kit} kit */
async function installation({ tarball, withoutCompiler, check, run, emptyProject, install }) {
  const project = emptyProject('without-compiler');
  const esm = (/** @type {string} */ source) =>
    run('node', ['--input-type=module', '-e', source], { cwd: project, env: withoutCompiler });
  const cjs = (/** @type {string} */ source) =>
    run('node', ['--input-type=commonjs', '-e', source], { cwd: project, env: withoutCompiler });

  await check('no compiler can be reached from here', () => {
    for (const tool of ['cc', 'gcc', 'g++', 'c++', 'clang', 'make', 'cmake', 'python3']) {
      if (spawnSync(tool, ['--version'], { env: withoutCompiler }).error === undefined) throw new Error(tool);
    }
  });
  await check('the tarball installs where there is no compiler and no script may run', () =>
    install(project, tarball),
  );
  await check('it brings node-gyp-build and nothing else', () => {
    const packages = readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.'));
    if (packages.join() !== 'interproc,node-gyp-build') throw new Error(packages.join('\n'));
  });
  await check('an ES module imports it', () =>
    esm("import { isSupported } from 'interproc'; if (!isSupported) process.exit(1);"),
  );
  await check('a CommonJS module requires it', () =>
    cjs("if (!require('interproc').isSupported) process.exit(1);"),
  );
  await check('one process makes shared memory and another one reads what it wrote', async () => {
    await esm(`import { SharedMemory } from 'interproc';
      const memory = SharedMemory.create('${objectName}', { size: 4096 });
      new Uint8Array(memory.buffer)[123] = 42;`);
    await cjs(`const { SharedMemory } = require('interproc');
      const memory = SharedMemory.open('${objectName}');
      if (new Uint8Array(memory.buffer)[123] !== 42) process.exit(1);
      memory.unlink();`);
  });
  await check('nothing is left of it', () => !existsSync(`/dev/shm${objectName}`));
  return project;
}

/**
 * As on a platform that nobody built for.
 *
 * @param {import('./kit.js').Kit} kit
 * @param {string} project
 */
async function fromSource({ root, environment, withoutCompiler, check, run }, project) {
  rmSync(join(project, 'node_modules/interproc/prebuilds'), { recursive: true });
  const esm = (/** @type {string} */ source, env = withoutCompiler) =>
    run('node', ['--input-type=module', '-e', source], { cwd: project, env });
  let command = '';
  await check('without a binary the import works and the first use tells how to build one', async () => {
    const error = JSON.parse(
      await esm(`import { isSupported, SharedMemory } from 'interproc';
        try { SharedMemory.create('${objectName}', { size: 4096 }); }
        catch ({ code, message }) { console.log(JSON.stringify({ code, message, isSupported })); }`),
    );
    if (error.code !== 'ERR_INTERPROC_LOAD' || error.isSupported) throw new Error(JSON.stringify(error));
    command = /npx node-gyp .*/.exec(error.message)?.[0] ?? '';
    if (command === '') throw new Error(error.message);
  });
  await check('that command builds it where there is a compiler', async () => {
    // `yes`: npx asks nobody before it fetches node-gyp. The script finds headers without a download.
    const env = { ...environment, npm_config_yes: 'true' };
    const script = join(root, 'scripts/with-node-headers.js');
    await run('node', [script, 'sh', '-c', command], { cwd: project, env });
    await esm("import { isSupported } from 'interproc'; if (!isSupported) process.exit(1);", environment);
  });
}
