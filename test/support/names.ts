/** Names that no other test uses, and that are gone when the test is over, however it ends. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Channel,
  MessageQueue,
  Semaphore,
  SharedMemory,
  SysvMessageQueue,
  SysvSemaphoreSet,
} from 'interproc';
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

/** The name of a message queue, with its slash; unlinked after the test. */
export function queueName(): string {
  return nameOf(MessageQueue);
}

/** The name of a semaphore, with its slash; unlinked after the test. */
export function semaphoreName(): string {
  return nameOf(Semaphore);
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

/** The key of a System V message queue; what has it is removed after the test. */
export function messageKey(): number {
  return keyOf(SysvMessageQueue);
}

/** The key of a System V semaphore set; what has it is removed after the test. */
export function setKey(): number {
  return keyOf(SysvSemaphoreSet);
}

function keyOf(kind: { list(): { id: number; key: number | null }[]; remove(id: number): void }): number {
  const key = sysvKey();
  onTestFinished(() => {
    for (const object of kind.list()) if (object.key === key) kind.remove(object.id);
  });
  return key;
}
