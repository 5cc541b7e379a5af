/** What this process holds of the kinds of object that the package makes: descriptors and mappings. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { prefix } from './names.js';

const ours = new RegExp(`/dev/shm/|memfd:|SYSV|${prefix}`);

export interface Holdings {
  fds: string[];
  mappings: string[];
}

/** Collects garbage first: what is no longer reachable doesn't count. */
export async function holdings(): Promise<Holdings> {
  const fds = (await openDescriptors()).filter((target) => ours.test(target));
  const mappings = readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => ours.test(line))
    .map((line) => line.replace(/^\S+ \S+ (\S+) \S+ \S+ +/, '$1 '));
  return { fds, mappings: mappings.sort() };
}

/** What every descriptor of this process leads to (`pipe:[…]`, `socket:[…]`, a path), after collecting garbage. */
export async function openDescriptors(): Promise<string[]> {
  await collectGarbage();
  return readdirSync('/proc/self/fd')
    .flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/self/fd/${fd}`)];
      } catch {
        return []; // the descriptor of the listing itself
      }
    })
    .sort();
}

/** Finalizers run in later turns of the event loop than the collection. */
export async function collectGarbage(): Promise<void> {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error('run with --expose-gc');
  for (let round = 0; round < 4; round++) {
    gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
