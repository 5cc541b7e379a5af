/** The demo as a running program, and its processes as the kernel sees them. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

export const packageRoot = fileURLToPath(new URL('../..', import.meta.url));
export const demoScript = 'build-demo/main.js';

export interface RunningDemo {
  readonly pid: number;
  /** Resolves when the demo says that it begins with this transport, or with the end of its output. */
  begun(id: string): Promise<void>;
  readonly ended: Promise<{ end: number | string | null; lines: string[] }>;
}

/** Starts the demo with a file and so many rounds; it is killed when the test ends. */
export function startDemo(path: string, rounds: number): RunningDemo {
  const child = spawn(process.execPath, [demoScript, path, '--rounds', `${rounds}`], {
    cwd: packageRoot,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines: string[] = [];
  const errors = createInterface(child.stderr).on('line', (line) => lines.push(line));
  return {
    pid: child.pid as number,
    begun: (id) =>
      new Promise((resolve) => {
        errors.on('line', (line) => line === `demo: ${id}` && resolve());
        errors.on('close', resolve);
      }),
    ended: new Promise((resolve) => {
      child.on('close', (code, signal) => resolve({ end: signal ?? code, lines }));
    }),
  };
}

/** The processes that `pid` has started and that run. */
export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((other) => statusOf(other)?.parent === pid && isRunning(other));
}

/** The child that receives for a transport. */
export function receiverOf(pid: number, id: string): number | undefined {
  return childrenOf(pid).find((child) =>
    readFileSync(`/proc/${child}/cmdline`, 'utf8').split('\0').includes(id),
  );
}

export function isRunning(pid: number): boolean {
  const state = statusOf(pid)?.state;
  return state !== undefined && state !== 'Z';
}

/** What the process maps of `/dev/shm`: only this could be left there. */
export function namedMemoryOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/maps`, 'utf8')
    .split('\n')
    .filter((line) => line.includes('/dev/shm/'));
}

function statusOf(pid: number): { state: string; parent: number } | undefined {
  if (!Number.isInteger(pid)) return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // man 5 proc_pid_stat: the name, which comes second, can hold anything, also parentheses.
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: state as string, parent: Number(parent) };
  } catch {
    return undefined; // ended meanwhile
  }
}
