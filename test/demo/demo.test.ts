import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, openSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { tempPath } from '../support/names.js';
import { runProgram } from '../support/peer.js';
import {
  childrenOf,
  demoScript,
  isRunning,
  namedMemoryOf,
  packageRoot,
  receiverOf,
  startDemo,
} from './running-demo.js';

const ids = [
  'process-send',
  'unix-socket',
  'channel-copy',
  'channel-in-place',
  'shared-memory-ring',
  'shared-memory',
];
const runDemo = (...args: string[]) => runProgram(process.execPath, [demoScript, ...args]);

beforeAll(() => {
  execFileSync('node_modules/.bin/tsc', ['-p', 'examples/demo'], { cwd: packageRoot });
});

/** A file without pages on the disk. */
function sparseFile(bytes: number): string {
  const path = tempPath();
  writeFileSync(path, '');
  truncateSync(path, bytes);
  return path;
}

describe('the demo', () => {
  it('moves a file through every transport and proves it in JSON', async () => {
    const path = tempPath();
    const content = randomBytes(3 * 2 ** 20 + 17);
    writeFileSync(path, content);
    const { code, stdout } = await runDemo(path, '--json', '--rounds', '2');
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      file: path,
      bytes: content.length,
      sha256: createHash('sha256').update(content).digest('hex'),
      node: process.version,
    });
    expect(report.transports.map(({ id }: { id: string }) => id)).toEqual(ids);
    const number = expect.any(Number);
    for (const transport of report.transports) {
      expect(transport).toMatchObject({
        seconds: number,
        megabytesPerSecond: number,
        cpuSeconds: number,
        factor: number,
      });
      expect(transport.verified).toBe(true);
    }
    expect(report.transports[0].factor).toBe(1);
  });

  it('moves a file of one byte', async () => {
    const path = tempPath();
    writeFileSync(path, 'x');
    expect(await runDemo(path, '--rounds', '1')).toMatchObject({ code: 0 });
  });

  it('prints a table with a row for each transport', async () => {
    const { code, stdout, stderr } = await runDemo(sparseFile(12345), '--rounds', '1');
    expect(code).toBe(0);
    expect(stdout.match(/ yes$/gm)).toHaveLength(ids.length + 1);
    expect(stderr.trim().split('\n')).toEqual([...ids, 'alone'].map((id) => `demo: ${id}`));
  });

  it.each([
    ['a missing file', () => [tempPath()], /^demo: ENOENT: no such file or directory, .*\n$/],
    ['a folder', () => ['/'], /^demo: '\/' is not a regular file\n$/],
    ['an empty file', () => [sparseFile(0)], /^demo: .* is empty.*\n$/],
    ['more than memory holds', () => [sparseFile(2 ** 42)], /^demo: .* has 4398046\.5 MB: .*\n$/],
    ['no number of rounds', () => ['--rounds', '0'], /^demo: --rounds .*\n$/],
    ['an unknown option', () => ['--unknown'], /^demo: Unknown option '--unknown'.*\n$/],
  ])('refuses %s with one line and code 1', async (_, args, message) => {
    const { code, stdout, stderr } = await runDemo(...args());
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });

  it('ends with code 1 when what arrives is not what it expects', async () => {
    const path = sparseFile(2 ** 20);
    const demo = startDemo(path, 50);
    await demo.begun('process-send');
    const fd = openSync(path, 'r+');
    writeSync(fd, 'changed', 4711);
    closeSync(fd);
    const { end, lines } = await demo.ended;
    expect(end).toBe(1);
    expect(lines.at(-1)).toBe('demo: not all that arrived is what was sent');
  });

  it('ends with an error when the file shrinks meanwhile', async () => {
    const path = sparseFile(2 ** 24);
    const demo = startDemo(path, 100);
    await demo.begun('process-send');
    truncateSync(path, 4096);
    const { end, lines } = await demo.ended;
    expect(end).toBe(1);
    expect(lines.at(-1)).toBe(`demo: '${path}' became shorter while it was read`);
  });

  it.each(ids)('ends with an error, and leaves nothing, when the child of %s is killed', async (id) => {
    const demo = startDemo(sparseFile(2 ** 27), 100);
    await demo.begun(id);
    const children = childrenOf(demo.pid);
    expect(children).toHaveLength(ids.length);
    expect([demo.pid, ...children].flatMap(namedMemoryOf)).toEqual([]);
    process.kill(receiverOf(demo.pid, id) as number, 'SIGKILL');
    const { end, lines } = await demo.ended;
    expect(end).toBe(1);
    expect(lines.at(-1)).toBe(`demo: the child of '${id}' ended early: SIGKILL`);
    expect(children.filter(isRunning)).toEqual([]);
  });

  it.each(['SIGINT', 'SIGKILL'])('leaves no process when its parent ends by %s', async (signal) => {
    const demo = startDemo(sparseFile(2 ** 27), 100);
    await demo.begun('shared-memory-ring');
    const children = childrenOf(demo.pid);
    expect(children).toHaveLength(ids.length);
    process.kill(demo.pid, signal);
    expect((await demo.ended).end).toBe(signal);
    await expect.poll(() => children.filter(isRunning), { timeout: 50_000 }).toEqual([]);
  });
});
