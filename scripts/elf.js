// What a compiled addon asks of the system that loads it, as readelf (GNU binutils) tells it.
import { execFileSync } from 'node:child_process';

// The oldest systems supported: glibc 2.28, and the C++ library of GCC 8.
/** @type {Record<string, string>} */
const newest = { GLIBC: '2.28', GLIBCXX: '3.4.25', CXXABI: '1.3.11', GCC: '8.0.0' };
const commonLibraries =
  // The second one is musl's name for itself.
  /^(libc\.so\.6|libc\.so|libstdc\+\+\.so\.6|libgcc_s\.so\.1|libm\.so\.6|lib(dl|pthread)\.so\.\d|ld-linux-.*)$/;
/** @type {Record<string, string>} */
const architectures = { 'Advanced Micro Devices X86-64': 'x64', AArch64: 'arm64' };

/** @param {string} a @param {string} b */
const isNewer = (a, b) => a.localeCompare(b, 'en', { numeric: true }) > 0;

/** @param {string[]} args */
function readelf(...args) {
  return execFileSync('readelf', ['--wide', ...args], { encoding: 'utf8' });
}

/**
 * Symbols bound to a version that the oldest supported system doesn't have: `pthread_create@GLIBC_2.34`. A
 * version that it needs for no symbol stands for itself: `GLIBC_ABI_DT_RELR`.
 *
 * @param {string} file
 */
export function symbolsTooNew(file) {
  const symbols = [...readelf('--dyn-syms', file).matchAll(/ UND (\w+@(\w+\.?[\w.]*))/g)];
  const versions = [...readelf('--version-info', file).matchAll(/ Name: (\S+) /g)].map(
    ([, version = '']) => version,
  );
  const tooNew = versions.filter((version) => {
    const [, library = '', number = ''] = /^([A-Z]+)_([\d.]+)$/.exec(version) ?? [];
    const limit = newest[library];
    return limit === undefined || isNewer(number, limit);
  });
  return tooNew.flatMap((version) => {
    const bound = symbols.filter(([, , of]) => of === version).map(([, symbol = '']) => symbol);
    return bound.length > 0 ? bound : [version];
  });
}

/**
 * The libraries that it needs: `libc.so.6`.
 *
 * @param {string} file
 */
export function libraries(file) {
  return [...readelf('--dynamic', file).matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(([, name = '']) => name);
}

/**
 * The libraries that it needs and that not every system has: none, or it won't load there.
 *
 * @param {string} file
 */
export function uncommonLibraries(file) {
  return libraries(file).filter((name) => !commonLibraries.test(name));
}

/**
 * Whether it stays loaded when the last worker that used it ends.
 *
 * @param {string} file
 */
export function staysLoaded(file) {
  return /\(FLAGS_1\).*\bNODELETE\b/.test(readelf('--dynamic', file));
}

/** @param {string} file */
export function isStripped(file) {
  return !readelf('--sections', file).includes('.symtab');
}

/**
 * Whom it is for, as Node names it: `x64`.
 *
 * @param {string} file
 */
export function architecture(file) {
  const machine = /Machine: +(.+)/.exec(readelf('--file-header', file))?.[1] ?? '';
  return architectures[machine] ?? machine;
}
