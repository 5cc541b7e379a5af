import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SysvSharedMemory } from 'interproc';
import { expect, it } from 'vitest';
import { tempDir } from '../support/names.js';

const root = fileURLToPath(new URL('../../examples', import.meta.url));
const watchdogMs = 50_000;

/** All but the demo, which is more than an example. */
const examples = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.js') && !file.startsWith('demo/'))
  .sort();

it('there are examples', () => {
  expect(examples).not.toEqual([]);
});

it.each(examples)('%s says what it found and leaves nothing behind', (file) => {
  const temporary = tempDir();
  const { pid, status, signal, stdout, stderr } = spawnSync(process.execPath, [join(root, file)], {
    env: { ...process.env, TMPDIR: temporary },
    encoding: 'utf8',
    timeout: watchdogMs,
  });
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
  expect(stdout).toMatch(/^[A-Z].*[.]$/m);
  expect(readdirSync(temporary)).toEqual([]);
  // Names of examples end with the process id, so that other programs on this machine don't count.
  expect(readdirSync('/dev/shm').filter((name) => name.endsWith(`-${pid}`))).toEqual([]);
  expect(SysvSharedMemory.list().filter(({ creatorPid }) => creatorPid === pid)).toEqual([]);
});
