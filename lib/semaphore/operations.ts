/** Operations on a System V semaphore set (man 2 semop), as they are asked for and as the addon takes them. */
import { Buffer } from 'node:buffer';
import { checkBoolean, checkInteger, invalidType, invalidValue } from '../internal/arguments.js';

/** One operation on one semaphore of a set (man 2 semop). */
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
const bytesEach = 6;
const flag = { undo: 1, noWait: 2 } as const;

/** Index, delta and flags of each, of 16 bits. */
export function checkOperations(
  operations: SemaphoreOperation | readonly SemaphoreOperation[],
  count: number,
): Buffer {
  const list: readonly unknown[] = Array.isArray(operations) ? operations : [operations];
  const { length } = list;
  if (length === 0) throw invalidValue('operations', 'must not be empty', operations);
  // From the pool: a typed array of its own would have to be moved out of V8's heap for the addon.
  const bytes = Buffer.allocUnsafe(bytesEach * length);
  for (let at = 0; at < length; at++) {
    const name = () => (Array.isArray(operations) ? `operations[${at}]` : 'operations');
    const operation = list[at];
    if (typeof operation !== 'object' || operation === null)
      throw invalidType(name(), 'of type object', operation);
    const { index, delta, undo = false, noWait = false } = operation as Partial<SemaphoreOperation>;
    // The names that an error would tell take longer to make than the call itself.
    const isFine =
      isWhole(index, 0, count - 1) &&
      isWhole(delta, -valueMax, valueMax) &&
      typeof undo === 'boolean' &&
      typeof noWait === 'boolean';
    if (!isFine) complain({ index, delta, undo, noWait }, name(), count);
    bytes.writeUInt16LE(index as number, bytesEach * at);
    bytes.writeInt16LE(delta as number, bytesEach * at + 2);
    bytes.writeUInt16LE((undo ? flag.undo : 0) | (noWait ? flag.noWait : 0), bytesEach * at + 4);
  }
  return bytes;
}

function isWhole(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
}

function complain(operation: Record<keyof SemaphoreOperation, unknown>, name: string, count: number): void {
  checkInteger(operation.index, `${name}.index`, 0, count - 1);
  checkInteger(operation.delta, `${name}.delta`, -valueMax, valueMax);
  checkBoolean(operation.undo, `${name}.undo`, false);
  checkBoolean(operation.noWait, `${name}.noWait`, false);
}

/** What says the same. */
export function keyOfOperations(operations: Buffer): string {
  return operations.toString('latin1');
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
