import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { tempDir } from '../support/names.js';
import { patience } from '../support/watchdog.js';

const soak = fileURLToPath(new URL('soak.js', import.meta.url));
const watchdogMs = 280_000 * patience;

/** Runs it on one CPU and on any, and gives what it says of each run. */
function soaked(transports: string, count: number): string[] {
  const args = [soak, '--count', String(count), '--transports', transports];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    env: { ...process.env, TMPDIR: tempDir() },
    encoding: 'utf8',
    timeout: watchdogMs,
  });
  expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: '' });
  const lines = stdout.trimEnd().split('\n');
  expect(lines.at(-1)).toBe('No message and no wake-up was lost.');
  return lines.slice(1, -1);
}

it('the soak goes over each pipe and socket, on one CPU and on any', () => {
  const runs = soaked('pipe,fifo,datagram,seqpacket,stream', 200);
  expect(runs.filter((line) => line.includes(': 200 round trips in '))).toHaveLength(10);
});

it.for(['queue', 'sysv-queue'])(
  '%s: of 50,000 messages between two processes, half of them each way, with calls given up at random, none is lost',
  { timeout: watchdogMs },
  (transport) => {
    expect(soaked(transport, 25_000)).toHaveLength(2);
  },
);

it('neither is any by calls that block, nor a permit of semaphores', { timeout: watchdogMs }, () => {
  const transports = [
    'queue-sync',
    'sysv-queue-sync',
    'semaphore',
    'semaphore-sync',
    'semaphore-set',
    'semaphore-set-sync',
  ];
  expect(soaked(transports.join(), 3000)).toHaveLength(2 * transports.length);
});
