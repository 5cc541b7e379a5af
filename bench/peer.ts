/**
 * A measured side, `peer.js TASK`: runs as many messages as the bench tells it, as often as it does, and sleeps in
 * between. Ends when the bench does. The C programs talk in the same way: floor/control.h.
 */
import { Socket } from 'node:net';
import { isMainThread } from 'node:worker_threads';
import { cpuOf, type Task } from './contenders/contender.js';
import { contenderById } from './contenders/registry.js';
import { Lines } from './support/lines.js';
import { pinThread } from './support/worker-follow.js';

/**
 * The answers: to `{"run":N}` a CpuReport before the run, and a SideReport when it is done; to `{"cpu":true}` a CpuReport.
 * `{"ready":true}` comes before all.
 */
export interface CpuReport {
  /** Microseconds of this process until now; of a thread that is not the main one 0. */
  cpu: number;
}

export interface SideReport extends CpuReport {
  /** Nanoseconds of CLOCK_MONOTONIC. */
  start: string;
  end: string;
  latencies?: number[];
  share?: number;
}

type Command = { run: number } | { cpu: true };

function cpu(): number {
  const { user, system } = process.cpuUsage();
  return isMainThread ? user + system : 0;
}

const task = JSON.parse(process.argv[2] as string) as Task;
const lines = new Lines(new Socket({ fd: task.control }));
lines.closed.then(() => process.exit());

if (!isMainThread) pinThread(cpuOf(task));
const module = await contenderById(task.contender).load?.();
if (module === undefined) throw new Error(`${task.contender} is no JavaScript`);
const side = await module.open(task);
lines.say({ ready: true });
for (;;) {
  const command = (await lines.next()) as Command;
  lines.say({ cpu: cpu() } satisfies CpuReport);
  if (!('run' in command)) continue;
  const preparing = side.prepare?.();
  if (preparing !== undefined) await preparing;
  const start = process.hrtime.bigint();
  const running = side.run(command.run);
  if (running !== undefined) await running;
  const end = process.hrtime.bigint();
  const report: SideReport = { start: `${start}`, end: `${end}`, cpu: cpu() };
  side.verify?.();
  // What is undefined JSON leaves out.
  lines.say({ ...report, latencies: side.latencies?.(), share: side.share?.() });
}
