// Puts what a build from source needs into native/ while the package is packed, and removes it again: the
// headers of node-addon-api, since an installed package depends on node-gyp-build alone; and binding.gyp, with
// paths from there. At the root of the package it would make yarn build at each installation, and pnpm warn
// that it doesn't: both take the file itself for an install script, whatever `gypfile` says.
//
//   node scripts/pack-sources.js put | remove
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const headers = join(root, 'native/node-addon-api');
const bindingPath = join(root, 'native/binding.gyp');

rmSync(headers, { recursive: true, force: true });
rmSync(bindingPath, { force: true });
if (process.argv[2] === 'put') {
  const source = createRequire(import.meta.url)('node-addon-api').include_dir;
  mkdirSync(headers);
  for (const file of ['napi.h', 'napi-inl.h', 'LICENSE.md']) {
    copyFileSync(join(source, file), join(headers, file));
  }
  const read = (/** @type {string} */ file) => JSON.parse(readFileSync(join(root, file), 'utf8'));
  const binding = read('binding.gyp');
  /** @type {string[]} */
  const sources = Object.values(read('native/sources.json')).flat();
  binding.targets[0].sources = sources.map((file) => file.replace(/^native\//, ''));
  binding.targets[0].include_dirs = ['.', 'node-addon-api'];
  writeFileSync(bindingPath, `${JSON.stringify(binding, null, 2)}\n`);
}
