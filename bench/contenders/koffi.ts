/** koffi, which calls the functions of C: those that block on its thread, or on one of libuv's pool. */
import type { Side, Task } from './contender.js';

export async function open(task: Task): Promise<Side> {
  const { shape } = task;
  if (shape.kind === 'queue') return (await import('./koffi-queues.js')).openQueues(task, shape);
  if (shape.kind === 'semaphore') return (await import('./koffi-semaphores.js')).openSemaphores(task, shape);
  throw new Error(`there is no ${shape.kind} here`);
}
