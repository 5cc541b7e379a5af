/** How a lead starts its other side where that is a thread, and where the thread runs. */
import { execFileSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { followControlFd, type Task } from '../contenders/contender.js';
import { peerScript } from './fork-follow.js';

/** The other side has its end of a port as its workerData. */
export function startWorkerFollow(task: Task): MessagePort {
  const follow: Task = { ...task, role: 'follow', control: followControlFd };
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(peerScript, {
    argv: [JSON.stringify(follow)],
    workerData: port2,
    transferList: [port2],
  });
  worker.on('error', (error) => {
    throw error;
  });
  return port1;
}

/** Moves the calling thread, and no other one of its process, to a CPU. */
export function pinThread(cpu: number): void {
  const thread = basename(readlinkSync('/proc/thread-self'));
  execFileSync('taskset', ['--pid', '--cpu-list', `${cpu}`, thread], { stdio: 'ignore' });
}
