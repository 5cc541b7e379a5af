/** Names of what contenders make in /dev/shm, so that nothing is left there whatever becomes of them. */
import { rmSync } from 'node:fs';

const inUse = new Set<string>();
let made = 0;

export function newName(): string {
  const name = `interproc-bench-${process.pid}-${made++}`;
  inUse.add(name);
  return name;
}

/** REQUIRES that its users have ended. */
export function removeName(name: string): void {
  inUse.delete(name);
  for (const file of [name, `${name}-back`]) rmSync(`/dev/shm/${file}`, { force: true });
}

export function removeAllNames(): void {
  for (const name of inUse) removeName(name);
}
