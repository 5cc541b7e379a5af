/** The packages of bench/package.json, which lies not where this program does. */
import { createRequire } from 'node:module';

const requireThere = createRequire(new URL('../../bench/package.json', import.meta.url));

/** T: what of it is used. */
export function requirePackage<T>(name: string): T {
  return requireThere(name) as T;
}
