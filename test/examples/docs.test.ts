/** The programs of README.md and docs/ are complete: each is run as a reader would, in a folder of its own. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Channel, ftok, SysvMessageQueue, SysvSemaphoreSet, SysvSharedMemory } from 'interproc';
import { expect, it, onTestFinished } from 'vitest';
import { channelName, queueName, semaphoreName, shmName, tempDir } from '../support/names.js';
import { clean, runProgram } from '../support/peer.js';
import { watchdogMs } from '../support/watchdog.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((file) => `docs/${file}`)];

const programs = pages.flatMap((page) => {
  const blocks = readFileSync(join(root, page), 'utf8').matchAll(/^```js\n(.*?)^```$/gms);
  return [...blocks].map(([, source], index) => ({ page, number: index + 1, source: source as string }));
});

const newNames: Record<string, () => string> = {
  SharedMemory: shmName,
  Channel: channelName,
  MessageQueue: queueName,
  Semaphore: semaphoreName,
};

/**
 * Fixed names would meet other runs of these tests on the same machine: gives what puts new ones into this program and
 * what belongs to it.
 */
function ownNames(source: string): (text: string) => string {
  const used = new Map<string, string>();
  for (const [, kind, name] of source.matchAll(
    /\b(\w+)\.(?:create|open|openOrCreate|unlink)\('(\/?[\w-]+)'/g,
  )) {
    const newName = newNames[kind as string];
    if (newName !== undefined && !used.has(name as string)) used.set(name as string, newName());
  }
  // Those with a slash also in what is printed.
  const names = /(?<![\w./])\/[\w-]+|(?<=(["']))[\w-]+(?=\1)/g;
  return (text) => text.replace(names, (name) => used.get(name) ?? name);
}

/** What programs of a page start: C and Python whose first line tells the file, and for C the command that compiles it. */
function companionsOf(page: string) {
  const text = readFileSync(join(root, page), 'utf8');
  const blocks = text.matchAll(
    /^```(?:c|python)\n((?:\/\* (\w+\.c): ([^\n]*) \*\/|# (\w+\.py))\n.*?)^```$/gms,
  );
  return [...blocks].map(([, source, c, command, python]) => ({
    file: (c ?? python) as string,
    source: source as string,
    command,
  }));
}

/** Those that the program names. */
function writeCompanions(page: string, program: string, folder: string, rename: (text: string) => string) {
  for (const { file, source, command } of companionsOf(page)) {
    if (!program.includes(command === undefined ? `'${file}'` : `'./${file.replace('.c', '')}'`)) continue;
    writeFileSync(join(folder, file), rename(source));
    // -lrt: where glibc is older than 2.34.
    if (command !== undefined) execFileSync('sh', ['-c', `${command} -Wall -Werror -lrt`], { cwd: folder });
  }
}

/** A reader's folder, with the package installed. What its keys lead to is removed with it, where a program has failed. */
function readersFolder(): string {
  const folder = tempDir();
  onTestFinished(() => {
    const keys = readdirSync(folder).filter((file) => file.endsWith('.key'));
    for (const key of keys.map((file) => ftok(join(folder, file), 1))) {
      for (const kind of [SysvMessageQueue, SysvSemaphoreSet, SysvSharedMemory]) {
        for (const { id } of kind.list().filter((object) => object.key === key)) kind.remove(id);
      }
    }
  });
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules/interproc'));
  return folder;
}

it.each(programs)('program $number of $page runs, and prints what its comments say', ({ page, source }) => {
  const folder = readersFolder();
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  const rename = ownNames(source);
  const program = rename(source);
  writeCompanions(page, source, folder, rename);
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

it('every program in C or Python that tells its file is started by one of its page', () => {
  for (const page of pages) {
    const sources = programs.filter((program) => program.page === page).map(({ source }) => source);
    for (const { file } of companionsOf(page)) {
      const started = file.endsWith('.c') ? `'./${file.slice(0, -2)}'` : `'${file}'`;
      expect(
        sources.some((source) => source.includes(started)),
        `${file} of ${page}`,
      ).toBe(true);
    }
  }
});

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
