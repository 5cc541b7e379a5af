/**
 * SharedMemory itself: `create` makes a named one, and unlinks and closes it; `attach` opens one that
 * is there, shows its buffer, and closes it; `resize` makes one twice as large and as small as before, in turns.
 * Buffers are given back by the garbage collector, to which a loop must yield: that is part of what is timed.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { SharedMemory } from 'interproc';
import type { MemoryCalls } from '../scenarios/scenario.js';
import type { Side, Task } from './contender.js';

const callsPerTurn = 64;

export function openMemory(task: Task, { call, bytes }: MemoryCalls): Side {
  const one = calls[call](task.name, bytes);
  return {
    run: async (count) => {
      for (let number = 1; number <= count; number++) {
        one();
        if (number % callsPerTurn === 0) await turn();
      }
    },
  };
}

function show(memory: SharedMemory, bytes: number): void {
  if (memory.buffer.byteLength !== bytes)
    throw new Error(`${memory.buffer.byteLength} bytes, and not ${bytes}`);
}

const calls: Record<MemoryCalls['call'], (name: string, bytes: number) => () => void> = {
  create: (name, bytes) => () => {
    const memory = SharedMemory.create(name, { size: bytes });
    memory.unlink();
    memory.close();
  },
  attach: (name, bytes) => () => {
    const memory = SharedMemory.open(name);
    show(memory, bytes);
    memory.close();
  },
  resize: (name, bytes) => {
    const memory = SharedMemory.create(name, { size: bytes });
    memory.unlink();
    let size = bytes;
    return () => {
      size = size === bytes ? 2 * bytes : bytes;
      memory.resize(size);
      show(memory, size);
    };
  },
};
