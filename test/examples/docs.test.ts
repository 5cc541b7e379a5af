/** The programs of README.md and docs/ are complete: each is run as a reader would, in a folder of its own. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Channel } from 'interproc';
import { expect, it } from 'vitest';
import { channelName, shmName, tempDir } from '../support/names.js';
import { clean, runProgram } from '../support/peer.js';

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

/** A reader's folder, with the package installed. */
function readersFolder(): string {
  const folder = tempDir();
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules/interproc'));
  return folder;
}

it.each(programs)('program $number of $page runs, and prints what its comments say', ({ source }) => {
  const folder = readersFolder();
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

it('the C program of docs/channel.md compiles with the command below it, and sends what it says', async () => {
  const page = readFileSync(join(root, 'docs/channel.md'), 'utf8');
  const [, source, command] = /^```c\n(.*?)^```\n+```sh\n(.*?)^```$/ms.exec(page) as unknown as string[];
  const folder = readersFolder();
  const name = channelName().slice(1); // in C, what has a slash is a path
  writeFileSync(join(folder, 'feed.c'), (source as string).replace('"orders"', `"${name}"`));
  const compiled = spawnSync('sh', ['-c', command as string], { cwd: folder, encoding: 'utf8' });
  expect(compiled).toMatchObject({ status: 0, stderr: '' });
  const channel = Channel.create(name, { capacity: 64 });
  const [ended, received] = await Promise.all([
    runProgram(join(folder, 'feed'), []),
    channel.receiver().receive(),
  ]);
  channel.close();
  expect(ended).toMatchObject(clean);
  expect(`${received}`).toBe('one');
});
