import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { libraries, staysLoaded, symbolsTooNew } from '../../scripts/elf.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
// Prebuilds are here only once `npm run prebuildify` has made them.
const prebuilds = existsSync(`${root}/prebuilds`)
  ? readdirSync(`${root}/prebuilds`, { recursive: true, encoding: 'utf8' })
  : [];
const binaries = [
  'build/Release/interproc.node',
  ...prebuilds.filter((file) => file.endsWith('.node')).map((file) => `prebuilds/${file}`),
];

describe.each(binaries)('%s', (file) => {
  const path = `${root}/${file}`;

  it('binds no symbol that glibc 2.28 or the C++ library of GCC 8 lacks', () => {
    expect(symbolsTooNew(path)).toEqual([]);
  });

  it('needs no library but those of C and C++', () => {
    const common =
      /^(libc\.so\.6|libstdc\+\+\.so\.6|libgcc_s\.so\.1|libm\.so\.6|lib(dl|pthread)\.so\.\d|ld-linux-.*)$/;
    const needed = libraries(path);
    expect(needed).toContain('libc.so.6');
    expect(needed.filter((name) => !common.test(name))).toEqual([]);
  });

  it('stays loaded when the last worker that used it ends', () => {
    expect(staysLoaded(path)).toBe(true);
  });
});
