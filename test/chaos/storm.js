/**
 * The storm: the sender and the receiver of a channel are killed (SIGKILL) at random moments and replaced, over and
 * over, while messages go through it; on a channel with a name, which nobody holds open besides, and on one without.
 * Some sides are worker threads, which are terminated. At the end each message is accounted for.
 *
 *   node test/chaos/storm.js --kills 500 --seed 7 --capacity 4096 --json FILE
 *
 * The seed decides who is killed after how long, and what each side does; how far it gets until then is for the
 * machine. Exits with 1 when something was lost, torn, delivered again without its flag or after it was finished, or
 * out of order; when a side fails; and when nothing moves for 30 s.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Channel, SharedMemory } from 'interproc';
import { seeded } from '../support/seeded.js';
import { Ledger, ledgerSize } from './ledger.js';
import { after, now, stormOptions, summary, tellChecks, tellTimes, wholeNumber } from './storms.js';

/** @typedef {'sender' | 'receiver'} Side */
/** @typedef {{ process: import('node:child_process').ChildProcess, worker: boolean, over: Promise<unknown[]>, here: Promise<void>, says(): Promise<void>, killed: boolean }} Child */

const patienceMs = 30_000;
const sideScript = fileURLToPath(new URL('side.js', import.meta.url));
const prefix = `chaos-${process.pid}-`;
/** @type {readonly Side[]} */
const bothSides = ['sender', 'receiver'];
/** What has to be 0. */
const wrongs = /** @type {const} */ ([
  'lost',
  'torn',
  'disordered',
  'unflagged',
  'unfinished',
  'misflagged',
  'senderErrors',
  'receiverErrors',
]);

const { values: options } = parseArgs({
  options: {
    ...stormOptions,
    capacity: { type: 'string' },
  },
});

const kills = wholeNumber('kills', options.kills, 1);
const seed = wholeNumber('seed', options.seed, 0);
const capacity = options.capacity === undefined ? undefined : wholeNumber('capacity', options.capacity, 64);

/** @type {Set<import('node:child_process').ChildProcess>} */
const living = new Set();

/** One channel, with its two sides. */
class Arena {
  /** @param {{ label: string, named: boolean, seed: number, capacity: number, kills: number }} setup */
  constructor({ label, named, seed: start, capacity: bytes, kills: most }) {
    this.label = label;
    this.name = named ? `${prefix}${label}` : null;
    this.capacity = bytes;
    this.killsLeft = most;
    this.kills = 0;
    this.terminated = 0;
    this.over = false;
    this.random = seeded(start);
    this.memory = SharedMemory.anonymous({ size: ledgerSize });
    this.ledger = new Ledger(this.memory.buffer);
    /** @type {Partial<Record<Side, Child>>} */
    this.running = {};
    if (this.name === null) {
      this.channel = Channel.anonymous({ capacity: bytes });
    } else {
      // Nobody holds it open besides: at times all of its participants are dead.
      Channel.create(this.name, { capacity: bytes, persist: true }).close();
    }
  }

  /** Starts a side that does nothing yet. @param {Side} side @returns {Child} */
  spawn(side) {
    const worker = this.random(8) === 0;
    const setup = { side, worker, name: this.name, seed: this.random(2 ** 31) };
    const child = spawn(process.execPath, [sideScript, JSON.stringify(setup)], {
      stdio: ['pipe', 'pipe', 'inherit', this.memory.fd, ...(this.channel ? [this.channel.fd] : [])],
    });
    living.add(child);
    const over = once(child, 'exit').finally(() => living.delete(child));
    child.stdin?.on('error', () => {}); // it was killed before it read
    const said = child.stdout;
    if (said === null) throw new Error('no stdout');
    const says = async () => void (await once(said, 'data'));
    return { process: child, worker, over, killed: false, here: says(), says };
  }

