/**
 * The processes that are measured. Whatever becomes of the bench, none outlives it: the kernel kills them when the
 * thread that started them ends, and the bench when it is told to end.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { controlFd, followControlFd } from '../contenders/contender.js';
import { BenchError } from './bench-error.js';
import { Lines } from './lines.js';
import { pinned } from './pinned.js';

const alive = new Set<ChildProcess>();
/** Longer than any honest sample. */
const patienceMs = 120_000;
const graceMs = 50;

export interface Start {
  /** For messages about it. */
  name: string;
  cpu: number;
  command: string;
  args: string[];
  /** What becomes its descriptors from 4 on: so many further lines to talk over, or descriptors of this process. */
  more?: number | number[];
}

const pipes = (count: number) => Array.from({ length: count }, () => 'pipe' as const);

export class Measured {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<string>;
  #stderr = '';
  readonly lines: Lines;
  /** To the sides that it starts itself. */
  readonly followLines: Lines[];

  constructor({ name, cpu, command, args, more = [] }: Start) {
    this.#name = name;
    const [first, ...rest] = pinned(cpu, command, ...args);
    this.#child = spawn(first, rest, {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', ...(typeof more === 'number' ? pipes(more) : more)],
    });
    alive.add(this.#child);
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', ({ message }) => resolve(message));
      this.#child.once('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    this.#ended.then(() => alive.delete(this.#child));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (text) => {
        this.#stderr += text;
      });
    }
    this.lines = new Lines(this.#child.stdio[controlFd] as Socket);
    const sockets = this.#child.stdio.slice(followControlFd) as (Socket | null)[];
    this.followLines = sockets.flatMap((socket) => (socket === null ? [] : [new Lines(socket)]));
  }

  /** What it, or the side that it started, says next. Rejects with the reason when it has ended, or takes too long. */
  async hear<T>(lines: Lines = this.lines): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new BenchError(`${this.#name} does not answer`)), patienceMs);
    });
    try {
      return (await Promise.race([lines.next(), late])) as T;
    } catch (error) {
      if (error instanceof BenchError) throw error;
      // What it said last may still be on its way.
      this.#child.kill('SIGTERM');
      const end = await this.#ended;
      throw new BenchError(`${this.#name} ended early: ${end}\n${this.#stderr}`);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Stops it until `resume`: some peers use up their CPU for ever once they have met a full queue. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    this.lines.close();
    // With its parent gone the other side is killed, too, and with it its end is closed.
    await Promise.all(this.followLines.map(({ closed }) => closed));
  }
}

/** At the end of the bench, however it comes: returns when they have had the time to be gone. */
export function killAll(): void {
  if (alive.size === 0) return;
  for (const child of alive) child.kill('SIGKILL');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, graceMs);
}
