import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { patience } from '../support/watchdog.js';

const storm = fileURLToPath(new URL('locks-storm.js', import.meta.url));
const watchdogMs = 170_000 * patience;

it('processes are killed while they use locks: the others go on, all counts add up, and nobody dead holds anything', {
  timeout: watchdogMs,
}, () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [storm, '--kills', '20'], {
    encoding: 'utf8',
    timeout: watchdogMs - 10_000,
  });
  expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: '' });
  expect(stdout).toContain('and all of it is accounted for: true');
});
