/** Names that no other test uses, and that are gone when the test is over, however it ends. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Channel, SharedMemory } from 'interproc';
import { onTestFinished } from 'vitest';

let count = 0;

/** Every name that tests make begins so; setup.ts looks for leftovers of it. */
export const prefix = `interproc-test-${process.pid}-`;

/** The name of a shared-memory object, with its slash; unlinked after the test. */
export function shmName(): string {
  return nameOf(SharedMemory);
}

/** The name of a channel, with its slash; unlinked after the test. */
export function channelName(): string {
  return nameOf(Channel);
}

function nameOf(kind: { unlink(name: string): void }): string {
  const name = `/${prefix}${++count}`;
  onTestFinished(() => {
    try {
      kind.unlink(name);
    } catch (error) {
      if ((error as { code?: string }).code !== 'ENOENT') throw error;
    }
  });
  return name;
}

/** An empty folder on the disk; removed after the test. */
export function tempDir(): string {
  const path = mkdtempSync(join(tmpdir(), prefix));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A path in a folder of its own, where nothing is yet. */
export function tempPath(file = 'file.bin'): string {
  return join(tempDir(), file);
}

/** A System V key that nobody uses: fresh random bits, never 0 (IPC_PRIVATE). */
export function sysvKey(): number {
  return ((process.pid & 0x7fff) << 16) | (1 + (++count % 0xfffe));
}
