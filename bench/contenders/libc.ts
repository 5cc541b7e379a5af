/** Functions of the system's C library, called by koffi. */
import type { ObjectShape } from '../scenarios/scenario.js';
import { requirePackage } from '../support/package.js';

type Value = number | bigint | string | Uint8Array | null;

export interface Call<Result = number> {
  (...values: Value[]): Result;
  /** On a thread of libuv's pool. */
  async(...values: [...Value[], (error: Error | null, result: Result) => void]): void;
}

/** What of koffi is used here. */
interface Koffi {
  load(path: string): { func(definition: string): Call<unknown> };
  errno(): number;
}

const koffi = requirePackage<Koffi>('koffi');
// It brings libc and libpthread with it, and before glibc 2.34 it is where the queues are.
const library = koffi.load('librt.so.1');

/** `definition` as C has it, with types that koffi knows. */
export function libc<Result = number>(definition: string): Call<Result> {
  return library.func(definition) as Call<Result>;
}

/** Throws for what a function gives when it fails. */
export function check(result: number, name: string): number {
  if (result < 0) throw new Error(`${name}: errno ${koffi.errno()}`);
  return result;
}

/** Whether what may block has to do so on another thread. */
export const isAwaited = ({ work, waiting }: ObjectShape): boolean =>
  work === 'ping-pong' && waiting === 'event-loop';

export function onPool(call: Call, ...values: Value[]): Promise<number> {
  return new Promise((resolve, reject) => {
    call.async(...values, (error, result) => {
      if (error) reject(error);
      else resolve(result);
    });
  });
}
