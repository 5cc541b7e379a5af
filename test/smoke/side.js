// The second process: does the tasks that its parent names, one after the other, until its stdin ends.
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** @param {object} line */
const say = (line) => void writeSync(1, `${JSON.stringify(line)}\n`);

/** @type {unknown[]} */
const inbox = [];
/** @type {((message: any) => void)[]} */
const waiting = [];

/** @param {any} args what the test gave along */
const context = (args) => ({
  args,
  /** @param {unknown} message */
  send: (message) => say({ message }),
  /** What the test sends next. @returns {Promise<any>} */
  next: () =>
    inbox.length > 0 ? Promise.resolve(inbox.shift()) : new Promise((resolve) => waiting.push(resolve)),
});

/** @typedef {ReturnType<typeof context>} SideContext */

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { run, message } = JSON.parse(line);
  if (run === undefined) {
    const first = waiting.shift();
    if (first) first(message);
    else inbox.push(message);
    return;
  }
  try {
    const { sides } = await import(`./rooms/${run.room}.js`);
    await sides[run.task](context(run.args));
    say({ done: true });
  } catch (error) {
    say({ failed: `${run.task}, in the second process: ${error instanceof Error ? error.stack : error}` });
  }
});
