/** After each file: what tests of this process made is gone. */
import { readdirSync } from 'node:fs';
import { SysvSharedMemory } from 'interproc';
import { afterAll, expect } from 'vitest';
import { prefix } from './names.js';

afterAll(() => {
  expect(readdirSync('/dev/shm').filter((name) => name.includes(prefix))).toEqual([]);
  expect(SysvSharedMemory.list().filter(({ creatorPid }) => creatorPid === process.pid)).toEqual([]);
});
