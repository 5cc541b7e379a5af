/** Names, paths and words that can't be: clear errors, and nothing is left behind. */
import { inspect } from 'node:util';
import { ftok, MappedFile, SharedMemory } from 'interproc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { misuse, systemError, type Wrong } from '../support/failures.js';
import { type Holdings, holdings } from '../support/leaks.js';
import { prefix } from '../support/names.js';

// Never made: each call here fails before.
const path = `/tmp/${prefix}never`;

let heldBefore: Holdings;
let memory: SharedMemory;

beforeAll(async () => {
  memory = SharedMemory.anonymous({ size: 4096 });
  heldBefore = await holdings();
});

afterAll(async () => {
  expect(await holdings()).toEqual(heldBefore);
  memory.close();
});

describe('a name', () => {
  const calls: [title: string, syscall: string, call: (name: Wrong) => unknown][] = [
    ['create', 'shm_open', (value) => SharedMemory.create(value, { size: 1 })],
    ['open', 'shm_open', (value) => SharedMemory.open(value)],
    ['openOrCreate', 'shm_open', (value) => SharedMemory.openOrCreate(value, { size: 1 })],
    ['unlink', 'shm_unlink', (value) => SharedMemory.unlink(value)],
    ['stat', 'stat', (value) => SharedMemory.stat(value)],
  ];

  it.each(calls)('is a string: SharedMemory.%s', (_, _syscall, call) => {
    for (const value of [
      undefined,
      null,
      1,
      1n,
      true,
      {},
      ['/a'],
      Buffer.from('/a'),
      new String('/a'),
      Symbol('/a'),
    ]) {
      const refused = misuse(
        'TypeError',
        'ERR_INVALID_ARG_TYPE',
        'The "name" argument must be of type string',
      );
      expect(() => call(value), inspect(value)).toThrow(refused);
    }
  });

  it.each(calls)('is one component, without null bytes: SharedMemory.%s', (_, _syscall, call) => {
    const reasons: Record<string, string[]> = {
      "must be a file name such as '/feed'": ['', '/', '.', '..', '/.', '/..'],
      "must have no '/' but a leading one": ['a/b', '/a/b', '//a', 'a/', '/a/', '//', '../a', '/../a', './a'],
      'must be without null bytes': ['\0', '/\0', 'a\0', '/a\0b', `${'a'.repeat(300)}\0`],
    };
    for (const [reason, values] of Object.entries(reasons)) {
      for (const value of values) {
        const refused = misuse('TypeError', 'ERR_INVALID_ARG_VALUE', `The "name" argument ${reason}`);
        expect(() => call(value), inspect(value)).toThrow(refused);
      }
    }
  });

  it.each(calls)('of more than 255 bytes is too long: SharedMemory.%s', (_, syscall, call) => {
    for (const value of [
      `/${'a'.repeat(256)}`,
      'a'.repeat(256),
      'é'.repeat(128),
      '🚌'.repeat(64),
      'a'.repeat(1000),
    ]) {
      const shown = value.startsWith('/') ? value : `/${value}`;
      expect(() => call(value)).toThrow(systemError('ENAMETOOLONG', syscall, shown));
      expect(() => call(value)).toThrow(`it has ${Buffer.byteLength(shown) - 1} bytes, and at most 255 fit`);
    }
  });
});

