/**
 * The second process of a test. Most tests share one, which does tasks one after the other: to start a runtime takes
 * longer than most tests, and minutes where a processor is emulated. One that gets descriptors or is killed is
 * alone. A task talks to its test in lines of JSON.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/**
 * How a second process is started: with this very runtime, unless told otherwise.
 *
 * @returns {string[]}
 */
function command() {
  const given = process.env.INTERPROC_SMOKE_COMMAND;
  if (given) return JSON.parse(given);
  return 'deno' in process.versions ? [process.execPath, 'run', '-A'] : [process.execPath];
}

class SideProcess {
  /** @type {string[]} */
  #lines = [];
  /** @type {(() => void) | undefined} */
  #arrived;
  #child;
  /** How it ended. @type {string | undefined} */
  over;
  /** Is told what went wrong as soon as it is known. @type {((error: Error) => void) | undefined} */
  onTrouble;
  /** What it said when it failed. */
  #stderr = '';
  /** @type {Promise<string>} */
  exited;

  /** @param {readonly number[]} fds what it gets as its descriptors 3, 4, … */
  constructor(fds) {
    const [program = '', ...args] = command();
    const script = fileURLToPath(new URL('side.js', import.meta.url));
    this.#child = spawn(program, [...args, script], { stdio: ['pipe', 'pipe', 'pipe', ...fds] });
    const { stdin, stdout, stderr } =
      /** @type {import('node:child_process').ChildProcessWithoutNullStreams} */ (this.#child);
    stdin.on('error', () => {}); // it has ended, which is told below
    stderr.setEncoding('utf8').on('data', (text) => {
      this.#stderr += text;
    });
    createInterface({ input: stdout }).on('line', (line) => {
      this.#lines.push(line);
      this.#arrived?.();
      const { failed } = JSON.parse(line);
      if (failed) this.onTrouble?.(new Error(failed));
    });
    this.exited = new Promise((resolve) => {
      const end = (/** @type {string} */ how) => {
        this.over ??= how;
        this.#arrived?.();
        this.onTrouble?.(this.#ended());
        resolve(this.over);
      };
      this.#child.on('error', (error) => end(String(error)));
      this.#child.on('close', (code, signal) => end(String(signal ?? code)));
    });
  }

  get pid() {
    return /** @type {number} */ (this.#child.pid);
  }

  /** @param {object} line */
  say(line) {
    this.#child.stdin?.write(`${JSON.stringify(line)}\n`);
  }

  /** The next line that it says; rejects where it ends before. */
  async hear() {
    while (this.#lines.length === 0) {
      if (this.over !== undefined)
        throw new Error(`the second process ended (${this.over})\n${this.#stderr}`);
      await new Promise((resolve) => {
        this.#arrived = () => resolve(undefined);
      });
    }
    return JSON.parse(/** @type {string} */ (this.#lines.shift()));
  }

  #ended() {
    return new Error(`the second process ended (${this.over})\n${this.#stderr}`);
  }

  /** Lets it end by itself. */
  async end() {
    this.#child.stdin?.end();
    const how = await this.exited;
    if (how !== '0') throw new Error(`the second process ended with ${how} and not with 0\n${this.#stderr}`);
  }

  async kill() {
    try {
      // By its pid: `kill()` of Deno's child closes its stdin before, at which it may end by itself, with code 0.
      process.kill(this.pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
    return this.exited;
  }
}

/** A task that runs in the second process. */
export class Side {
  #process;
  #alone;

  /** @param {SideProcess} process @param {boolean} alone @param {(error: Error) => void} onTrouble */
  constructor(process, alone, onTrouble) {
    this.#process = process;
    this.#alone = alone;
    process.onTrouble = onTrouble;
  }

  get isOver() {
    return this.#process.onTrouble === undefined;
  }

  #over() {
    this.#process.onTrouble = undefined;
  }

  get pid() {
    return this.#process.pid;
  }

  /** @param {unknown} message what `next()` of the task gives */
  send(message) {
    this.#process.say({ message });
  }

  /** What the task sends next. @returns {Promise<any>} */
  async next() {
    const line = await this.#process.hear();
    if ('message' in line) return line.message;
    this.#over();
    throw new Error(line.failed ?? 'the task ended and sent nothing more');
  }

  /** Waits until the task is done; and its process has ended well, if it is its own. */
  async done() {
    const line = await this.#process.hear();
    if (line.failed) throw new Error(line.failed);
    if (!line.done) throw new Error(`the task sent ${JSON.stringify(line)} more`);
    this.#over();
    if (this.#alone) await this.#process.end();
  }

  /** Kills its process: SIGKILL. */
  async kill() {
    this.#over();
    return this.#process.kill();
  }
}

export class Sides {
  /** @type {SideProcess | undefined} */
  #shared;

  /**
   * @param {string} room
   * @param {string} task one of the room's `sides`
   * @param {unknown} args
   * @param {{ alone?: boolean, fds?: readonly number[] }} options
   * @param {(error: Error) => void} onTrouble is told when the task fails or its process ends, until it is over
   */
  start(room, task, args, { alone = false, fds = [] }, onTrouble) {
    const isAlone = alone || fds.length > 0;
    if (!isAlone && (this.#shared === undefined || this.#shared.over !== undefined)) {
      this.#shared = new SideProcess([]);
    }
    const process = isAlone ? new SideProcess(fds) : /** @type {SideProcess} */ (this.#shared);
    const side = new Side(process, isAlone, onTrouble);
    process.say({ run: { room, task, args } });
    return side;
  }

  /** Lets the shared one end; rejects unless it does so with code 0. */
  async end() {
    const shared = this.#shared;
    this.#shared = undefined;
    if (shared !== undefined && shared.over === undefined) await shared.end();
  }
}
