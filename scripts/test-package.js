// Tests the package as users get it: builds the prebuilt binary, packs, and installs the tarball in an
// empty project, first where no compiler can be reached, then without the binary where one can.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { staysLoaded, symbolsTooNew } from './elf.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const temporary = mkdtempSync(join(tmpdir(), 'interproc-package-'));
const project = join(temporary, 'project');
const installed = join(project, 'node_modules/interproc');
const objectName = `/interproc-smoke-${process.pid}`;
const platform = `linux-${process.arch}`;
const watchdogMs = 300_000;

let passed = 0;
let failed = 0;

/**
 * One sentence that holds or not; the rest is run in either case, unless it has nothing to stand on.
 *
 * @param {string} sentence
 * @param {() => unknown} check false or an exception means no
 */
function check(sentence, check) {
  try {
    if (check() === false) throw new Error('it is not so');
    passed++;
    console.log(`ok      ${sentence}`);
  } catch (error) {
    failed++;
    console.log(`not ok  ${sentence}\n${error instanceof Error ? error.message : error}`);
  }
}

// As outside of `npm run`: else npm and npx would take this checkout for the project.
const environment = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^npm_(package_|lifecycle_|config_local_prefix)/.test(name),
  ),
);

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} options
 */
function run(command, args, { cwd = project, env = environment } = {}) {
  const done = spawnSync(command, args, { cwd, env, encoding: 'utf8', timeout: watchdogMs });
  if (done.error) throw done.error;
  const { status, signal, stdout, stderr } = done;
  if (status !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${signal ?? status}\n${stdout}${stderr}`);
  return stdout;
}

// What a slim container has: node and npm, and of the system no more than they call.
const bare = join(temporary, 'bin');
mkdirSync(bare);
for (const command of ['node', 'npm', 'sh']) {
  const path = execFileSync('sh', ['-c', `command -v ${command}`], { encoding: 'utf8' }).trim();
  symlinkSync(command === 'node' ? process.execPath : path, join(bare, command));
}
const withoutCompiler = { ...environment, PATH: bare, PREBUILDS_ONLY: '1' };

/** @param {string} source @param {NodeJS.ProcessEnv} env */
const esm = (source, env = withoutCompiler) => run('node', ['--input-type=module', '-e', source], { env });
/** @param {string} source */
const cjs = (source) => run('node', ['--input-type=commonjs', '-e', source], { env: withoutCompiler });

function pack() {
  console.log('building the prebuilt binary and packing, which takes a while');
  run('npm', ['run', 'prebuildify'], { cwd: root });
  const printed = run('npm', ['pack', '--json', '--pack-destination', temporary], { cwd: root });
  // `prepare` has built everything and talked about it before.
  const [{ filename, files }] = JSON.parse(printed.slice(printed.lastIndexOf('\n[\n')));
  return {
    tarball: join(temporary, filename),
    files: files.map((/** @type {{ path: string }} */ { path }) => path),
  };
}

try {
  const { tarball, files } = pack();
  const has = (/** @type {RegExp} */ pattern) =>
    files.some((/** @type {string} */ file) => pattern.test(file));

  check('the tarball holds a prebuilt binary for this platform', () =>
    has(new RegExp(`^prebuilds/${platform}/interproc\\.(glibc|musl)\\.node$`)),
  );
  check('the tarball holds what a build from source needs', () => {
    for (const file of [
      'binding.gyp',
      'native/sources.json',
      'native/addon.cc',
      'native/node-addon-api/napi.h',
    ]) {
      if (!files.includes(file)) throw new Error(`${file} is missing`);
    }
  });
  check(
    'the tarball holds the licence of each header it carries, and its own',
    () => files.includes('LICENSE') && files.includes('native/node-addon-api/LICENSE.md'),
  );
  check('the tarball holds nothing else', () => {
    const wanted =
      /^(dist|native|docs|prebuilds\/linux-(x64|arm64))\/|^(package\.json|binding\.gyp|LICENSE|[A-Z]+\.md)$/;
    const junk = files.filter(
      (/** @type {string} */ file) => !wanted.test(file) || /\.(o|tgz|log)$/.test(file),
    );
    if (junk.length > 0) throw new Error(junk.join('\n'));
  });
  check(
    'packing leaves no header behind in the sources',
    () => !existsSync(join(root, 'native/node-addon-api')),
  );
  check('publint finds nothing wrong with the tarball', () =>
    run(join(root, 'node_modules/.bin/publint'), ['run', tarball, '--strict'], { cwd: root }),
  );

  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{ "name": "empty", "private": true }');
  check('no compiler can be reached from here', () => {
    for (const tool of ['cc', 'gcc', 'g++', 'c++', 'clang', 'make', 'cmake', 'python3']) {
      if (spawnSync(tool, ['--version'], { env: withoutCompiler }).error === undefined) throw new Error(tool);
    }
  });
  check('the tarball installs where there is no compiler and no script may run', () =>
    run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', tarball], { env: withoutCompiler }),
  );
  check('it brings node-gyp-build and nothing else', () => {
    const packages = readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.'));
    if (packages.join() !== 'interproc,node-gyp-build') throw new Error(packages.join('\n'));
  });
  check('an ES module imports it', () =>
    esm("import { isSupported } from 'interproc'; if (!isSupported) process.exit(1);"),
  );
  check('a CommonJS module requires it', () =>
    cjs("if (!require('interproc').isSupported) process.exit(1);"),
  );
  check('one process makes shared memory and another one reads what it wrote', () => {
    esm(`import { SharedMemory } from 'interproc';
      const memory = SharedMemory.create('${objectName}', { size: 4096 });
      new Uint8Array(memory.buffer)[123] = 42;`);
    cjs(`const { SharedMemory } = require('interproc');
      const memory = SharedMemory.open('${objectName}');
      if (new Uint8Array(memory.buffer)[123] !== 42) process.exit(1);
      memory.unlink();`);
  });
  check('nothing is left of it', () => !existsSync(`/dev/shm${objectName}`));
  for (const file of readdirSync(join(installed, 'prebuilds', platform))) {
    const path = join(installed, 'prebuilds', platform, file);
    check(`${platform}/${file} loads with glibc 2.28 and the C++ library of GCC 8`, () => {
      const tooNew = symbolsTooNew(path);
      if (tooNew.length > 0) throw new Error(tooNew.join('\n'));
    });
    check(`${platform}/${file} stays loaded when a worker that used it ends`, () => staysLoaded(path));
    check(`${platform}/${file} is stripped`, () => isStripped(path));
  }

  // As on a platform that nobody built for.
  cpSync(join(installed, 'prebuilds'), join(temporary, 'prebuilds'), { recursive: true });
  rmSync(join(installed, 'prebuilds'), { recursive: true });
  let command = '';
  check('without a binary the import works and the first use tells how to build one', () => {
    const error = JSON.parse(
      esm(`import { isSupported, SharedMemory } from 'interproc';
        try { SharedMemory.create('${objectName}', { size: 4096 }); }
        catch ({ code, message }) { console.log(JSON.stringify({ code, message, isSupported })); }`),
    );
    if (error.code !== 'ERR_INTERPROC_LOAD' || error.isSupported) throw new Error(JSON.stringify(error));
    command = /npx node-gyp .*/.exec(error.message)?.[0] ?? '';
    if (command === '') throw new Error(error.message);
  });
  check('that command builds it where there is a compiler', () => {
    // `yes`: npx asks nobody before it fetches node-gyp. The script finds headers without a download.
    const env = { ...environment, npm_config_yes: 'true' };
    run('node', [join(root, 'scripts/with-node-headers.js'), 'sh', '-c', command], { env });
    esm("import { isSupported } from 'interproc'; if (!isSupported) process.exit(1);", environment);
  });
} catch (error) {
  failed++;
  console.log(error);
} finally {
  rmSync(temporary, { recursive: true, force: true });
  rmSync(`/dev/shm${objectName}`, { force: true });
}

/** @param {string} path */
function isStripped(path) {
  return !execFileSync('readelf', ['--wide', '--sections', path], { encoding: 'utf8' }).includes('.symtab');
}

console.log(`package: ${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