describe('a path', () => {
  const calls: [title: string, syscall: string, call: (path: Wrong) => unknown][] = [
    ['MappedFile.create', 'open', (value) => MappedFile.create(value, { size: 1 })],
    ['MappedFile.open', 'open', (value) => MappedFile.open(value)],
    ['MappedFile.openOrCreate', 'open', (value) => MappedFile.openOrCreate(value, { size: 1 })],
    ['MappedFile.unlink', 'unlink', (value) => MappedFile.unlink(value)],
    ['MappedFile.stat', 'stat', (value) => MappedFile.stat(value)],
    ['ftok', 'ftok', (value) => ftok(value, 1)],
  ];

  it.each(calls)('is a string or a URL: %s', (_, _syscall, call) => {
    for (const value of [undefined, null, 1, 1n, true, {}, ['/a'], Buffer.from('/a'), Symbol('/a')]) {
      const refused = misuse(
        'TypeError',
        'ERR_INVALID_ARG_TYPE',
        '"path" argument must be of type string or an instance of URL',
      );
      expect(() => call(value), inspect(value)).toThrow(refused);
    }
  });

  it.each(calls)('is not empty and has no null bytes: %s', (_, _syscall, call) => {
    for (const value of ['', '\0', 'a\0b', `${path}\0`, new URL('file:///a%00b')]) {
      expect(() => call(value), inspect(value)).toThrow(
        misuse('TypeError', 'ERR_INVALID_ARG_VALUE', 'The "path" argument must'),
      );
    }
  });

  it.each(calls)('as a URL is of a file on this machine: %s', (_, _syscall, call) => {
    expect(() => call(new URL('http://localhost/a'))).toThrow(
      misuse('TypeError', 'ERR_INVALID_URL_SCHEME', 'file'),
    );
    expect(() => call(new URL('file://elsewhere/a'))).toThrow(
      misuse('TypeError', 'ERR_INVALID_FILE_URL_HOST', 'localhost'),
    );
    expect(() => call(new URL('file:///a%2Fb'))).toThrow(
      misuse('TypeError', 'ERR_INVALID_FILE_URL_PATH', '/'),
    );
  });

  it.each(calls)(
    'that is too long, or leads through a file, is what the kernel says of it: %s',
    (_, syscall, call) => {
      for (const value of [`${path}${'x'.repeat(256)}`, `/tmp/${'x/'.repeat(2100)}y`]) {
        expect(() => call(value)).toThrow(systemError('ENAMETOOLONG', syscall, value));
      }
      expect(() => call('/proc/version/x')).toThrow(systemError('ENOTDIR', syscall, '/proc/version/x'));
      expect(() => call(`${path}/missing/x`)).toThrow(systemError('ENOENT', syscall, `${path}/missing/x`));
    },
  );
});

describe('a word', () => {
  it('of advice is a known one', () => {
    for (const value of [undefined, null, 4, {}, Symbol('normal')]) {
      expect(() => memory.advise(value as Wrong), inspect(value)).toThrow(
        misuse('TypeError', 'ERR_INVALID_ARG_TYPE', '"advice"'),
      );
    }
    for (const value of ['', 'NORMAL', 'MADV_NORMAL', 'constructor', '__proto__']) {
      expect(() => memory.advise(value as Wrong)).toThrow(
        misuse('TypeError', 'ERR_INVALID_ARG_VALUE', "must be one of 'normal', "),
      );
    }
  });

  it('for a seal is a known one, in an array', () => {
    const calls: [string, (seals: Wrong) => unknown, anything: unknown[]][] = [
      ['seals', (seals) => memory.seal(seals), [undefined, true]],
      ['options.seal', (seal) => SharedMemory.anonymous({ size: 1, seal }), []],
    ];
    for (const [subject, call, more] of calls) {
      for (const value of [null, 'shrink', 2, {}, new Set(['shrink']), [1], [null], [['shrink']], ...more]) {
        expect(() => call(value), inspect(value)).toThrow(
          misuse('TypeError', 'ERR_INVALID_ARG_TYPE', `"${subject}"`),
        );
      }
      for (const value of [[''], ['shrink', 'SHRINK'], ['F_SEAL_SHRINK'], ['toString']]) {
        expect(() => call(value), inspect(value)).toThrow(
          misuse('TypeError', 'ERR_INVALID_ARG_VALUE', "must be one of 'seal', "),
        );
      }
    }
    expect(memory.seals).not.toContain('grow');
  });

  it('for a label is a string of at most 249 bytes, without null bytes', () => {
    const label = (value: Wrong) => () => SharedMemory.anonymous({ size: 1, label: value });
    for (const value of [null, 1, {}, ['a'], Buffer.from('a')]) {
      expect(label(value), inspect(value)).toThrow(
        misuse('TypeError', 'ERR_INVALID_ARG_TYPE', '"options.label" property must be of type string'),
      );
    }
    for (const value of ['a'.repeat(250), 'é'.repeat(125), 'a\0']) {
      expect(label(value)).toThrow(misuse('TypeError', 'ERR_INVALID_ARG_VALUE', 'at most 249 bytes'));
    }
  });
});
