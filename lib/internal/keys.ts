/** Keys and ids of System V objects (man 7 sysvipc), and what the kernel tells of them. */
import type { IpcError } from '../errors.js';
import { checkInteger, invalidValue } from './arguments.js';

/** What names a System V object: a number, or null for a new one that only its id leads to (IPC_PRIVATE). */
export type Key = number | null;

const maxId = 0x7fff_ffff;

/** Signed, as C has it; `ipcs` shows the same bits unsigned. */
export function checkKey(key: unknown): Key {
  if (key === null) return null;
  const number = checkInteger(key, 'key', -0x8000_0000, 0xffff_ffff) | 0;
  if (number === 0) throw invalidValue('key', 'must not be 0, which is IPC_PRIVATE: say null', key);
  return number;
}

export function checkPublicKey(key: unknown): number {
  const checked = checkKey(key);
  if (checked === null)
    throw invalidValue('key', 'must not be null here: fromId() opens a private object', key);
  return checked;
}

export function checkId(id: unknown): number {
  return checkInteger(id, 'id', 0, maxId);
}

/** The kernel's 0 is private, or removed. */
export function keyOf(key: number): Key {
  return key === 0 ? null : key;
}

/** The kernel's 0 is never. */
export function dateOf(ms: number): Date | null {
  return ms === 0 ? null : new Date(ms);
}

/** What a call with the id of an object says that somebody has removed meanwhile. */
export function isGone(error: unknown): boolean {
  const { code } = error as Partial<IpcError>;
  return code === 'EIDRM' || code === 'EINVAL';
}
