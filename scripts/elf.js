// What a compiled addon asks of the system that loads it, as readelf (GNU binutils) tells it.
import { execFileSync } from 'node:child_process';

// The oldest systems supported: glibc 2.28, and the C++ library of GCC 8.
/** @type {Record<string, string>} */
const newest = { GLIBC: '2.28', GLIBCXX: '3.4.25', CXXABI: '1.3.11' };

/** @param {string} a @param {string} b */
const isNewer = (a, b) => a.localeCompare(b, 'en', { numeric: true }) > 0;

/** @param {string[]} args */
function readelf(...args) {
  return execFileSync('readelf', ['--wide', ...args], { encoding: 'utf8' });
}

/**
 * Symbols bound to a version that the oldest supported system doesn't have: `pthread_create@GLIBC_2.34`.
 *
 * @param {string} file
 */
export function symbolsTooNew(file) {
  const imported = readelf('--dyn-syms', file).matchAll(/ UND (\w+@(\w+)_([\d.]+))/g);
  return [...imported].flatMap(([, symbol = '', library = '', version = '']) =>
    isNewer(version, newest[library] ?? version) ? [symbol] : [],
  );
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
 * Whether it stays loaded when the last worker that used it ends.
 *
 * @param {string} file
 */
export function staysLoaded(file) {
  return /\(FLAGS_1\).*\bNODELETE\b/.test(readelf('--dynamic', file));
}
