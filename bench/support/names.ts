/** Names of what contenders make in the system, so that nothing is left there whatever becomes of them. */
import { rmSync } from 'node:fs';

const inUse = new Map<string, (() => void)[]>();
let made = 0;

export function newName(): string {
  const name = `interproc-bench-${process.pid}-${made++}`;
  inUse.set(name, []);
  return name;
}

/** For what goes with the name, and is no file in /dev/shm. */
export function removeWith(name: string, remove: () => void): void {
  inUse.get(name)?.push(remove);
}

/** REQUIRES that its users have ended, or have opened what it leads to. */
export function removeName(name: string): void {
  const removals = inUse.get(name) ?? [];
  inUse.delete(name);
  for (const file of [name, `${name}-back`]) rmSync(`/dev/shm/${file}`, { force: true });
  for (const remove of removals) remove();
}

export function removeAllNames(): void {
  for (const name of inUse.keys()) removeName(name);
}
