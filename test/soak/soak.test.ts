import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { tempDir } from '../support/names.js';

const soak = fileURLToPath(new URL('soak.js', import.meta.url));

it('the soak goes over each transport, on one CPU and on any', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [soak, '--count', '200'], {
    env: { ...process.env, TMPDIR: tempDir() },
    encoding: 'utf8',
    timeout: 50_000,
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const lines = stdout.trimEnd().split('\n');
  expect(lines.filter((line) => line.includes(': 200 round trips in '))).toHaveLength(10);
  expect(lines.at(-1)).toBe('No message and no wake-up was lost.');
});
