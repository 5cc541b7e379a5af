/**
 * node:net over pipes, FIFOs and stream sockets: one write a message, from buffers that are used again; reads into one
 * buffer (`onread`).
 */
import { open } from 'node:fs';
import { Socket } from 'node:net';
import { promisify } from 'node:util';
import type { DescriptorCalls } from '../scenarios/scenario.js';
import { pathsOf } from '../support/paths.js';
import type { Side, Task } from './contender.js';
import { readInto } from './net.js';
import { streaming } from './streaming.js';

export async function openDescriptors(task: Task, shape: DescriptorCalls): Promise<Side> {
  const [out, back] = shape.transport === 'fifo' ? await openFifos(task) : task.handed;
  return streaming(task, shape, (reader) => {
    // What net.connect hands on to this constructor, whose types don't know it.
    const reading = { fd: back ?? out, writable: back === undefined, onread: readInto(reader) };
    const socket = new Socket(reading);
    return back === undefined ? socket : new Socket({ fd: out, readable: false });
  });
}

const openFd = promisify(open);

function openFifos(task: Task): Promise<number[]> {
  const { out, back } = pathsOf(task);
  return Promise.all([openFd(out, 'w'), openFd(back, 'r')]);
}