  /** Runs one side until all kills are used up, and leaves it running. @param {Side} side */
  async run(side) {
    let standby = this.spawn(side);
    for (;;) {
      const child = standby;
      this.running[side] = child;
      const ended = child.over.then(([code, signal]) => {
        if (!child.killed && !this.over) throw new Error(`the ${side} ended by itself: ${code ?? signal}`);
      });
      ended.catch(() => {});
      await Promise.race([child.here, ended]);
      let ready = child.says();
      child.process.stdin?.write('g');
      // Its successor is at hand when it is killed.
      const last = this.killsLeft === 0;
      if (!last) standby = this.spawn(side);
      for (;;) {
        await Promise.race([ready, ended]);
        if (last) return;
        // At times on its way in; else while messages flow, when its successor is at hand.
        const early = this.random(4) === 0;
        if (!early) await Promise.race([standby.here, ended]);
        await Promise.race([after(this.random(early ? 3 : 20)), ended]);
        if (this.killsLeft === 0) return void standby.process.kill('SIGKILL');
        this.killsLeft--;
        this.kills++;
        this.ledger.set(`${side}KilledAt`, now());
        if (!child.worker || this.random(2) === 0) break;
        this.terminated++;
        ready = child.says();
        child.process.stdin?.write('t');
      }
      child.killed = true;
      child.process.kill('SIGKILL');
      await child.over;
      // At times there is nobody for a while.
      if (this.random(2) === 0) await after(this.random(20));
    }
  }

  /** Lets them come to an end, and closes the account. */
  async finish() {
    this.over = true;
    this.ledger.set('stop', 1);
    for (const side of bothSides) {
      const [code, signal] = await /** @type {Child} */ (this.running[side]).over;
      if (code !== 0) this.ledger.complain(`the ${side} ended with ${code ?? signal}`);
      if (code !== 0) this.ledger.add(`${side}Errors`);
    }
    const channel = this.channel ?? Channel.openSync(/** @type {string} */ (this.name));
    const stats = channel.stats();
    const others = channel.participants().length - 1;
    channel.close();
    this.remove();
    // What was published and never came at all.
    this.ledger.add('lost', stats.published - this.ledger.get('handed'));
    if (stats.published !== stats.received || others !== 0) {
      this.ledger.add('receiverErrors');
      this.ledger.complain(`at the end ${others} others take part, and ${JSON.stringify(stats)}`);
    }
    return stats.published;
  }

  remove() {
    if (this.name !== null) Channel.unlink(this.name);
  }

  /** What is known of it when it hangs. */
  describe() {
    const lines = [`${this.label}: ${JSON.stringify(this.ledger)}`];
    try {
      const channel = this.channel ?? Channel.tryOpen(this.name ?? '', { readOnly: true });
      lines.push(JSON.stringify(channel?.stats()), JSON.stringify(channel?.participants()));
    } catch (error) {
      lines.push(String(error));
    }
    for (const side of bothSides) {
      const { pid } = this.running[side]?.process ?? {};
      const look = (/** @type {string} */ file) => {
        try {
          return readFileSync(`/proc/${pid}/${file}`, 'utf8').trim();
        } catch {
          return 'gone';
        }
      };
      lines.push(`${side} ${pid}: ${look('wchan')} ${look('syscall')} ${look('schedstat')}`);
    }
    return lines.join('\n  ');
  }
}

/** Rejects when one of the arenas makes no progress. @param {Arena[]} arenas */
function stalled(arenas) {
  const last = arenas.map(() => ({ progress: '', at: now() }));
  return new Promise((_, reject) => {
    setInterval(() => {
      for (const [index, arena] of arenas.entries()) {
        const then = /** @type {{ progress: string, at: number }} */ (last[index]);
        const progress = `${arena.kills} ${arena.ledger.get('handed')}`;
        if (progress !== then.progress) last[index] = { progress, at: now() };
        else if (now() - then.at > patienceMs) reject(new Error(`${arena.label}: nothing moves any more`));
      }
    }, 1000).unref();
  });
}

