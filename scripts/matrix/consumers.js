// The tarball with what users install, compile, test and bundle it with: the projects of test/consumers/, which
// they could copy, each with the tools of its own, pinned. Of this checkout nothing is used but the tarball.
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** @typedef {import('./kit.js').Kit} Kit */

const tools = {
  pnpm: '12.21.0',
  yarn: '1.22.22',
  '@yarnpkg/cli-dist': '4.18.1',
  [`@oven/bun-linux-${process.arch === 'arm64' ? 'aarch64' : process.arch}`]: '1.4.5',
  '@arethetypeswrong/cli': '0.18.5',
  esbuild: '0.28.2',
};
const [bun = ''] = Object.keys(tools).filter((name) => name.startsWith('@oven/'));
// The oldest and the newest, each with the types of Node that it can read itself.
const typescripts = [
  { name: 'TypeScript 5.4', version: '5.4.5', nodeTypes: ['20.19.43'] },
  { name: 'TypeScript 7', version: '7.0.2', nodeTypes: ['20.19.43', '26.6.6'] },
];
const jest = '30.5.2';
const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];

/** @param {Kit} kit */
export async function consumers(kit) {
  // Two at a time: much of it waits for the network.
  await Promise.all([
    (async () => {
      await pretence(kit);
      await typescript(kit);
      await testing(kit);
    })(),
    (async () => {
      const modules = await installTools(kit);
      await declarations(kit, modules);
      await managers(kit, modules);
      await bundles(kit, modules);
    })(),
  ]);
}

/**
 * A copy of a project of test/consumers/, with nothing installed.
 *
 * @param {Kit} kit
 * @param {string} name
 * @param {string} folder below the temporary one
 */
function copyOf({ root, temporary }, name, folder = `consumer-${name}`) {
  const copy = join(temporary, folder);
  cpSync(join(root, 'test/consumers', name), copy, { recursive: true });
  return copy;
}

/**
 * That a program does what all of these projects do: its child adds up what it is sent.
 *
 * @param {Kit} kit
 * @param {string} cwd
 * @param {readonly string[]} args of node
 */
async function works({ run, withoutCompiler }, cwd, ...args) {
  const printed = await run('node', args, { cwd, env: withoutCompiler });
  if (printed !== 'the child ended with 0 and says 499500\n') throw new Error(printed);
}

/**
 * Tools that users have once for all their projects, in .runtimes/consumers.
 *
 * @param {Kit} kit
 * @returns {Promise<string>} where their packages are
 */
async function installTools({ root, run }) {
  const cwd = join(root, '.runtimes/consumers');
  const modules = join(cwd, 'node_modules');
  mkdirSync(cwd, { recursive: true });
  writeFileSync(join(cwd, 'package.json'), JSON.stringify({ private: true, dependencies: tools }));
  const there = Object.entries(tools).every(([name, version]) => {
    const manifest = join(modules, name, 'package.json');
    return existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version === version;
  });
  if (!there) await run('npm', ['install', '--no-package-lock', ...quiet], { cwd });
  return modules;
}

/** Other platforms, as a process sees them that takes itself for being there. @param {Kit} kit */
async function pretence(kit) {
  const { check, ended, project, withoutCompiler } = kit;
  const cwd = await project('consumer-elsewhere');
  copyOf(kit, 'pretend', 'consumer-elsewhere/pretend');
  /** @param {Record<string, string>} pretended @param {string[]} args */
  const elsewhere = async (pretended, ...args) => {
    const env = { ...withoutCompiler, ...pretended };
    const { status, stdout, stderr } = await ended('node', ['--import', './pretend/platform.mjs', ...args], {
      cwd,
      env,
    });
    if (status !== 0 || stderr !== '') throw new Error(stderr);
    return stdout;
  };
  const expected = {
    darwin: 'ERR_INTERPROC_UNSUPPORTED_PLATFORM',
    win32: 'ERR_INTERPROC_UNSUPPORTED_PLATFORM',
    'linux riscv64': 'ERR_INTERPROC_LOAD',
  };
  for (const [where, code] of Object.entries(expected)) {
    const [platform = '', arch = ''] = where.split(' ');
    const pretended = { PRETEND_PLATFORM: platform, PRETEND_ARCH: arch };
    const prints = `console.log(isSupported, Object.values(features).includes(true));`;
    await check(`on ${where} import works, and tells that nothing else does`, async () => {
      const source = `import { features, isSupported } from 'interproc'; ${prints}`;
      return (await elsewhere(pretended, '--input-type=module', '-e', source)) === 'false false\n';
    });
    await check(`on ${where} require works, and tells that nothing else does`, async () => {
      const source = `const { features, isSupported } = require('interproc'); ${prints}`;
      return (await elsewhere(pretended, '--input-type=commonjs', '-e', source)) === 'false false\n';
    });
    await check(`on ${where} each call fails with ${code}`, async () => {
      const codes = Object.entries(JSON.parse(await elsewhere(pretended, 'pretend/everything.mjs')));
      const others = codes.filter(([, found]) => found !== code);
      if (codes.length < 50 || others.length > 0) throw new Error(JSON.stringify(others));
    });
  }
}

