// E-mails that another process sends later: jobs in a POSIX message queue, urgent ones first. The queue keeps what nobody
// has taken, also while there is no worker. In two terminals:
//
//   node examples/queue/emails.js worker /emails     Ctrl-C: sends what is in the queue, and ends
//   node examples/queue/emails.js enqueue /emails
//
// Without arguments it starts both. `worker` may be started several times, on the same queue, and the queue stays until
// somebody removes it: MessageQueue.unlink('/emails').
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { MessageQueue } from 'interproc';

const jobs = 200;
const tries = 3;
const priorities = { again: 0, news: 1, password: 2 }; // the highest comes first
const sizes = { maxMessages: 10, messageSize: 512 }; // what fits every stock kernel

/** @typedef {{ to: string, kind: 'news' | 'password', attempt: number }} Email */

/** Where nobody takes them, `signal` ends the wait. @param {string} name @param {AbortSignal} [signal] */
async function enqueue(name, signal) {
  const queue = MessageQueue.openOrCreate(name, sizes);
  for (let number = 0; number < jobs; number++) {
    const kind = number % 10 === 9 ? 'password' : 'news';
    const email = JSON.stringify({ to: `user-${number}@example.org`, kind, attempt: 1 });
    const options = { priority: priorities[kind], ...(signal && { signal }) };
    await queue.send(email, options); // waits while the queue is full
  }
  queue.close();
}

/** Stands for a mail server that now and then says no. @param {Email} email */
async function deliver({ to, attempt }) {
  await new Promise((resolve) => setImmediate(resolve));
  if (to.startsWith('user-7') && attempt === 1) throw new Error('450 try again later');
}

/** @param {string} name */
async function work(name) {
  const queue = MessageQueue.openOrCreate(name, sizes);
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => stop.abort());
  let [sent, repeated, lost] = [0, 0, 0];
  let first = '';

  /** @param {Email} email */
  async function handle(email) {
    try {
      await deliver(email);
      first ||= email.kind;
      sent++;
    } catch {
      if (email.attempt === tries) {
        lost++;
        return;
      }
      repeated++;
      const next = { ...email, attempt: email.attempt + 1 };
      // Behind all others. Where the queue is full this must not wait: it may be we who would make the room.
      if (!queue.trySend(JSON.stringify(next), { priority: priorities.again })) await handle(next);
    }
  }

  for (;;) {
    const message = await nextOf(queue, stop.signal);
    if (message === null) break;
    await handle(JSON.parse(`${message.data}`)); // taken: if we were killed now, it would be lost
  }
  queue.close();
  console.log(
    `Sent ${sent} e-mails, first of kind '${first}'; ${repeated} were tried again, ${lost} given up.`,
  );
}

/** Waits for one until we are to stop; from then on takes what is there. @param {MessageQueue} queue @param {AbortSignal} signal */
async function nextOf(queue, signal) {
  try {
    return await queue.receive({ signal });
  } catch (error) {
    if (/** @type {Error} */ (error).name !== 'AbortError') throw error;
    return queue.tryReceive();
  }
}

const [role, name] = process.argv.slice(2);
if (name === undefined) {
  const own = `/interproc-example-${process.pid}`;
  const queue = MessageQueue.create(own, sizes);
  const gone = new AbortController();
  const enqueuing = enqueue(own, gone.signal); // the first ones go in, the next one waits: there is no worker yet
  const worker = spawn(process.execPath, [import.meta.filename, 'worker', own], { stdio: 'inherit' });
  const ended = once(worker, 'exit');
  ended.then(() => gone.abort());
  try {
    await enqueuing;
    worker.kill('SIGTERM'); // sends the rest
    await ended;
  } finally {
    queue.unlink(); // else it would stay until the machine restarts
    queue.close();
  }
} else if (role === 'worker') {
  await work(name);
} else {
  await enqueue(name);
}
