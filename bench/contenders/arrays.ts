/** Loops over int32: of shared memory (interproc), or of an array as any other. */
import { SharedMemory } from 'interproc';
import type { MappedLoops } from '../scenarios/scenario.js';
import type { Side, Task } from './contender.js';

export function open({ shape, contender }: Task): Side {
  if (shape.kind !== 'mapped') throw new Error(`there is no ${shape.kind} here`);
  const make =
    contender === 'interproc'
      ? (bytes: number) => new Int32Array(SharedMemory.anonymous({ size: bytes }).buffer)
      : (bytes: number) => new Int32Array(bytes / 4);
  return loops[shape.loop](make(shape.bytes), make(shape.bytes));
}

const loops: Record<MappedLoops['loop'], (array: Int32Array, other: Int32Array) => Side> = {
  sum: (array) => {
    array.forEach((_, at) => {
      array[at] = at;
    });
    const expected = array.reduce((sum, value) => (sum + value) | 0, 0);
    return {
      run: (count) => {
        for (let pass = 0; pass < count; pass++) {
          if (sumOf(array) !== expected) throw new Error('the sum is wrong');
        }
      },
    };
  },
  fill: (array) => {
    let last = 0;
    return {
      run: (count) => {
        for (let pass = 0; pass < count; pass++) fill(array, pass);
        last = count - 1;
      },
      verify: () => {
        if (array.some((value, at) => value !== ((last + at) | 0))) throw new Error('it is filled wrong');
      },
    };
  },
  copy: (array, other) => {
    fill(array, 0);
    return {
      run: (count) => {
        for (let pass = 0; pass < count; pass++) {
          array[0] = pass;
          copy(array, other);
          if (other[0] !== pass) throw new Error('the copy is wrong');
        }
      },
      verify: () => {
        if (array.some((value, at) => value !== other[at])) throw new Error('the copy is wrong');
      },
    };
  },
};

function sumOf(array: Int32Array): number {
  let sum = 0;
  for (let at = 0; at < array.length; at++) sum = (sum + (array[at] as number)) | 0;
  return sum;
}

function fill(array: Int32Array, first: number): void {
  for (let at = 0; at < array.length; at++) array[at] = first + at;
}

function copy(from: Int32Array, to: Int32Array): void {
  for (let at = 0; at < from.length; at++) to[at] = from[at] as number;
}
