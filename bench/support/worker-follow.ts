/** How a lead starts another side where that is a thread, and where the thread runs. */
import { execFileSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { followControlFd, type Task } from '../contenders/contender.js';
import { peerScript } from './fork-follow.js';

/** `index`: which side it is; `workerData`: what it finds under that name. */
export function startWorkerFollow(
  task: Task,
  { index = 1, ...options }: { index?: number; workerData: unknown; transferList?: MessagePort[] },
): void {
  const follow: Task = { ...task, role: 'follow', index, control: followControlFd + index - 1 };
  const worker = new Worker(peerScript, { argv: [JSON.stringify(follow)], ...options });
  worker.on('error', (error) => {
    throw error;
  });
}

/** The other side has its end of a port as its workerData. */
export function startWithPort(task: Task): MessagePort {
  const { port1, port2 } = new MessageChannel();
  startWorkerFollow(task, { workerData: port2, transferList: [port2] });
  return port1;
}

/** Moves the calling thread, and no other one of its process, to a CPU. */
export function pinThread(cpu: number): void {
  const thread = basename(readlinkSync('/proc/thread-self'));
  execFileSync('taskset', ['--pid', '--cpu-list', `${cpu}`, thread], { stdio: 'ignore' });
}
