import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { patience } from '../support/watchdog.js';

const storm = fileURLToPath(new URL('objects-storm.js', import.meta.url));
const watchdogMs = 170_000 * patience;

it('processes are killed while they use queues and semaphores: the others go on, and nothing comes twice or is left', {
  timeout: watchdogMs,
}, () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [storm, '--kills', '20'], {
    encoding: 'utf8',
    timeout: watchdogMs - 10_000,
  });
  expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: '' });
  expect(stdout).toContain('20 kills: every message and every permit is accounted for.');
});