/** @param {Kit} kit */
async function typescript(kit) {
  const { check, install, run, tarball } = kit;
  const cwd = copyOf(kit, 'typescript');
  copyOf(kit, 'typescript-commonjs', 'consumer-typescript/commonjs');
  await install(
    cwd,
    tarball,
    ...typescripts.map(({ version }) => `tsc-${version}@npm:typescript@${version}`),
  );
  for (const types of new Set(typescripts.flatMap(({ nodeTypes }) => nodeTypes))) {
    await install(cwd, `@types/node@${types}`);
    for (const { name, version } of typescripts.filter(({ nodeTypes }) => nodeTypes.includes(types))) {
      const tsc = (/** @type {string} */ config) =>
        run('node', [`node_modules/tsc-${version}/bin/tsc`, '-p', config], { cwd });
      for (const resolution of ['node16', 'nodenext', 'bundler']) {
        await check(`${name}, moduleResolution ${resolution}, @types/node ${types}`, async () => {
          await tsc(`tsconfig.${resolution}.json`);
          await works(kit, cwd, `out-${resolution}/main.js`);
        });
      }
      await check(`${name}, module commonjs, @types/node ${types}`, async () => {
        await tsc('commonjs/tsconfig.json');
        await works(kit, cwd, 'commonjs/out/main.js');
      });
    }
  }
}

/** @param {Kit} kit */
async function testing(kit) {
  const { check, install, run, tarball } = kit;
  const cwd = copyOf(kit, 'jest');
  await install(cwd, tarball, `jest@${jest}`);
  // In one process, where each file evaluates the package anew.
  for (const kind of ['esm', 'commonjs']) {
    await check(`Jest runs tests that use it (${kind})`, () =>
      run('npm', ['run', `test:${kind}`, '--', '--runInBand', '--ci'], { cwd }),
    );
  }
}

/** @param {Kit} kit @param {string} modules */
async function declarations({ check, run, tarball }, modules) {
  await check('arethetypeswrong finds nothing wrong with the tarball', () =>
    run('node', [join(modules, '@arethetypeswrong/cli/dist/index.js'), tarball, '--profile', 'esm-only']),
  );
}

/** @param {Kit} kit @param {string} modules */
async function managers(kit, modules) {
  const { check, run, tarball, temporary, withoutCompiler } = kit;
  const registry = (await run('npm', ['config', 'get', 'registry'])).trim();
  const kept = join(temporary, 'package-managers');
  /** What each of them keeps is kept for this run alone. @type {NodeJS.ProcessEnv} */
  const env = {
    ...withoutCompiler,
    ...Object.fromEntries(['DATA', 'CACHE', 'STATE'].map((kind) => [`XDG_${kind}_HOME`, join(kept, kind)])),
    BUN_INSTALL_CACHE_DIR: join(kept, 'bun'),
    YARN_CACHE_FOLDER: join(kept, 'yarn'),
    YARN_ENABLE_TELEMETRY: '0',
    YARN_GLOBAL_FOLDER: join(kept, 'berry'),
    YARN_NPM_REGISTRY_SERVER: registry,
  };
  const berry = join(modules, '@yarnpkg/cli-dist/bin/yarn.js');
  const pinned = `interproc@file:${tarball}`;
  /** @type {Record<string, { command: string[], linker?: string, start?: string[] }>} */
  const managers = {
    // Of a tarball npm would name the script that builds a checkout, which it doesn't run.
    npm: { command: ['npm', 'install', ...quiet, tarball] },
    pnpm: {
      command: [
        'node',
        join(modules, 'pnpm/bin/pnpm.mjs'),
        'add',
        '--store-dir',
        join(kept, 'pnpm'),
        tarball,
      ],
    },
    'yarn 1': { command: ['node', join(modules, 'yarn/bin/yarn.js'), 'add', pinned] },
    'yarn 4, node-modules': { command: ['node', berry, 'add', pinned], linker: 'node-modules' },
    "yarn 4, Plug'n'Play": { command: ['node', berry, 'add', pinned], linker: 'pnp', start: [berry, 'node'] },
    Bun: { command: [join(modules, bun, 'bin/bun'), 'add', tarball] },
  };
  for (const [name, { command, linker, start = [] }] of Object.entries(managers)) {
    const cwd = copyOf(kit, 'plain', `consumer-${name.replace(/\W+/g, '-')}`);
    // Else yarn takes the folder for a part of a project above it.
    if (linker !== undefined) writeFileSync(join(cwd, 'yarn.lock'), '');
    const [program = '', ...args] = command;
    const installs = await check(`${name} installs it without a compiler and without a warning`, async () => {
      const options = { cwd, env: { ...env, YARN_NODE_LINKER: linker } };
      const { status, stdout, stderr } = await kit.ended(program, args, options);
      if (status !== 0 || /build script|install script|node-gyp /i.test(stdout + stderr)) {
        throw new Error(stdout + stderr);
      }
    });
    if (!installs) continue;
    await check(`${name}: an ES module uses it`, () => works(kit, cwd, ...start, 'main.mjs'));
    await check(`${name}: a CommonJS module uses it`, () => works(kit, cwd, ...start, 'main.cjs'));
  }
}

/** @param {Kit} kit @param {string} modules */
async function bundles(kit, modules) {
  const { check, project, run } = kit;
  const cwd = await project('consumer-bundle');
  const entries = { esm: 'typescript', cjs: 'typescript-commonjs' };
  for (const [format, name] of Object.entries(entries)) {
    copyOf(kit, name, `consumer-bundle/${name}`);
    await check(`a bundle of esbuild runs that keeps it external (${format})`, async () => {
      const outfile = `bundle.${format === 'esm' ? 'mjs' : 'cjs'}`;
      const options = ['--bundle', '--platform=node', '--target=node20', '--external:interproc'];
      const args = [`${name}/main.ts`, ...options, `--format=${format}`, `--outfile=${outfile}`];
      await run(join(modules, 'esbuild/bin/esbuild'), args, { cwd });
      await works(kit, cwd, outfile);
    });
  }
}
