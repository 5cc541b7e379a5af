import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const filesBelow = (folder: string) =>
  readdirSync(`${root}/${folder}`, { recursive: true, encoding: 'utf8' });
const bundle = 'bundle/index.js';
const compiled = filesBelow('dist').filter((file) => file.endsWith('.js'));
const modules = compiled.filter((file) => file !== bundle);

it('dist holds what lib compiles to and nothing that is left over', () => {
  const endings = ['.js', '.js.map', '.d.ts'];
  const expected = filesBelow('lib')
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => endings.map((ending) => file.replace(/\.ts$/, ending)));
  const found = filesBelow('dist').filter((file) => file.includes('.'));
  expect(found.sort()).toEqual([...expected, bundle, `${bundle}.map`].sort());
});

it.each(compiled)('%s has no declaration that Node 20 cannot parse', (file) => {
  expect(readFileSync(`${root}/dist/${file}`, 'utf8')).not.toMatch(/^\s*(await\s+)?using\s+[\w$]+\s*=/m);
});

it('a CommonJS module can require the package, which top-level await would forbid', () => {
  const script = "const { SharedMemory } = require('interproc'); console.log(typeof SharedMemory)";
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { cwd: root, encoding: 'utf8' });
  expect({ stdout, stderr }).toEqual({ stdout: 'function\n', stderr: '' });
});

it('what is published is one module, with the classes under their names', async () => {
  const source = readFileSync(`${root}/dist/${bundle}`, 'utf8');
  const imported = [...source.matchAll(/^import .* from "(.*)";$/gm)].map(([, from]) => from as string);
  expect(imported.filter((from) => !from.startsWith('node:'))).toEqual([]);
  const exported: Record<string, unknown> = await import('interproc');
  expect(Object.keys(exported).sort()).toEqual(Object.keys(await import(`${root}/dist/index.js`)).sort());
  for (const [name, value] of Object.entries(exported)) {
    if (typeof value === 'function') expect(value.name).toBe(name);
  }
});

it('its source map tells where each module came from and carries the sources', () => {
  const map = JSON.parse(readFileSync(`${root}/dist/${bundle}.map`, 'utf8'));
  const sources = filesBelow('lib').map((file) => `../../lib/${file}`);
  expect(map.sources.length).toBeGreaterThan(sources.length / 2);
  expect(sources).toEqual(expect.arrayContaining(map.sources));
  expect(map.sourcesContent).toHaveLength(map.sources.length);
});

it('a source map tells where each module came from and carries the source', () => {
  for (const file of modules) {
    const map = JSON.parse(readFileSync(`${root}/dist/${file}.map`, 'utf8'));
    expect(map.sources).toHaveLength(1);
    expect(map.sources[0]).toMatch(/^(\.\.\/)+lib\/.+\.ts$/);
    expect(map.sourcesContent).toHaveLength(1);
  }
});
