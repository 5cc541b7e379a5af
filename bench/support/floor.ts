/** The C programs of the bench: built by the bench itself with the system's C compiler, as users of the header do. */
import { spawnSync } from 'node:child_process';
import { readdirSync, renameSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Task } from '../contenders/contender.js';
import { BenchError } from './bench-error.js';
import { keysOf, namesOf } from './kernel-objects.js';
import { pathsOf } from './paths.js';

const sources = fileURLToPath(new URL('../../bench/floor/', import.meta.url));
const include = fileURLToPath(new URL('../../native/include/', import.meta.url));
export const floorProgram = fileURLToPath(new URL('../floor', import.meta.url));

/** For the processors that the package's own binaries run on: no -march. */
const flags = ['-std=gnu11', '-O3', '-Wall', '-Wextra', '-pthread'];
/** Where glibc before 2.34 has message queues. */
const libraries = ['-lrt'];

/** Builds it where it is older than what it is made of. */
export function buildFloor(): void {
  const files = readdirSync(sources).map((file) => `${sources}${file}`);
  const changed = (file: string) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if ([...files, `${include}interproc.h`].every((file) => changed(file) < changed(floorProgram))) return;
  const compiler = process.env.CC ?? 'cc';
  // Another bench may be running the one that is there.
  const built = `${floorProgram}-${process.pid}`;
  const programs = files.filter((file) => file.endsWith('.c'));
  const args = [...flags, '-I', include, ...programs, '-o', built, ...libraries];
  const { status, error, stderr } = spawnSync(compiler, args, { encoding: 'utf8' });
  if (status !== 0) throw new BenchError(`${compiler} can't build the C floor: ${error?.message ?? stderr}`);
  renameSync(built, floorProgram);
}

/** What the program wants to be told: see bench/floor/. */
export function floorArguments(task: Task): string[] {
  const { shape, role, index, most, name, cpus } = task;
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
    case 'descriptor': {
      const { out, back } = pathsOf(task);
      const blocks = shape.work === 'one-way' && cpus[0] === cpus[1];
      const waiting = blocks ? 'blocking' : 'looking';
      const { work, transport, bytes } = shape;
      return ['descriptor', role, work, transport, `${bytes}`, waiting, `${most}`, out, back];
    }
    case 'queue':
    case 'semaphore': {
      const { work, api } = shape;
      const { out, back } = api === 'posix' ? namesOf(task) : keysOf(task);
      const places = [out, back].map((place) => (api === 'posix' ? `/${place}` : `${place}`));
      const bytes = shape.kind === 'queue' ? [`${shape.bytes}`] : [];
      return [shape.kind, role, work, api, ...bytes, `${most}`, ...places];
    }
    case 'lock': {
      const { work, parties, heldUs } = shape;
      const api = task.contender === 'floor-interproc' ? 'interproc' : 'pthread';
      return ['lock', `${index}`, work, `${parties}`, `${heldUs}`, `${most}`, api];
    }
    case 'mapped':
      throw new Error('loops over memory have no floor in C');
  }
}
