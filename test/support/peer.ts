/**
 * Other processes for tests: a peer runs a script of its own, talks over Node's IPC channel and is waited for
 * by its events, never by time. Each has a watchdog and is killed when the test ends.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { watchdogMs } from './watchdog.js';

const packageRoot = fileURLToPath(new URL('../..', import.meta.url));

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface PeerOptions {
  /** Reach the script as `args`. */
  args?: unknown[];
  /** For node itself. */
  execArgv?: string[];
  env?: NodeJS.ProcessEnv;
  /** Goes before node: `['unshare', '-m', …]`. */
  wrapper?: string[];
  /** Descriptors that the peer gets as 4, 5, … */
  fds?: number[];
}

export interface Peer {
  readonly process: ChildProcess;
  /** The next message that it sends; rejects, with its stderr, if it ends before. */
  next(): Promise<any>;
  send(message: unknown): void;
  readonly exited: Promise<Exit>;
}

/** How a peer ends that found everything as it should be. */
export const clean = { code: 0, signal: null, stderr: '' };

/**
 * Starts `source`, an ES module with top-level await. At hand in it are `assert`, the classes of `interproc`, `args`,
 * `send(message)`, `next()` (the next message of the test) and `hold(object)`, which gives it back and keeps it from
 * being collected, and so closed, while the peer does something else.
 */
export function startPeer(source: string, options: PeerOptions = {}): Peer {
  const { args = [], execArgv = [], env = {}, wrapper = [], fds = [] } = options;
  const script = `
    import assert from 'node:assert/strict';
    import { ${exported.join(', ')} } from 'interproc';
    const args = ${JSON.stringify(args)};
    const send = (message) => new Promise((sent) => process.send(message, sent));
    const inbox = [];
    const waiting = [];
    process.on('message', (message) => (waiting.shift() ?? ((m) => inbox.push(m)))(message));
    process.channel.unref();
    globalThis.held = [];
    const hold = (object) => (held.push(object), object);
    const next = async () => {
      if (inbox.length > 0) return inbox.shift();
      process.channel.ref();
      const message = await new Promise((resolve) => waiting.push(resolve));
      process.channel.unref();
      return message;
    };
    ${source}`;
  const [command, ...rest] = [...wrapper, process.execPath, ...execArgv, '--input-type=module', '-e', script];
  const stdio: StdioOptions = ['ignore', 'pipe', 'pipe', 'ipc', ...fds];
  const child = spawn(command as string, rest, { cwd: packageRoot, stdio, env: { ...process.env, ...env } });
  return watch(child);
}

const exported = [
  'createPipe',
  'Fifo',
  'PipeReader',
  'PipeWriter',
  'socketPair',
  'UnixDatagram',
  'UnixSeqpacket',
  'UnixSeqpacketServer',
  'UnixStream',
  'UnixStreamServer',
  'Channel',
  'SharedMemory',
  'MappedFile',
  'SysvSharedMemory',
  'ftok',
  'MessageQueue',
  'SysvMessageQueue',
  'Semaphore',
  'SysvSemaphoreSet',
  'IpcError',
  'waitOn',
  'waitOnSync',
  'wake',
  'Mutex',
  'RwLock',
  'Condition',
  'Barrier',
  'SharedEvent',
  'Once',
  'features',
  'isSupported',
];

/** Runs `source` to its end. */
export function runPeer(source: string, options: PeerOptions = {}): Promise<Exit> {
  return startPeer(source, options).exited;
}

/** Runs any program to its end. */
export function runProgram(
  command: string,
  args: string[],
  stdio: StdioOptions = ['ignore', 'pipe', 'pipe'],
): Promise<Exit> {
  return watch(spawn(command, args, { cwd: packageRoot, stdio })).exited;
}

/** Where lines are counted, Node itself tells that a worker was terminated as it wrote its counters. */
const ofCounters = /^.*\bcoverage profile (?:message|result|response)\b.*\n/gm;
const isCounted = process.env.NODE_V8_COVERAGE !== undefined;

function watch(child: ChildProcess): Peer {
  const inbox: unknown[] = [];
  const waiting: { resolve(message: unknown): void; reject(error: Error): void }[] = [];
  let stdout = '';
  let stderr = '';
  let over: Exit | undefined;
  const watchdog = setTimeout(() => child.kill('SIGKILL'), watchdogMs);
  child.stdout?.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text) => (stderr += text));
  child.on('message', (message) => {
    const first = waiting.shift();
    if (first) first.resolve(message);
    else inbox.push(message);
  });
  const ended = (exit: Exit) => new Error(`the peer ended (${exit.code ?? exit.signal}):\n${exit.stderr}`);
  const exited = new Promise<Exit>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(watchdog);
      over = { code, signal, stdout, stderr: isCounted ? stderr.replace(ofCounters, '') : stderr };
      for (const { reject: fail } of waiting.splice(0)) fail(ended(over));
      resolve(over);
    });
  });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited.catch(() => {});
  });
  return {
    process: child,
    next: () =>
      new Promise((resolve, reject) => {
        if (inbox.length > 0) resolve(inbox.shift());
        else if (over) reject(ended(over));
        else waiting.push({ resolve, reject });
      }),
    send: (message) => void child.send(message as object),
    exited,
  };
}
