/** How a lead starts its other side where that has to be its child. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { controlFd, cpuOf, followControlFd, type Task } from '../contenders/contender.js';
import { pinned } from './pinned.js';

export const peerScript = fileURLToPath(new URL('../peer.js', import.meta.url));

export function forkFollow(task: Task, serialization: 'json' | 'advanced'): ChildProcess {
  const follow: Task = { ...task, role: 'follow', index: 1, control: controlFd };
  const [command, ...args] = pinned(cpuOf(follow), process.execPath);
  return fork(peerScript, [JSON.stringify(follow)], {
    execPath: command,
    execArgv: args,
    serialization,
    stdio: ['ignore', 2, 2, followControlFd, 'ipc'],
  });
}
