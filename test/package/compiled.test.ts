import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const filesBelow = (folder: string) =>
  readdirSync(`${root}/${folder}`, { recursive: true, encoding: 'utf8' });
const compiled = filesBelow('dist').filter((file) => file.endsWith('.js'));

it('dist holds what lib compiles to and nothing that is left over', () => {
  const endings = ['.js', '.js.map', '.d.ts'];
  const expected = filesBelow('lib')
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => endings.map((ending) => file.replace(/\.ts$/, ending)));
  const found = filesBelow('dist').filter((file) => file.includes('.'));
  expect(found.sort()).toEqual(expected.sort());
});

it.each(compiled)('%s has no declaration that Node 20 cannot parse', (file) => {
  expect(readFileSync(`${root}/dist/${file}`, 'utf8')).not.toMatch(/^\s*(await\s+)?using\s+[\w$]+\s*=/m);
});

it('a CommonJS module can require the package, which top-level await would forbid', () => {
  const script = "const { SharedMemory } = require('interproc'); console.log(typeof SharedMemory)";
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { cwd: root, encoding: 'utf8' });
  expect({ stdout, stderr }).toEqual({ stdout: 'function\n', stderr: '' });
});

it('a source map tells where each module came from and carries the source', () => {
  for (const file of compiled) {
    const map = JSON.parse(readFileSync(`${root}/dist/${file}.map`, 'utf8'));
    expect(map.sources).toHaveLength(1);
    expect(map.sources[0]).toMatch(/^(\.\.\/)+lib\/.+\.ts$/);
    expect(map.sourcesContent).toHaveLength(1);
  }
});
