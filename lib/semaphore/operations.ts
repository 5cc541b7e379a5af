/** Operations on a System V semaphore set (man 2 semop), as they are asked for and as the addon takes them. */
import { Buffer } from 'node:buffer';
import { checkBoolean, checkInteger, invalidType, invalidValue } from '../internal/arguments.js';

export interface SemaphoreOperation {
  /** Which semaphore of the set, from 0 on. */
  index: number;
  /** Above 0: gives so many. Below: takes so many, and waits until there are as many. 0: waits until there are none. */
  delta: number;
  /** The kernel undoes it when the process ends, however it does (SEM_UNDO). A worker's end is none. False by default. */
  undo?: boolean;
  /** `EAGAIN` where this one can't be done at once, whether or not others wait (IPC_NOWAIT). False by default. */
  noWait?: boolean;
}

const valueMax = 32_767; // SEMVMX
const numbersEach = 3;
const flag = { undo: 1, noWait: 2 } as const;

/** Index, delta and flags of each. */
export function checkOperations(
  operations: SemaphoreOperation | readonly SemaphoreOperation[],
  count: number,
): Uint8Array {
  const list: readonly SemaphoreOperation[] = Array.isArray(operations)
    ? operations
    : [operations as SemaphoreOperation];
  const { length } = list;
  if (length === 0) throw invalidValue('operations', 'must not be empty', operations);
  const numbers = new Int16Array(numbersEach * length);
  for (let at = 0; at < length; at++) {
    const name = Array.isArray(operations) ? `operations[${at}]` : 'operations';
    const operation: unknown = list[at];
    if (typeof operation !== 'object' || operation === null)
      throw invalidType(name, 'of type object', operation);
    const { index, delta, undo, noWait } = operation as SemaphoreOperation;
    numbers[numbersEach * at] = checkInteger(index, `${name}.index`, 0, count - 1);
    numbers[numbersEach * at + 1] = checkInteger(delta, `${name}.delta`, -valueMax, valueMax);
    numbers[numbersEach * at + 2] =
      (checkBoolean(undo, `${name}.undo`, false) ? flag.undo : 0) |
      (checkBoolean(noWait, `${name}.noWait`, false) ? flag.noWait : 0);
  }
  return new Uint8Array(numbers.buffer);
}

/** What says the same. */
export function keyOfOperations(operations: Uint8Array): string {
  return Buffer.from(operations.buffer, operations.byteOffset, operations.length).toString('latin1');
}

export function checkValue(value: unknown, name: string): number {
  return checkInteger(value, name, 0, valueMax);
}

/** `count` values, given as a list or as one for all. */
export function checkValues(values: unknown, name: string, count: number): Uint8Array {
  const numbers = new Uint16Array(count);
  if (!Array.isArray(values)) {
    numbers.fill(checkValue(values, name));
    return new Uint8Array(numbers.buffer);
  }
  if (values.length !== count) throw invalidValue(name, `must have ${count} values`, values);
  for (let at = 0; at < count; at++) numbers[at] = checkValue(values[at], `${name}[${at}]`);
  return new Uint8Array(numbers.buffer);
}
