/** The programs of README.md and docs/ are complete: each is run as a reader would, in a folder of its own. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { channelName, shmName, tempDir } from '../support/names.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const watchdogMs = 50_000;
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((file) => `docs/${file}`)];

const programs = pages.flatMap((page) => {
  const blocks = readFileSync(join(root, page), 'utf8').matchAll(/^```js\n(.*?)^```$/gms);
  return [...blocks].map(([, source], index) => ({ page, number: index + 1, source: source as string }));
});

/** Fixed names would meet other runs of these tests on the same machine. */
function withOwnNames(source: string): string {
  const names = new Set(source.match(/(?<=SharedMemory\.\w+\(')\/[\w-]+(?=')/g));
  const channels = new Set(source.match(/(?<=Channel\.\w+\()'[\w-]+'/g));
  const text = [...names].reduce((text, name) => text.replaceAll(name, shmName()), source);
  return [...channels].reduce((text, name) => text.replaceAll(name, `'${channelName()}'`), text);
}

it.each(programs)('program $number of $page runs, and prints what its comments say', ({ source }) => {
  const folder = tempDir();
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules/interproc'));
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  const program = withOwnNames(source);
  writeFileSync(join(folder, 'program.js'), program);
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['program.js'], {
    cwd: folder,
    encoding: 'utf8',
    timeout: watchdogMs,
  });
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
  // `console.log(…); // 0 16: why` promises the line `0 16`.
  const promised = [...program.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(
    ([, text]) => text as string,
  );
  const printed = stdout.trimEnd().split('\n');
  for (const text of promised)
    expect(printed).toContainEqual(expect.toSatisfy((line) => startsWith(text, line)));
});

function startsWith(promise: string, line: string): boolean {
  return promise === line || promise.startsWith(`${line}: `);
}
