/** Steps of a protocol at which a test can make the process die: native/os/failpoint.h. */
import { native } from './native.js';

const set = (process.env.INTERPROC_FAILPOINT ?? '') !== '';

/** Costs nothing where the environment names none: the engine folds the constant. */
export function failpoint(name: string): void {
  if (set) native.failpoint(name);
}
