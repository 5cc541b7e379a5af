/** Streams of node:fs over FIFOs, which gather what waits while a write is on its way. */
import type { Buffer } from 'node:buffer';
import { createReadStream, createWriteStream } from 'node:fs';
import { pathsOf } from '../support/paths.js';
import { lanesOf } from '../support/work.js';
import type { Side, Task } from './contender.js';
import { streaming } from './streaming.js';

export function open(task: Task): Side {
  const { shape } = task;
  if (shape.kind !== 'descriptor') throw new Error(`there is no ${shape.kind} here`);
  return streaming(task, shape, (reader) => {
    const { out, back } = pathsOf(task);
    createReadStream(back).on('data', (chunk) => reader.read(chunk as Buffer, lanesOf(chunk as Buffer)));
    return createWriteStream(out);
  });
}
