/** After each file: what tests of this process made is gone. */
import { readdirSync } from 'node:fs';
import { SysvSharedMemory } from 'interproc';
import { afterAll, expect, vi } from 'vitest';
import { prefix } from './names.js';

afterAll(async () => {
  expect(readdirSync('/dev/shm').filter((name) => name.includes(prefix))).toEqual([]);
  // The memory of a killed process may be given back a moment after it has ended, for its parent.
  await vi.waitFor(
    () => expect(SysvSharedMemory.list().filter(({ creatorPid }) => creatorPid === process.pid)).toEqual([]),
    30_000,
  );
});
