// Makes one module of the compiled package, dist/bundle/index.js: a process loads it in a quarter of the
// time that the modules of dist/ take one by one. What those say stays as it is, and so do their sources.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const dist = fileURLToPath(new URL('../dist', import.meta.url));

const bundle = await rolldown({
  input: `${dist}/index.js`,
  platform: 'node',
  external: [/^node:/, 'node-gyp-build'],
  treeshake: false,
  plugins: [
    {
      name: 'with the maps of tsc',
      load: (id) => ({ code: readFileSync(id, 'utf8'), map: readFileSync(`${id}.map`, 'utf8') }),
    },
  ],
});
// The map is for tests and editors here: it is not published.
await bundle.write({ file: `${dist}/bundle/index.js`, format: 'esm', sourcemap: true });
