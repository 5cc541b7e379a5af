import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { tempDir } from '../support/names.js';

const script = fileURLToPath(new URL('cycles.js', import.meta.url));
const watchdogMs = 280_000;

function cycles(...args: string[]): Promise<{ status: unknown; stdout: string; stderr: string }> {
  const env = { ...process.env, TMPDIR: tempDir() };
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], { env, timeout: watchdogMs }, (error, stdout, stderr) =>
      resolve({ status: error?.code ?? error?.signal ?? 0, stdout, stderr }),
    );
  });
}

it(
  'objects of every kind, closed or dropped 300 times, leave nothing behind, and workers neither',
  async () => {
    const { status, stdout, stderr } = await cycles('--count', '300', '--workers', '6');
    expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^\d+ passed, 0 failed$/m);
  },
  watchdogMs,
);

const planted = {
  descriptor: 'descriptors grew by 300,',
  mapping: 'objects grew by 300,',
  handle: 'handles grew by 300,',
  heap: 'heapUsed grew by',
  malloc: 'external grew by', // V8 counts it, too; [heap] has wide bounds in short runs
  object: 'left: MessageQueue',
};

it(
  'a leak of each sort is found',
  async () => {
    const outcomes = await Promise.all(
      Object.keys(planted).map((leak) => cycles('--count', '300', '--only', 'createPipe', '--leak', leak)),
    );
    for (const [index, report] of Object.values(planted).entries()) {
      expect(outcomes[index]?.stderr).toContain(`createPipe: ${report}`);
      expect(outcomes[index]?.status).toBe(1);
    }
  },
  watchdogMs,
);
