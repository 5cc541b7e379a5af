/**
 * Processes that the statements of this folder are about: each calls what a test gives it, in the world of party-process.js, and
 * lives for all tests of a `describe`, so that hundreds of statements need a handful of processes.
 *
 * A function goes over as its source text: it sees its arguments and nothing of the file that it stands in.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach } from 'vitest';
import { isRoot, withLimits } from '../support/namespaces.js';
import { watchdogMs } from '../support/watchdog.js';
import type { World } from './party-process.js';

export type { World };

export type User = 'root' | 'nobody' | 'you';

/** As whom the statements are shown: both where that is possible, else as who runs the tests. */
export const users: User[] = isRoot ? ['root', 'nobody'] : ['you'];

/** Who has no privilege: nobody, or who runs the tests. */
export const ordinary: User = isRoot ? 'nobody' : 'you';

/** What keeps `ordinary` out of what the test has made: it is somebody else's or, if it is its own, of mode 0. */
export const forbidden = isRoot ? 0o600 : 0;

/** What a fresh login has; what the machine or its container raised would hide what everybody else meets. */
const stock = { msgqueue: 819_200, nofile: 1024 };

const script = fileURLToPath(new URL('party-process.js', import.meta.url));

export interface PartyOptions {
  /** Goes before node: `inNamespaces(…)`. */
  wrapper?: string[];
  /** Others than the stock ones (man 1 prlimit). */
  limits?: Record<string, number>;
}

export interface Party {
  readonly pid: number;
  /** Calls `act` there. Rejects with what it throws, or when the process ends. */
  run<Args extends unknown[], Result>(
    act: (world: World, ...args: Args) => Result,
    ...args: Args
  ): Promise<Awaited<Result>>;
  /** Until it calls `tell()`. */
  told(): Promise<void>;
  /** Until it sleeps in a system call. */
  asleep(): Promise<void>;
  /** Kills it; the next `run` has a new process. */
  kill(): Promise<void>;
}

interface Call {
  resolve(value: any): void;
  reject(error: Error): void;
}

interface Reply {
  id: number;
  value?: unknown;
  error?: Error;
  told?: true;
}

/** To be called in a `describe`. */
export function party(user: User, { wrapper = [], limits = {} }: PartyOptions = {}): Party {
  const calls = new Map<number, Call>();
  const listening: Call[] = [];
  let told = 0;
  let count = 0;
  let child: ChildProcess | undefined;

  function start(): ChildProcess {
    const command = [...wrapper, ...withLimits({ ...stock, ...limits }), process.execPath, script, user];
    const started = spawn(command[0] as string, command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      serialization: 'advanced', // bytes, dates, bigint
    });
    let output = '';
    for (const stream of [started.stdout, started.stderr]) {
      stream?.setEncoding('utf8').on('data', (text) => (output += text));
    }
    started.on('message', ({ id, value, error, told: here }: Reply) => {
      if (here) {
        told++;
        listening.shift()?.resolve(undefined);
        return;
      }
      const call = calls.get(id);
      calls.delete(id);
      if (error) call?.reject(Object.assign(new Error(error.message), error));
      else call?.resolve(value);
    });
    started.on('close', (code, signal) => {
      if (child === started) child = undefined;
      const error = new Error(`the process ended (${code ?? signal}):\n${output}`);
      for (const { reject } of [...calls.values(), ...listening.splice(0)]) reject(error);
      calls.clear();
    });
    return started;
  }

  function call(message: { act?: string; args: unknown[] }): Promise<any> {
    child ??= start();
    const current = child;
    const id = ++count;
    const watchdog = setTimeout(() => current.kill('SIGKILL'), watchdogMs);
    const reply = new Promise((resolve, reject) => calls.set(id, { resolve, reject }));
    current.send({ id, ...message });
    const over = reply.finally(() => clearTimeout(watchdog));
    over.catch(() => {}); // a test may look at it after others
    return over;
  }

  async function kill(): Promise<void> {
    if (child === undefined) return;
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  }

  afterEach(async () => {
    told = 0;
    // A call that is still under way belongs to a test that failed, or to one that has no more to ask.
    if (calls.size > 0) await kill();
    else if (child) await call({ args: [] });
  });
  afterAll(kill);

  return {
    get pid() {
      if (child?.pid === undefined) throw new Error('it has not been started');
      return child.pid;
    },
    run: (act, ...args) => call({ act: act.toString(), args }),
    told: async () => {
      if (told === 0) await new Promise((resolve, reject) => listening.push({ resolve, reject }));
      told--;
    },
    asleep: async () => {
      while (!/\) S /.test(readFileSync(`/proc/${child?.pid}/stat`, 'utf8'))) {
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    kill,
  };
}
