/**
 * Programs in other languages, which tests talk with by lines of text. Nothing here waits for time to pass,
 * but for a line or for the end of the program.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { features } from 'interproc';
import { onTestFinished } from 'vitest';
import { watchdogMs } from '../support/watchdog.js';

export interface Program {
  readonly process: ChildProcess;
  /** The next line that it prints; undefined once it has closed its output. */
  line(): Promise<string | undefined>;
  say(line: string): void;
  /** Rejects, with what it printed to stderr, unless the code is 0. */
  ended(): Promise<void>;
}

/** `fds` reach the program as 3, 4, … */
export function startProgram(command: readonly string[], args: unknown[], fds: number[] = []): Program {
  const [file, ...first] = command;
  const child = spawn(file as string, [...first, ...args.map(String)], {
    stdio: ['pipe', 'pipe', 'pipe', ...fds],
    timeout: watchdogMs,
    killSignal: 'SIGKILL',
  });
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  child.stdin?.on('error', () => {}); // it ended before it read: its code says so
  const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> })[
    Symbol.asyncIterator
  ]();
  const closed = once(child, 'close');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await closed;
  });
  return {
    process: child,
    line: async () => (await lines.next()).value,
    say: (line) => void child.stdin?.write(`${line}\n`),
    ended: async () => {
      const [code, signal] = await closed;
      if (code !== 0) throw new Error(`the program ended (${code ?? signal}):\n${stderr}`);
    },
  };
}

/** All that a program prints, without the last line end. */
export function outputOf(command: readonly string[], args: unknown[]): string {
  const [file, ...first] = command;
  return execFileSync(file as string, [...first, ...args.map(String)], { encoding: 'utf8' }).trim();
}

export const pythonPeer = ['python3', fileURLToPath(new URL('peer.py', import.meta.url))];

/** Compiles peer.c into `folder`. */
export function compilePeer(folder: string): string[] {
  return compile(new URL('peer.c', import.meta.url), folder);
}

/** Where interproc.h is. */
const include = fileURLToPath(new URL('../../native/include', import.meta.url));

/** Compiles a program of one C file into `folder`, every warning being an error; gives the command. */
export function compile(
  source: URL,
  folder: string,
  { language = 'c', standard = 'gnu11', warnings = [] as string[], flags = [] as string[] } = {},
): string[] {
  const path = fileURLToPath(source);
  const program = join(folder, basename(path, '.c'));
  let reason = '';
  for (const compiler of language === 'c' ? ['cc', 'gcc', 'g++'] : ['c++', 'g++']) {
    // -lrt, -pthread: glibc before 2.34 has shm_open and pthread_atfork there.
    const options = ['-x', language, `-std=${standard}`, '-O2', '-Wall', '-Wextra', '-Werror', ...warnings];
    const rest = [...flags, `-I${include}`, '-pthread', path, '-o', program, '-lrt'];
    const { status, stderr, error } = spawnSync(compiler, [...options, ...rest], { encoding: 'utf8' });
    if (status === 0) return [program];
    reason += `${compiler}: ${error?.message ?? stderr}\n`;
  }
  throw new Error(`no compiler for ${language}:\n${reason}`);
}

/** The system call by which it waits for the next line. */
const read = process.arch === 'arm64' ? '63' : '0';
/** Since Linux 5.1 a new call has one number on all processors. */
const futexWaitv = '449';

/** Until the program sleeps in the call that it was told to make, as it has printed nothing since. */
export async function sleeps({ process: child }: Program): Promise<void> {
  for (;;) {
    const call = readFileSync(`/proc/${child.pid}/syscall`, 'utf8').split(' ', 1)[0]; // `running`, or its number
    if (call !== undefined && /^\d+$/.test(call) && call !== read) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Until an event loop of the program waits for a word of shared memory (man 2 futex_waitv, of its own word and that). */
export async function awaitsWord({ process: child }: Program) {
  if (!features.futexWaitv) return; // there a thread waits, as others of Node do
  const isThere = (thread: string) => {
    try {
      const [call, , count] = readFileSync(`/proc/${child.pid}/task/${thread}/syscall`, 'utf8').split(' ');
      return call === futexWaitv && Number(count) > 1;
    } catch {
      return false; // it has ended
    }
  };
  while (!readdirSync(`/proc/${child.pid}/task`).some(isThere)) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The python3 of Debian, whose packages are for it; another one may come first in PATH. */
export const debianPython = '/usr/bin/python3';

export const hasSysvIpc = spawnSync(debianPython, ['-c', 'import sysv_ipc']).status === 0;
