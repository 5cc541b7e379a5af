/** A mutex in C between threads, as ThreadSanitizer sees it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { prefix } from '../support/names.js';
import { runProgram } from '../support/peer.js';
import { compile } from './programs.js';

const source = new URL('lock-threads.c', import.meta.url);
const threads = 6; // as lock-threads.c has it
const folder = mkdtempSync(join(tmpdir(), prefix));
afterAll(() => rmSync(folder, { recursive: true }));

const sanitizer = ['-fsanitize=thread', '-g'];
const languages = [
  { language: 'C', setting: { standard: 'c11' } },
  { language: 'C++', setting: { language: 'c++', standard: 'c++17' } },
];

function build(setting: Parameters<typeof compile>[2], flags: string[]): string[] {
  return compile(source, mkdtempSync(join(folder, prefix)), { ...setting, flags: [...sanitizer, ...flags] });
}

/**
 * How a program with the sanitizer is run here; undefined where that can't be. It wants its addresses where few kernels that
 * randomize much of them leave room.
 */
function wayToRun(): string[] | undefined {
  const path = join(folder, 'empty.c');
  writeFileSync(path, 'int main(void) { return 0; }\n');
  let empty: string[];
  try {
    empty = compile(pathToFileURL(path), folder, { flags: sanitizer });
  } catch {
    return undefined; // the compiler has none
  }
  const ways = [[], ['setarch', '-R']];
  return ways.find((way) => {
    const [command, ...args] = [...way, ...empty];
    return spawnSync(command as string, args, { stdio: 'ignore', timeout: 10_000 }).status === 0;
  });
}
const way = wayToRun();

function run(program: string[], rounds: number) {
  const [command, ...args] = [...(way as string[]), ...program, String(rounds)];
  return runProgram(command as string, args);
}

describe.skipIf(way === undefined).each(languages)(
  'threads of a $language program that lock, try and wait for a moment',
  ({ setting }) => {
    it('hand on what the mutex guards without a race', async () => {
      const rounds = 5000;
      const exit = await run(build(setting, []), rounds);
      expect(exit).toEqual({ code: 0, signal: null, stdout: `${threads * rounds}\n`, stderr: '' });
    });

    it('would not without the memory order of the mutex, and the sanitizer would tell', async () => {
      const { code, stderr } = await run(build(setting, ['-DWEAK']), 1000);
      expect(code).not.toBe(0);
      expect(stderr).toMatch(/SUMMARY: ThreadSanitizer: data race .* in change_what_is_guarded/);
    });
  },
);
