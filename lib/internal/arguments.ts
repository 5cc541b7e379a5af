/**
 * Argument checks: each gives the value back or throws Node's own error for the mistake. Where the package does not work
 * at all, no argument is the mistake: the reason is thrown in place of each of these errors.
 */
import { Buffer } from 'node:buffer';
import { constants } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { IpcError } from '../errors.js';
import { checkLoaded } from './native.js';

function received(value: unknown): string {
  if (value === null || value === undefined) return `Received ${value}`;
  if (typeof value === 'function') return `Received function ${value.name}`;
  if (typeof value === 'object') {
    const maker = value.constructor?.name;
    return maker ? `Received an instance of ${maker}` : `Received ${inspect(value, { depth: -1 })}`;
  }
  const shown = inspect(value, { colors: false });
  return `Received type ${typeof value} (${shown.length > 28 ? `${shown.slice(0, 25)}...` : shown})`;
}

/** `options.size` is a property, `size` an argument. */
function subject(name: string): string {
  return `The "${name}" ${name.includes('.') ? 'property' : 'argument'}`;
}

function withCode<E extends Error>(error: E, code: string): E {
  checkLoaded();
  return Object.assign(error, { code });
}

/** `expected` reads on from "must be": `of type string`, `an instance of URL`. */
export function invalidType(name: string, expected: string, value: unknown): TypeError {
  const message = `${subject(name)} must be ${expected}. ${received(value)}`;
  return withCode(new TypeError(message), 'ERR_INVALID_ARG_TYPE');
}

export function invalidValue(name: string, reason: string, value: unknown): TypeError {
  const message = `${subject(name)} ${reason}. ${received(value)}`;
  return withCode(new TypeError(message), 'ERR_INVALID_ARG_VALUE');
}

export function outOfRange(name: string, range: string, value: unknown): RangeError {
  const shown = typeof value === 'number' || typeof value === 'bigint' ? String(value) : inspect(value);
  const message = `The value of "${name}" is out of range. It must be ${range}. Received ${shown}`;
  return withCode(new RangeError(message), 'ERR_OUT_OF_RANGE');
}

/** A path as `fs` takes it, made absolute: the working directory may change later. */
export function checkPath(value: unknown): string {
  const path = value instanceof URL ? fileURLToPath(value) : value;
  if (typeof path !== 'string') throw invalidType('path', 'of type string or an instance of URL', value);
  if (path === '') throw invalidValue('path', 'must not be empty', value);
  if (path.includes('\0')) throw invalidValue('path', 'must be without null bytes', value);
  return resolve(path);
}

/** A class whose objects come from its factories only. */
export function illegalConstructor(className: string): TypeError {
  return withCode(
    new TypeError(`Illegal constructor: use the factories of ${className} (create, open, …)`),
    'ERR_ILLEGAL_CONSTRUCTOR',
  );
}

export function checkInteger(
  value: unknown,
  name: string,
  least: number = Number.MIN_SAFE_INTEGER,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value);
  if (value < least || value > most) throw outOfRange(name, `>= ${least} && <= ${most}`, value);
  return value;
}

/** A descriptor, or what has one: a file of `node:fs/promises`, shared memory, an end of a pipe, a socket. */
export type HasFd =
  | number
  | {
      /** Stays the owner's. */
      readonly fd: number;
    };

export function checkFd(value: unknown, name = 'fd'): number {
  const fd = typeof value === 'object' && value !== null && 'fd' in value ? value.fd : value;
  if (typeof fd !== 'number') throw invalidType(name, 'of type number or an object with an fd', value);
  return checkInteger(fd, name, 0, 0x7fff_ffff);
}

export function checkBoolean(value: unknown, name: string, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== 'boolean') throw invalidType(name, 'of type boolean', value);
  return value;
}

export function checkString(value: unknown, name: string): string {
  if (typeof value !== 'string') throw invalidType(name, 'of type string', value);
  return value;
}

/** Options may be left out, unless `required`. */
export function checkOptions<T extends object>(value: T | undefined, required = false): Partial<T> {
  if (value === undefined && !required) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidType('options', 'of type object', value);
  }
  return value;
}

export function checkOneOf<T extends string>(value: unknown, name: string, known: readonly T[]): T {
  if (typeof value !== 'string') throw invalidType(name, 'of type string', value);
  if (!(known as readonly string[]).includes(value)) {
    throw invalidValue(name, `must be one of ${known.map((each) => `'${each}'`).join(', ')}`, value);
  }
  return value as T;
}

/**
 * The name of a POSIX object: one component, returned with the leading slash that may be missing.
 * `longest` is in bytes of UTF-8 without it; `syscall` is what the ENAMETOOLONG of a longer one names.
 */
export function checkObjectName(value: unknown, longest: number, syscall: string): string {
  const given = checkString(value, 'name');
  const component = given.startsWith('/') ? given.slice(1) : given;
  if (component === '' || component === '.' || component === '..') {
    throw invalidValue('name', "must be a file name such as '/feed'", value);
  }
  if (component.includes('/')) throw invalidValue('name', "must have no '/' but a leading one", value);
  if (component.includes('\0')) throw invalidValue('name', 'must be without null bytes', value);
  const length = Buffer.byteLength(component);
  if (length > longest) {
    throw new IpcError(
      'ENAMETOOLONG',
      `ENAMETOOLONG: name too long, ${syscall} '/${component}': it has ${length} bytes, and at most ${longest} fit`,
      { errno: -constants.errno.ENAMETOOLONG, syscall, path: `/${component}` },
    );
  }
  return `/${component}`;
}
