/** What calls fail with, and what is left behind: for tests of both, here and in a peer. */
import { constants } from 'node:os';
import { expect } from 'vitest';

/** An argument that the types would not let pass. */
export type Wrong = any;

/** An error of the operating system, with all its keys. */
export function systemError(code: keyof typeof constants.errno, syscall: string, path?: string) {
  const errno = -constants.errno[code];
  const about = path === undefined ? '' : ` '${path}'`;
  return expect.objectContaining({
    name: 'IpcError',
    code,
    errno,
    syscall,
    ...(path === undefined ? {} : { path }),
    message: expect.stringContaining(`, ${syscall}${about}`),
  });
}

/** Misuse: Node's own error for it, its message naming `subject`. */
export function misuse(name: 'TypeError' | 'RangeError', code: string, subject: string) {
  return expect.objectContaining({ name, code, message: expect.stringContaining(subject) });
}

/** What a call fails with: most throw, `sync` rejects. Undefined if it doesn't. */
export async function failureOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return undefined;
}

/**
 * For the head of a peer's script: `fails(call, code, syscall, path, message)`, `held()` (what the peer has open and
 * mapped of the kinds that the package makes) and `becomeNobody()`, which gives up root for good and does nothing for
 * others.
 */
export const failing = `
  import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
  import { constants } from 'node:os';
  const fails = (call, code, syscall, path, message = /^/) =>
    assert.throws(call, { name: 'IpcError', code, errno: -constants.errno[code], syscall, message, ...(path && { path }) });
  const held = () => {
    const ours = /\\/dev\\/shm|memfd:|SYSV|interproc-test-/;
    const target = (fd) => { try { return readlinkSync('/proc/self/fd/' + fd); } catch { return ''; } };
    return {
      fds: readdirSync('/proc/self/fd').map(target).filter((each) => ours.test(each)),
      mappings: readFileSync('/proc/self/maps', 'utf8').split('\\n').filter((line) => ours.test(line)),
    };
  };
  const becomeNobody = () => {
    if (process.getuid() !== 0) return;
    process.setgroups([]);
    process.setgid(65534);
    process.setuid(65534);
  };`;
