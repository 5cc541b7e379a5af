/**
 * Queues and semaphores of the system for a team: one for a pair, and two for a ping-pong. They go with the team's name,
 * which POSIX ones have themselves; those of System V have keys, which tell the bench that made them.
 */
import { MessageQueue, Semaphore, SysvMessageQueue, SysvSemaphoreSet } from 'interproc';
import type { Task } from '../contenders/contender.js';
import type { ObjectShape, Work } from '../scenarios/scenario.js';
import { removeWith } from './names.js';

/** The system's default. One who receives must have room for so much, however short the message is. */
export const queueBytes = 8192;
/** The default is ten; the queues of all contenders must stay within RLIMIT_MSGQUEUE. */
const maxMessages = 2;
const keysPerProcess = 256;

let keysMade = 0;

/** Whether the process makes objects of that key. */
export const isKeyOf = (pid: number, key: number): boolean => Math.floor(key / keysPerProcess) === pid;

/** Returns the keys of System V objects: of what the lead sends to, and of what it receives from. */
export function makeObjects(shape: ObjectShape, name: string): number[] {
  const names = namesFor(shape, name);
  if (shape.api === 'sysv') return names.map(() => makeSysv(shape, name));
  for (const each of names) makePosix(shape, each, name);
  return [];
}

function makePosix({ kind }: ObjectShape, own: string, name: string): void {
  if (kind === 'queue') {
    MessageQueue.create(own, { maxMessages, messageSize: queueBytes }).close();
    removeWith(name, () => unlessGone(() => MessageQueue.unlink(own)));
  } else {
    Semaphore.create(own, { initial: 0 }).close();
    removeWith(name, () => unlessGone(() => Semaphore.unlink(own)));
  }
}

function makeSysv({ kind }: ObjectShape, name: string): number {
  const key = process.pid * keysPerProcess + (keysMade++ % keysPerProcess);
  const object = kind === 'queue' ? SysvMessageQueue.create(key) : SysvSemaphoreSet.create(key, { count: 1 });
  removeWith(name, () => unlessGone(() => object.remove()));
  return key;
}

function unlessGone(remove: () => void): void {
  try {
    remove();
  } catch (error) {
    if (!['ENOENT', 'EINVAL', 'EIDRM'].includes((error as NodeJS.ErrnoException).code as string)) throw error;
  }
}

/** What a side sends to, and what it receives from. */
export interface Ends<T> {
  out: T;
  back: T;
}

type Named = Pick<Task, 'shape' | 'role' | 'name'>;

/** Of POSIX objects. */
export function namesOf({ shape, role, name }: Named): Ends<string> {
  return endsOf(role, namesFor(shape as ObjectShape, name));
}

/** Of System V objects. */
export function keysOf({ role, keys }: Pick<Task, 'role' | 'keys'>): Ends<number> {
  return endsOf(role, keys);
}

const namesFor = ({ work }: Work, name: string): string[] =>
  (work === 'pair' ? ['there'] : ['there', 'back']).map((which) => `${name}-${which}`);

function endsOf<T>(role: Task['role'], objects: readonly T[]): Ends<T> {
  const there = objects[0] as T;
  const back = objects[1] ?? there;
  return role === 'lead' ? { out: there, back } : { out: back, back: there };
}
