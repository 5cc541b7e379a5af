/** Who may know whom: CONTRIBUTING.md, "Layout". */
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const filesBelow = (folder: string, ending: RegExp) =>
  readdirSync(`${root}/${folder}`, { recursive: true, encoding: 'utf8' })
    .filter((file) => ending.test(file))
    .map((file) => `${folder}/${file}`);
const textOf = (file: string) => readFileSync(`${root}/${file}`, 'utf8');
const withoutComments = (text: string) => text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');

describe('native', () => {
  // Headers of the system that files of native/node include for a constant or for dlsym.
  const exceptions: Record<string, string[]> = {
    'native/node/backing_store.cc': ['<dlfcn.h>'], // looks for a function of the runtime itself
    'native/node/mapping.cc': ['<sys/mman.h>'], // MADV_*
    'native/node/memfd.cc': ['<fcntl.h>'], // F_SEAL_*
  };
  const ofRuntime = /^<(napi|node|uv|v8|js_native_api)/;
  const ofStandardLibrary = /^<\w+>$/;

  /** The includes of a file that its place forbids. */
  function forbiddenIncludes(file: string, text: string): string[] {
    const includes = [...text.matchAll(/^\s*#\s*include\s*([<"].+?[>"])/gm)].map(
      ([, name]) => name as string,
    );
    const allowed = (name: string): boolean => {
      if (file === 'native/addon.cc') return name === '<napi.h>' || name.startsWith('"node/');
      if (file.startsWith('native/include/')) return name.startsWith('<') && !ofRuntime.test(name);
      // The header for C programs is the addon's own protocol, too; one file brings it in.
      if (file === 'native/os/protocol.h' && name === '"include/interproc.h"') return true;
      if (file.startsWith('native/os/'))
        return name.startsWith('<') ? !ofRuntime.test(name) : name.startsWith('"os/');
      if (name.startsWith('"')) return name.startsWith('"node/') || name.startsWith('"os/');
      return ofRuntime.test(name) || ofStandardLibrary.test(name) || (exceptions[file] ?? []).includes(name);
    };
    return includes.filter((name) => !allowed(name));
  }

  const files = [
    'native/addon.cc',
    ...filesBelow('native/include', /\.h$/),
    ...filesBelow('native/os', /\.(cc|h)$/),
    ...filesBelow('native/node', /\.(cc|h)$/),
  ];

  it.each(files)('%s includes only what its layer may know', (file) => {
    expect(forbiddenIncludes(file, textOf(file))).toEqual([]);
  });

  it('the check finds what is forbidden', () => {
    const found = (file: string, include: string) =>
      forbiddenIncludes(file, `#include ${include}\n`).length > 0;
    expect(found('native/os/x.cc', '<napi.h>')).toBe(true);
    expect(found('native/os/x.cc', '<uv.h>')).toBe(true);
    expect(found('native/os/x.cc', '"node/args.h"')).toBe(true);
    expect(found('native/os/x.cc', '"include/interproc.h"')).toBe(true);
    expect(found('native/node/x.cc', '"include/interproc.h"')).toBe(true);
    expect(found('native/include/x.h', '"os/mapping.h"')).toBe(true);
    expect(found('native/include/x.h', '<fcntl.h>')).toBe(false);
    expect(found('native/os/x.cc', '<sys/mman.h>')).toBe(false);
    expect(found('native/node/x.cc', '<sys/mman.h>')).toBe(true);
    expect(found('native/node/x.cc', '<unistd.h>')).toBe(true);
    expect(found('native/node/x.cc', '"os/mapping.h"')).toBe(false);
    expect(found('native/addon.cc', '"os/mapping.h"')).toBe(true);
  });

  it('each exception is needed', () => {
    for (const [file, headers] of Object.entries(exceptions)) {
      for (const header of headers) expect(textOf(file)).toContain(`#include ${header}`);
    }
  });

  it('the developer build defines and links what the build of users does', () => {
    const [{ defines, cflags_cc, ldflags }] = JSON.parse(textOf('binding.gyp')).targets;
    const cmake = textOf('CMakeLists.txt');
    for (const flag of [...defines, ...cflags_cc, ...ldflags]) {
      if (flag === '-std=c++17') expect(cmake).toContain('set(CMAKE_CXX_STANDARD 17)');
      else expect(cmake).toContain(flag);
    }
  });

  it('sources.json lists every source file, once and sorted', () => {
    const listed: Record<string, string[]> = JSON.parse(textOf('native/sources.json'));
    const sources = (folder: string) => filesBelow(folder, /\.cc$/).sort();
    expect(listed).toEqual({
      os: sources('native/os'),
      node: ['native/addon.cc', ...sources('native/node')],
    });
  });
});

describe('lib', () => {
  const primitives = ['memory', 'pipe', 'socket', 'queue', 'semaphore'];
  const everywhere = ['errors', 'internal'];
  /** Which rooms a room may import from, besides itself. Files that lie in lib/ itself are rooms of their own. */
  const mayImport: Record<string, string[]> = {
    index: [...primitives, 'sync', 'layout', 'channel', 'errors', 'features'],
    channel: ['memory', 'sync', 'layout', ...everywhere],
    sync: ['memory', ...everywhere],
    layout: ['memory', ...everywhere],
    features: everywhere,
    internal: ['errors'],
    errors: [],
    ...Object.fromEntries(primitives.map((room) => [room, everywhere])),
  };
  const roomOf = (file: string) => (file.split('/')[1] as string).replace(/\.[jt]s$/, '');
  const importsOf = (text: string) =>
    [...withoutComments(text).matchAll(/\b(?:from|import|import\()\s*'([^']+)'/g)].map(
      ([, name]) => name as string,
    );

  /** The imports of a file that its place forbids. */
  function forbiddenImports(file: string, text: string): string[] {
    return importsOf(text).filter((name) => {
      if (name.startsWith('node:')) return false;
      if (!name.startsWith('.')) return true;
      const room = roomOf(posix.join(posix.dirname(file), name));
      return room !== roomOf(file) && !mayImport[roomOf(file)]?.includes(room);
    });
  }

  const files = filesBelow('lib', /\.ts$/);

  it.each(files)('%s imports only what its room may know', (file) => {
    expect(mayImport).toHaveProperty(roomOf(file));
    expect(forbiddenImports(file, textOf(file))).toEqual([]);
  });

  it('the check finds what is forbidden', () => {
    const found = (file: string, name: string) =>
      forbiddenImports(file, `import {\n  X,\n} from '${name}';\n`).length > 0;
    expect(found('lib/queue/x.ts', '../memory/shared-memory.js')).toBe(true);
    expect(found('lib/memory/x.ts', '../channel/channel.js')).toBe(true);
    expect(found('lib/memory/x.ts', '../index.js')).toBe(true);
    expect(found('lib/internal/x.ts', '../memory/options.js')).toBe(true);
    expect(found('lib/index.ts', './internal/native.js')).toBe(true);
    expect(found('lib/memory/x.ts', 'node-gyp-build')).toBe(true);
    expect(found('lib/channel/x.ts', '../memory/shared-memory.js')).toBe(false);
    expect(found('lib/memory/x.ts', './options.js')).toBe(false);
    expect(forbiddenImports('lib/queue/x.ts', "await import('../pipe/fifo.js')")).toHaveLength(1);
    expect(forbiddenImports('lib/queue/x.ts', "import '../pipe/fifo.js'")).toHaveLength(1);
  });

  it('index.ts has exports and nothing else', () => {
    const statements = withoutComments(textOf('lib/index.ts'))
      .split(';')
      .map((statement) => statement.trim());
    expect(
      statements.filter((statement) => !/^(export (type )?\{[^{}]*\} from '[^']+')?$/.test(statement)),
    ).toEqual([]);
  });

  it('only internal/native.ts loads the addon', () => {
    const loads = /node-gyp-build|createRequire|dlopen|\brequire\(|\.node['"`]/;
    expect(files.filter((file) => loads.test(textOf(file)))).toEqual(['lib/internal/native.ts']);
  });
});

describe('bench', () => {
  it('knows the package as its users do', () => {
    for (const file of filesBelow('bench', /\.ts$/).filter((name) => !name.includes('node_modules'))) {
      const imports = [...withoutComments(textOf(file)).matchAll(/\b(?:from|import\()\s*'([^']+)'/g)];
      for (const [, name = ''] of imports) expect(name).toMatch(/^(node:|interproc$|\.)/);
      for (const [, name = ''] of imports) expect(name).not.toMatch(/\/(lib|dist)\//);
    }
  });
});
