/**
 * What this process holds, and whether it grew. A process that leaks has more with each cycle; one that doesn't goes up and
 * down. So growth is that of the line through the samples: the median of the slopes between every two of them (Theil and
 * Sen's), which a few samples that are out of line don't move.
 *
 * What is counted (descriptors, mappings of objects, threads, what the event loop holds) must not grow, but for two that were
 * dropped and that V8 still sees somewhere. Memory has bounds, each as narrow as its noise allows:
 * - `malloc`: what C and C++ allocate. Node runs with one arena (MALLOC_ARENA_MAX), so that it is the mapping [heap], which
 *   nothing of V8 is in. The least that malloc takes for a byte is 32, so that less than that for each cycle is noise.
 * - `heapUsed`, `external`, `arrayBuffers`: V8's own account after a collection. Only what is reachable counts.
 * - `rss`: the kernel's account of it all. V8 keeps or gives back some MB as it likes: the others are for small leaks.
 * - `maps`, `virtual`: mappings, and how much they span: also where nothing was touched.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { turn } from './kinds/place.js';

/** @typedef {Record<keyof typeof measures, number>} Sample */

const KB = 1024;
const MB = 1024 * KB;

/**
 * How much more may be there at the end: as much for each cycle (bytes), and as much for all of them.
 */
export const measures = /** @type {const} */ ({
  descriptors: { each: 0, all: 2 },
  objects: { each: 0, all: 2 },
  threads: { each: 0, all: 0 },
  handles: { each: 0, all: 0 },
  maps: { each: 0, all: 40 },
  virtual: { each: 0, all: 32 * MB },
  rss: { each: 8, all: 2 * MB },
  malloc: { each: 16, all: 640 * KB },
  heapUsed: { each: 4, all: 200 * KB },
  external: { each: 1, all: 64 * KB },
  arrayBuffers: { each: 1, all: 64 * KB },
});

/** Of these there is a number, which is no matter of noise. */
const counts = ['descriptors', 'objects', 'threads', 'handles'];

/** From so many cycles on each kind is looked at in a process of its own, and often. */
export const longRun = 10_000;

/** Memory takes a while to settle: in short runs its bounds are wider. @param {number} cycles */
const noise = (cycles) => Math.min(16, Math.max(1, 100_000 / cycles));

const ours = /\/dev\/shm\/|memfd:|SYSV|interproc-cycles-/;

async function collect() {
  globalThis.gc?.();
  await turn();
}

/**
 * Collects until no more is there than `first` had, or it is clear that this doesn't help: finalizers run in later turns of the
 * event loop than the collection, what they let go of is for the next one, and threads of the addon end by themselves.
 *
 * @param {Sample} [first]
 */
export async function settled(first) {
  for (let round = 0; round < (first === undefined ? 6 : 2); round++) await collect();
  let now = take();
  for (let round = 0; first !== undefined && round < 40 && !isBack(now, first); round++) {
    await new Promise((resolve) => setTimeout(resolve, 2 * round));
    await collect();
    now = take();
  }
  return now;
}

/** @param {Sample} now @param {Sample} first */
function isBack(now, first) {
  const names = /** @type {const} */ (['descriptors', 'objects', 'threads', 'handles', 'external']);
  return names.every((name) => now[name] <= first[name] + (counts.includes(name) ? 0 : measures[name].all));
}

/** @returns {Sample} */
function take() {
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  const handles = process.getActiveResourcesInfo().length;
  const status = readFileSync('/proc/self/status', 'utf8');
  const bytes = (/** @type {string} */ name) =>
    KB * Number(new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(status)?.[1]);
  const maps = readFileSync('/proc/self/maps', 'utf8').trimEnd().split('\n');
  const heap = maps.find((line) => line.endsWith('[heap]'))?.split(/[ -]/, 2) ?? ['0', '0'];
  const [begin = 0, end = 0] = heap.map((address) => Number.parseInt(address, 16));
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    objects: maps.filter((line) => ours.test(line)).length,
    threads: readdirSync('/proc/self/task').length,
    handles,
    maps: maps.length,
    virtual: bytes('VmSize'),
    rss: bytes('VmRSS'),
    malloc: end - begin,
    heapUsed,
    external,
    arrayBuffers,
  };
}

/** @param {number[]} values */
function median(values) {
  const sorted = values.sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

/**
 * From the first sample to the last: the smaller of two estimates, that of the slopes and that of the least of either half.
 *
 * @param {number[]} values
 */
export function growth(values) {
  const slopes = values.flatMap((from, i) => values.slice(i + 1).map((to, j) => (to - from) / (j + 1)));
  const half = values.length >> 1;
  const least = Math.min(...values.slice(-half)) - Math.min(...values.slice(0, -half));
  return Math.round(Math.min(median(slopes) * (values.length - 1), 2 * least));
}

/** @param {Sample[]} samples @param {number} cycles Between the first and the last. */
export function judge(samples, cycles) {
  return Object.entries(measures).map(([name, { each, all }]) => {
    const values = samples.map((each) => each[/** @type {keyof Sample} */ (name)]);
    const isCount = counts.includes(name);
    const grown = isCount ? (values.at(-1) ?? 0) - (values[0] ?? 0) : growth(values);
    const bound = isCount ? all : Math.round(all * noise(cycles)) + each * cycles;
    return { name, grown, bound, ok: grown <= bound, values };
  });
}
