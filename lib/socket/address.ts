/** Addresses of UNIX sockets (man 7 unix): a path, or an abstract name, which begins with a null byte. */
import { Buffer, isUtf8 } from 'node:buffer';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { IpcError } from '../errors.js';
import { invalidType, invalidValue } from '../internal/arguments.js';

/**
 * A path of at most 107 bytes, as it is given: relative to the working directory. With a null byte first an abstract
 * name, of at most 107 bytes behind it, which is no file and goes with its socket. A Buffer where it is no UTF-8.
 */
export type SocketAddress = string | Buffer;

/** What is taken for one. */
export type SocketAddressLike = string | URL | Uint8Array;

const pathMax = 107; // sun_path has 108 bytes, and a null byte ends it
const abstractMax = 108;

/** The bytes of sun_path. `syscall`: what the `ENAMETOOLONG` of a longer one names. */
export function checkAddress(value: unknown, syscall: string): Uint8Array {
  const given = value instanceof URL ? fileURLToPath(value) : value;
  if (typeof given !== 'string' && !(given instanceof Uint8Array)) {
    throw invalidType('address', 'of type string or an instance of URL or Buffer', value);
  }
  const bytes = typeof given === 'string' ? Buffer.from(given) : Buffer.from(given);
  if (bytes.length === 0) throw invalidValue('address', 'must not be empty', value);
  const abstract = isAbstract(bytes);
  if (!abstract && bytes.includes(0))
    throw invalidValue('address', 'must be without null bytes, but a first one', value);
  const most = abstract ? abstractMax : pathMax;
  if (bytes.length <= most) return bytes;
  const shown = printable(bytes);
  throw new IpcError(
    'ENAMETOOLONG',
    `ENAMETOOLONG: name too long, ${syscall} '${shown}': it has ${bytes.length} bytes, and the address of a UNIX socket ` +
      `has room for ${most} (man 7 unix); ${abstract ? 'take a shorter one' : 'take a shorter path, one that is relative to the working directory, or an abstract name'}`,
    { errno: -constants.errno.ENAMETOOLONG, syscall, path: shown },
  );
}

export function isAbstract(address: Uint8Array): boolean {
  return address[0] === 0;
}

/** As ss(8) and socat(1) write them: `@name`. */
export function printable(address: Uint8Array): string {
  return Buffer.from(address).toString().replaceAll('\0', '@');
}

/** Null: it has no name. */
export function toAddress(bytes: Buffer): SocketAddress | null {
  if (bytes.length === 0) return null;
  return isUtf8(bytes) ? bytes.toString() : bytes;
}
