import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  architecture,
  isStripped,
  libraries,
  staysLoaded,
  symbolsTooNew,
  uncommonLibraries,
} from '../../scripts/elf.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
// Prebuilds are here only once `npm run prebuild` has made them.
const prebuilds = existsSync(`${root}/prebuilds`)
  ? readdirSync(`${root}/prebuilds`, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.node'))
      .map((file) => `prebuilds/${file}`)
  : [];

describe.each(['build/Release/interproc.node', ...prebuilds])('%s', (file) => {
  const path = `${root}/${file}`;

  it('binds no symbol that glibc 2.28 or the C++ library of GCC 8 lacks', () => {
    expect(symbolsTooNew(path)).toEqual([]);
  });

  it('needs no library but those of C and C++', () => {
    expect(libraries(path)).toContain(file.includes('.musl.') ? 'libc.so' : 'libc.so.6');
    expect(uncommonLibraries(path)).toEqual([]);
  });

  it('stays loaded when the last worker that used it ends', () => {
    expect(staysLoaded(path)).toBe(true);
  });

  const [, folder] = /^prebuilds\/linux-(\w+)\//.exec(file) ?? [];
  it(`is for ${folder ?? 'this machine'}`, () => {
    expect(architecture(path)).toBe(folder ?? process.arch);
  });

  if (folder !== undefined) {
    it('is stripped', () => {
      expect(isStripped(path)).toBe(true);
    });
  }
});

it('what a binary is asked is seen in it: Node itself is none of what is wanted', () => {
  expect(libraries(process.execPath)).not.toEqual([]);
  expect(staysLoaded(process.execPath)).toBe(false);
  expect(architecture(process.execPath)).toBe(process.arch);
});
