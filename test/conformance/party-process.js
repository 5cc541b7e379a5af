/**
 * A process of party.ts: calls the functions that it is sent, one after the other begins, as the user that it is told to be
 * and with the umask of a fresh login.
 */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { Worker } from 'node:worker_threads';
import * as interproc from 'interproc';

if (process.argv[2] === 'nobody') {
  process.setgroups?.([]);
  process.setgid?.(65534);
  process.setuid?.(65534);
}
process.umask(0o022);

/** @param {unknown} message */
const send = (message) =>
  /** @type {Promise<void>} */ (new Promise((sent) => process.send?.(message, () => sent())));

/** @param {any} error */
const described = ({ name, code, errno, syscall, path, message }) => ({
  name,
  code,
  errno,
  syscall,
  path,
  message,
});

/** @type {(() => void)[]} */
let cleanups = [];

/**
 * The same functions, that don't narrow types: those need a name that is declared with its type.
 *
 * @typedef {(actual: unknown, expected: unknown, message?: string) => void} Compare
 * @typedef {{ ok(value: unknown, message?: string): void, match(text: string, pattern: RegExp): void, equal: Compare,
 *   notEqual: Compare, deepEqual: Compare }} Assert
 */

const tools = {
  assert: /** @type {Assert} */ (assert),
  fs,
  Worker,
  /**
   * What a test keeps from one call to the next.
   *
   * @type {Record<string, any>}
   */
  mine: {},
  /**
   * Closes it after the test.
   *
   * @template {{ close(): void }} T @param {T} object
   */
  closing: (object) => {
    cleanups.push(() => object.close());
    return object;
  },
  /**
   * Removes a System V object, if it is still there, and closes it after the test.
   *
   * @template {{ remove(): void, close(): void, closed: boolean }} T @param {T} object
   */
  removing: (object) => {
    cleanups.push(() => {
      try {
        if (!object.closed) object.remove();
      } catch (error) {
        assert.match(/** @type {any} */ (error).code, /^E(IDRM|INVAL)$/);
      }
      object.close();
    });
    return object;
  },
  /**
   * What a call throws or rejects with, as far as it can be sent; undefined where it doesn't.
   *
   * @param {() => unknown} call
   */
  failureOf: async (call) => {
    try {
      await call();
    } catch (error) {
      return described(error);
    }
    return undefined;
  },
  /** Tells the test that it is there: for calls that block this thread afterwards. */
  tell: () => send({ told: true }),
  /** Attributes of a POSIX queue that leave room for many, within the limits of any user. */
  small: { maxMessages: 4, messageSize: 64 },
};

const world = { ...interproc, ...tools };

/** @typedef {typeof world} World */

process.on(
  'message',
  async (/** @type {{ id: number, act?: string, args: unknown[] }} */ { id, act, args }) => {
    try {
      if (act === undefined) {
        for (const cleanup of cleanups.splice(0).reverse()) cleanup();
        tools.mine = world.mine = {};
        process.removeAllListeners('SIGUSR1');
      }
      const value = act === undefined ? undefined : await new Function(`return ${act}`)()(world, ...args);
      await send({ id, value });
    } catch (error) {
      await send({ id, error: { ...described(error), stack: /** @type {Error} */ (error).stack } });
    }
  },
);
