/** What a test of a room has at hand: names that nobody else uses, the second process, workers; all gone at its end. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

let count = 0;

export class TestContext {
  #room;
  #sides;
  /** @type {(() => unknown)[]} */
  #endings = [];
  /** @type {(error: Error) => void} */
  #fail = () => {};
  /** Rejects when a task fails whose end the test has not come to await. @type {Promise<never>} */
  trouble = new Promise((_, reject) => {
    this.#fail = reject;
  });

  /** @param {string} room @param {import('./sides.js').Sides} sides */
  constructor(room, sides) {
    this.#room = room;
    this.#sides = sides;
    this.trouble.catch(() => {}); // mostly nobody looks
  }

  /** Runs when the test is over, the last one first. @param {() => unknown} ending */
  after(ending) {
    this.#endings.push(ending);
  }

  /** Closes it when the test is over. @template {{ close(): void }} T @param {T} object @returns {T} */
  closing(object) {
    this.after(() => object.close());
    return object;
  }

  /** A name for an object of this kind, which is unlinked. @param {{ unlink(name: string): void }} kind */
  name(kind) {
    const name = `/interproc-smoke-${process.pid}-${++count}`;
    this.after(() => {
      try {
        kind.unlink(name);
      } catch (error) {
        if (/** @type {{ code?: string }} */ (error).code !== 'ENOENT') throw error;
      }
    });
    return name;
  }

  /** A path in a folder of its own, where nothing is yet. */
  path(file = 'file') {
    const folder = mkdtempSync(join(tmpdir(), `interproc-smoke-${process.pid}-`));
    this.after(() => rmSync(folder, { recursive: true, force: true }));
    return join(folder, file);
  }

  /** A file that is there. */
  file() {
    const path = this.path();
    writeFileSync(path, '');
    return path;
  }

  /**
   * A task of this room's `sides`, in another process.
   *
   * @param {string} task
   * @param {unknown} [args]
   * @param {{ alone?: boolean, fds?: readonly number[] }} [options]
   */
  side(task, args, options = {}) {
    const side = this.#sides.start(this.#room, task, args, options, this.#fail);
    this.after(async () => {
      if (!side.isOver) await side.kill(); // the test has failed: the next one gets a fresh process
    });
    return side;
  }

  /**
   * A task of this room's `workers`, in a worker thread: what it sends, and its end.
   *
   * @param {string} task
   * @param {unknown} [args]
   */
  worker(task, args) {
    const worker = new Worker(new URL('worker.js', import.meta.url), {
      workerData: { room: this.#room, task, args },
    });
    /** @type {any[]} */
    const inbox = [];
    /** @type {(() => void) | undefined} */
    let arrived;
    const push = (/** @type {object} */ line) => {
      inbox.push(line);
      arrived?.();
    };
    worker.on('message', push);
    worker.on('error', (error) => push({ failed: `the worker failed: ${error?.stack ?? error}` }));
    const exited = new Promise((resolve) => worker.on('exit', resolve));
    this.after(() => worker.terminate());
    const hear = async () => {
      while (inbox.length === 0) {
        await new Promise((resolve) => {
          arrived = () => resolve(undefined);
        });
      }
      const line = inbox.shift();
      if (line.failed) throw new Error(line.failed);
      return line;
    };
    return {
      /** What it sends next. @returns {Promise<any>} */
      next: async () => (await hear()).message,
      /** Waits until it has ended by itself. */
      done: async () => {
        const line = await hear();
        if (!line.done) throw new Error(`the worker sent ${JSON.stringify(line)} more`);
        await exited;
      },
      terminate: async () => {
        await worker.terminate();
      },
    };
  }

  async cleanUp() {
    /** @type {unknown[]} */
    const errors = [];
    for (const ending of this.#endings.splice(0).reverse()) {
      try {
        await ending();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
