/**
 * Processes and workers that end while they have objects: with code 0, without a signal and without a word.
 *
 * Each step of each kind (ends/) is reached in a process of its own that comes to its end by itself, and in a worker of its own
 * that does. Those that are ended, by process.exit() and terminate(), meet all of a kind's steps together, and each call that waits
 * or blocks alone; and the process exits while workers are at all of them.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Channel, SysvMessageQueue, SysvSemaphoreSet } from 'interproc';
import { afterAll, describe, expect, it } from 'vitest';
import { prefix, tempDir } from '../support/names.js';
import { runProgram } from '../support/peer.js';
import { channel } from './ends/channel.js';
import { memory } from './ends/memory.js';
import { pipe } from './ends/pipe.js';
import { queue } from './ends/queue.js';
import { semaphore } from './ends/semaphore.js';
import type { End, Order, Script } from './ends/side.js';
import { socket } from './ends/socket.js';
import { sync } from './ends/sync.js';
import type { Kind } from './ends/table.js';

const kinds = { ...memory, ...pipe, ...socket, ...queue, ...semaphore, ...sync, ...channel };
const side = fileURLToPath(new URL('ends/side.js', import.meta.url));
const keyBase = (process.pid & 0x7fff) << 16;

afterAll(() => {
  // What a worker that is terminated can't remove.
  for (const kind of [SysvMessageQueue, SysvSemaphoreSet]) {
    for (const { id, key } of kind.list()) if (key !== null && (key & ~0xffff) === keyBase) kind.remove(id);
  }
  for (const { name } of Channel.list()) if (name.includes(`${prefix}end-`)) Channel.unlink(name);
});

let count = 0;

/** Names that nothing else has. */
function scriptOf(source: string, folder: string): Script {
  count++;
  return { source, name: `/${prefix}end-${count}`, key: keyBase | count, path: join(folder, String(count)) };
}

interface Case {
  what: string;
  order: Order;
}

/** All ends of a kind. */
function casesOf({ make, steps, stays = {}, blocks = {} }: Kind, folder: string): Case[] {
  const script = (source: string) => scriptOf(`${make}\n${source}`, folder);
  const together = (sources: Record<string, string>) => Object.values(sources).map(script);
  const each = (sources: Record<string, string>, end: End) =>
    Object.values(sources).map((source) => ({ end, scripts: [script(source)] }));
  const blocked = () =>
    Object.values(blocks).map((source) => ({
      end: 'stays' as const,
      scripts: [script(`there(); ${source}`)],
    }));
  const orders: Record<string, Case['order']> = {
    'all in one process that exits': { end: 'exits', scripts: together(steps) },
    'workers that come to their end': { end: 'runs out', workers: each(steps, 'runs out') },
    'workers that are terminated': {
      end: 'runs out',
      workers: [{ end: 'stays', scripts: together(steps) }, ...each(stays, 'stays'), ...blocked()],
    },
    'workers that exit': {
      end: 'runs out',
      workers: [{ end: 'exits', scripts: together(steps) }, ...each(stays, 'exits')],
    },
    'a process that exits while workers are inside': {
      end: 'runs out',
      inside: true,
      workers: [{ end: 'stays', scripts: together(steps) }, ...each(stays, 'stays'), ...blocked()],
    },
  };
  for (const [step, source] of Object.entries(steps))
    orders[`${step}, comes to its end`] = { end: 'runs out', scripts: [script(source)] };
  for (const [step, source] of Object.entries(stays))
    orders[`${step}, exits`] = { end: 'exits', scripts: [script(source)] };
  return Object.entries(orders).map(([what, order]) => ({ what, order }));
}

async function run({ what, order }: Case) {
  const args = ['--expose-gc', side, JSON.stringify(order)];
  const { code, signal, stderr } = await runProgram(process.execPath, args);
  return { what, code, signal, stderr };
}

/** Two at a time. */
async function runAll(cases: Case[]) {
  const left = cases.entries();
  const exits: Awaited<ReturnType<typeof run>>[] = [];
  const work = async () => {
    for (const [index, each] of left) exits[index] = await run(each);
  };
  await Promise.all([work(), work()]);
  return exits;
}

describe('a process or worker that ends ends well at each step of', () => {
  it.each(Object.entries(kinds))('a %s', async (_, kind) => {
    const folder = tempDir();
    const failed = (await runAll(casesOf(kind, folder))).filter(
      ({ code, signal, stderr }) => code !== 0 || signal !== null || stderr !== '',
    );
    expect(failed).toEqual([]);
  });
});
