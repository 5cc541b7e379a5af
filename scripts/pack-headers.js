// Puts the headers of node-addon-api into the package while it is packed, and removes them again: an
// installed package depends on node-gyp-build alone, yet can be built from source where no prebuilt
// binary fits (native/napi-headers.cjs chooses between the two places).
//
//   node scripts/pack-headers.js put | remove
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const packed = fileURLToPath(new URL('../native/node-addon-api', import.meta.url));
rmSync(packed, { recursive: true, force: true });
if (process.argv[2] === 'put') {
  const source = createRequire(import.meta.url)('node-addon-api').include_dir;
  mkdirSync(packed);
  for (const file of ['napi.h', 'napi-inl.h', 'napi-inl.deprecated.h', 'LICENSE.md']) {
    copyFileSync(join(source, file), join(packed, file));
  }
}
