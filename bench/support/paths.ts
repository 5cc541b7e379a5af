/** The names of FIFOs, and of sockets: what each side sends to, and where it receives. */
import { join } from 'node:path';
import type { Task } from '../contenders/contender.js';

export interface Paths {
  out: string;
  back: string;
}

export function pathsOf({ role, folder, name }: Pick<Task, 'role' | 'folder' | 'name'>): Paths {
  const there = join(folder, name);
  const back = `${there}-back`;
  return role === 'lead' ? { out: there, back } : { out: back, back: there };
}
