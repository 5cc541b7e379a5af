/** The C programs of the bench: built by the bench itself with the system's C compiler, as users of the header do. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Task } from '../contenders/contender.js';
import { BenchError } from './bench-error.js';

const sources = fileURLToPath(new URL('../../bench/floor/', import.meta.url));
const include = fileURLToPath(new URL('../../native/include/', import.meta.url));
export const floorProgram = fileURLToPath(new URL('../floor', import.meta.url));

/** For the processors that the package's own binaries run on: no -march. */
const flags = ['-std=gnu11', '-O3', '-Wall', '-Wextra', '-pthread'];

export function buildFloor(): void {
  const compiler = process.env.CC ?? 'cc';
  const files = readdirSync(sources)
    .filter((file) => file.endsWith('.c'))
    .map((file) => `${sources}${file}`);
  const args = [...flags, '-I', include, ...files, '-o', floorProgram];
  const { status, error, stderr } = spawnSync(compiler, args, { encoding: 'utf8' });
  if (status !== 0) throw new BenchError(`${compiler} can't build the C floor: ${error?.message ?? stderr}`);
}

/** What the program wants to be told: see bench/floor/. */
export function floorArguments({ shape, role, most, name }: Task): string[] {
  switch (shape.kind) {
    case 'one-way': {
      // There are no Buffers to own in C: it copies.
      const method = ['in-place', 'in-place-sparse'].includes(shape.method) ? shape.method : 'copy';
      return ['one-way', role, `${shape.bytes}`, method, shape.waiting];
    }
    case 'ping-pong':
      return ['ping-pong', role, shape.waiting === 'spinning' ? 'spinning' : 'sleeping', `${most}`];
    case 'memory':
      return ['memory', shape.call, `${shape.bytes}`, name];
    case 'mapped':
      throw new Error('loops over memory have no floor in C');
  }
}