/** @param {Arena[]} arenas @param {number[]} published @param {number} tookMs */
function report(arenas, published, tookMs) {
  /** @param {import('./ledger.js').Field} field */
  const sum = (field) => arenas.reduce((total, { ledger }) => total + ledger.get(field), 0);
  /** @param {import('./ledger.js').Series} name */
  const times = (name) => summary(arenas.flatMap(({ ledger }) => ledger.samples(name)));
  const result = {
    seed,
    kills: arenas.reduce((total, arena) => total + arena.kills, 0),
    terminatedWorkers: arenas.reduce((total, arena) => total + arena.terminated, 0),
    seconds: Math.round(tookMs / 100) / 10,
    sent: sum('sent'),
    published: published.reduce((total, each) => total + each, 0),
    received: sum('handed'),
    twice: sum('twice'),
    early: sum('early'),
    ...Object.fromEntries(wrongs.map((field) => [field, sum(field)])),
    milliseconds: {
      senderNoticedReceiver: times('senderNoticed'),
      receiverNoticedSender: times('receiverNoticed'),
      // From the start of the successor until a message has come from it, or to it.
      senderTookOver: times('senderTookOver'),
      receiverTookOver: times('receiverTookOver'),
      // From the kill on: with the starts of processes, and with those that were killed on their way in.
      senderReplaced: times('senderReplaced'),
      receiverReplaced: times('receiverReplaced'),
    },
    checks: [
      ...arenas.flatMap(({ label, ledger }) =>
        wrongs.map((field) => ({ name: `${label}: ${field}`, ok: ledger.get(field) === 0 })),
      ),
      { name: 'all kills', ok: arenas.every(({ killsLeft }) => killsLeft === 0) },
      { name: 'nothing left', ok: !readdirSync('/dev/shm').some((name) => name.includes(prefix)) },
    ],
  };
  for (const { label, ledger } of arenas)
    if (ledger.complaint !== '') console.error(`${label}: ${ledger.complaint}`);
  tellTimes(result.milliseconds);
  const rate = Math.round((result.kills / tookMs) * 1e4) / 10;
  console.log(`${result.seconds} s, ${rate} kills/s, ${result.terminatedWorkers} of them of worker threads`);
  const flags = sum('unflagged') === 0 ? 'all flagged' : `${sum('unflagged')} not flagged`;
  console.log(
    `chaos: kills ${result.kills}, sent ${result.sent}, published ${result.published}, received ${result.received}, ` +
      `lost ${sum('lost')}, twice ${result.twice} (${flags}), torn ${sum('torn')}, out of order ${sum('disordered')}`,
  );
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
  tellChecks(result.checks);
}

console.log(`seed ${seed}`);
const random = seeded(seed);
const arenas = [
  { label: 'named', named: true, capacity: capacity ?? 4096, kills: Math.ceil(kills / 2) },
  { label: 'anonymous', named: false, capacity: capacity ?? 512, kills: Math.floor(kills / 2) },
].map((setup) => new Arena({ ...setup, seed: random(2 ** 31) }));

process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL');
  for (const arena of arenas) {
    try {
      arena.remove();
    } catch {
      // It is gone, as it should be.
    }
  }
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

const start = now();
try {
  const all = Promise.all(
    arenas.map(async (arena) => {
      await Promise.all(bothSides.map((side) => arena.run(side)));
      return arena.finish();
    }),
  );
  const published = /** @type {number[]} */ (await Promise.race([all, stalled(arenas)]));
  report(arenas, published, now() - start);
} catch (error) {
  console.error(error instanceof Error ? error.stack : error);
  for (const arena of arenas) console.error(`${arena.describe()}\n  ${arena.ledger.complaint}`);
  console.log('0 passed, 1 failed');
  process.exit(1);
}
