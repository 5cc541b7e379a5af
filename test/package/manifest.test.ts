import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
const manifest = JSON.parse(read('package.json'));

it('the package depends on node-gyp-build alone', () => {
  expect(Object.keys(manifest.dependencies)).toEqual(['node-gyp-build']);
  expect(manifest.peerDependencies).toBeUndefined();
  expect(manifest.optionalDependencies).toBeUndefined();
});

it('installing the package runs nothing', () => {
  // npm makes an install script of binding.gyp by itself without `gypfile: false`, yarn and pnpm also with it.
  expect(manifest.gypfile).toBe(false);
  expect(manifest.files).not.toContain('binding.gyp');
  expect(Object.keys(manifest.scripts)).not.toEqual(
    expect.arrayContaining([expect.stringMatching(/^(pre|post)?install$/)]),
  );
});

it('the package loads where its engines say, by import and by require', () => {
  expect(manifest.engines).toEqual({ node: '^20.19 || ^22.12 || >=24' });
  expect(manifest.type).toBe('module');
  // A condition `import` alone would keep require(esm) out.
  expect(manifest.exports['.']).toEqual({ types: './dist/index.d.ts', default: './dist/bundle/index.js' });
  // For tools that don't look at `exports`: TypeScript with `module: commonjs`, before 6.
  expect(manifest).toMatchObject({ types: './dist/index.d.ts', main: './dist/bundle/index.js' });
});

it('no script runs before another by its name alone', () => {
  // npm runs `prebuild` before every `build`, for one.
  const names = Object.keys(manifest.scripts);
  const hooks = names.filter((name) =>
    names.some((other) => name === `pre${other}` || name === `post${other}`),
  );
  expect(hooks).toEqual([]);
});

it('the lock file names versions and hashes, and no registry', () => {
  const lock = JSON.parse(read('package-lock.json'));
  expect(lock.version).toBe(manifest.version);
  expect(read('package-lock.json')).not.toContain('"resolved"');
});

it('the lock file is complete for every platform, or npm ci would refuse it', () => {
  const { packages }: { packages: Record<string, { optionalDependencies?: Record<string, string> }> } =
    JSON.parse(read('package-lock.json'));
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) => !(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages),
    ),
  );
  expect(missing).toEqual([]);
});
