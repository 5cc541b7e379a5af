/** Objects that are missing, in the way, or cut short, and classes that are used as they can not be. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmdirSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { ftok, MappedFile, SharedMemory, SysvSharedMemory } from 'interproc';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { failureOf, misuse, systemError, type Wrong } from '../support/failures.js';
import { type Holdings, holdings } from '../support/leaks.js';
import { shmName, sysvKey, tempDir, tempPath } from '../support/names.js';

let heldBefore: Holdings;

beforeAll(async () => {
  heldBefore = await holdings();
});

afterAll(async () => {
  expect(await holdings()).toEqual(heldBefore);
});

/** How errors show a key. */
const hexOf = (key: number) => `0x${(key >>> 0).toString(16).padStart(8, '0')}`;

describe('an object that is missing', () => {
  it('is ENOENT, with the call and the name', () => {
    const name = shmName();
    expect(() => SharedMemory.open(name)).toThrow(systemError('ENOENT', 'shm_open', name));
    expect(() => SharedMemory.open(name.slice(1), { readOnly: true })).toThrow(
      systemError('ENOENT', 'shm_open', name),
    );
    expect(() => SharedMemory.unlink(name)).toThrow(systemError('ENOENT', 'shm_unlink', name));
    expect(() => SharedMemory.stat(name)).toThrow(systemError('ENOENT', 'stat', name));
    const path = tempPath();
    expect(() => MappedFile.open(path)).toThrow(systemError('ENOENT', 'open', path));
    expect(() => MappedFile.open(path, { readOnly: true })).toThrow(systemError('ENOENT', 'open', path));
    expect(() => MappedFile.unlink(path)).toThrow(systemError('ENOENT', 'unlink', path));
    expect(() => MappedFile.stat(path)).toThrow(systemError('ENOENT', 'stat', path));
    expect(() => ftok(path, 1)).toThrow(systemError('ENOENT', 'ftok', path));
    const key = sysvKey();
    expect(() => SysvSharedMemory.open(key)).toThrow(systemError('ENOENT', 'shmget', hexOf(key)));
    expect(() => SysvSharedMemory.open(-1)).toThrow(systemError('ENOENT', 'shmget', '0xffffffff'));
  });

  it('is EINVAL where an id names it, as for the kernel', () => {
    const segment = SysvSharedMemory.create(null, { size: 1 });
    const { id } = segment;
    segment.remove();
    segment.close();
    for (const missing of [id, 0x7fff_ffff]) {
      expect(() => SysvSharedMemory.fromId(missing)).toThrow(
        systemError('EINVAL', 'shmctl', `id ${missing}`),
      );
      expect(() => SysvSharedMemory.remove(missing)).toThrow(
        systemError('EINVAL', 'shmctl', `id ${missing}`),
      );
    }
  });

  it('is ENOENT to an object whose name is gone or was never there', () => {
    using memory = SharedMemory.create(shmName(), { size: 1 });
    using file = MappedFile.create(tempPath(), { size: 1 });
    using anonymous = SharedMemory.anonymous({ size: 1 });
    memory.unlink();
    file.unlink();
    expect(() => memory.unlink()).toThrow(systemError('ENOENT', 'shm_unlink', memory.name as string));
    expect(() => file.unlink()).toThrow(systemError('ENOENT', 'unlink', file.path));
    expect(() => anonymous.unlink()).toThrow(systemError('ENOENT', 'shm_unlink'));
  });

  it('is not made by openOrCreate in a folder that is missing', () => {
    const path = tempPath('missing/file.bin');
    expect(() => MappedFile.openOrCreate(path, { size: 1 })).toThrow(systemError('ENOENT', 'open', path));
  });
});

describe('an object that exists', () => {
  it('is EEXIST to create, and stays as it was', () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    using file = MappedFile.create(tempPath(), { size: 4096 });
    const key = sysvKey();
    using segment = SysvSharedMemory.create(key, { size: 4096 });
    const options = { size: 8192, mode: 0o666 };
    for (const reserve of [true, false]) {
      const refused = systemError('EEXIST', 'shm_open', memory.name as string);
      expect(() => SharedMemory.create(memory.name as string, { ...options, reserve })).toThrow(refused);
      expect(() => MappedFile.create(file.path, { ...options, reserve })).toThrow(
        systemError('EEXIST', 'open', file.path),
      );
    }
    expect(() => SysvSharedMemory.create(key, options)).toThrow(systemError('EEXIST', 'shmget', hexOf(key)));
    for (const object of [memory, file, segment])
      expect(object.stat()).toMatchObject({ size: 4096, mode: 0o600 });
    segment.remove();
  });

  it('is EEXIST to create whatever it is: a folder, a link that leads nowhere', () => {
    const dir = tempDir();
    expect(() => MappedFile.create(dir, { size: 1 })).toThrow(systemError('EEXIST', 'open', dir));
    const link = `${dir}/link`;
    symlinkSync('nowhere', link);
    expect(() => MappedFile.create(link, { size: 1 })).toThrow(systemError('EEXIST', 'open', link));
    expect(readdirSync(dir)).toEqual(['link']);
  });

  it('is ENODEV to open when it is no regular file, and EISDIR for a folder to be written', async () => {
    const dir = tempDir();
    execFileSync('mkfifo', [`${dir}/fifo`]);
    const server = createServer().listen(`${dir}/socket`);
    await new Promise((resolve) => server.once('listening', resolve));
    expect(() => MappedFile.open(dir)).toThrow(systemError('EISDIR', 'open', dir));
    expect(() => MappedFile.open(dir, { readOnly: true })).toThrow(systemError('ENODEV', 'open', dir));
    for (const path of ['/dev/null', '/dev/zero', `${dir}/fifo`, `${dir}/socket`]) {
      for (const readOnly of [true, false]) {
        const refused = systemError('ENODEV', 'open', path);
        expect(() => MappedFile.open(path, { readOnly }), `${path}, readOnly: ${readOnly}`).toThrow(refused);
      }
      expect(() => MappedFile.open(path)).toThrow('it is no regular file, and only those can be mapped');
      expect(() => MappedFile.openOrCreate(path, { size: 1 })).toThrow(systemError('ENODEV', 'open', path));
    }
    await new Promise((resolve) => server.close(resolve));
  });

  it('is refused as shared memory when it is a folder in /dev/shm, or a link that leads anywhere', () => {
    const folder = shmName();
    const link = shmName();
    mkdirSync(`/dev/shm${folder}`);
    onTestFinished(() => rmdirSync(`/dev/shm${folder}`));
    symlinkSync('/etc/passwd', `/dev/shm${link}`);
    expect(() => SharedMemory.open(folder)).toThrow(systemError('EISDIR', 'shm_open', folder));
    expect(() => SharedMemory.open(folder, { readOnly: true })).toThrow(
      systemError('ENODEV', 'shm_open', folder),
    );
    for (const readOnly of [true, false]) {
      expect(() => SharedMemory.open(link, { readOnly })).toThrow(systemError('ELOOP', 'shm_open', link));
    }
    expect(() => SharedMemory.unlink(folder)).toThrow(systemError('EISDIR', 'shm_unlink', folder));
  });

  it('is ENODEV when it looks like a file and knows no mapping', () => {
    const path = '/sys/kernel/uevent_seqnum';
    expect(() => MappedFile.open(path, { readOnly: true })).toThrow(systemError('ENODEV', 'mmap', path));
  });
});

describe('an object that is shorter than what is mapped of it', () => {
  it('is ERR_INTERPROC_TRUNCATED to lock and to populate, not the EFAULT or ENOMEM of the kernel', () => {
    for (const readOnly of [false, true]) {
      const name = shmName();
      using memory = SharedMemory.create(name, { size: 16_384 });
      const calls: ((region: SharedMemory) => void)[] = [
        (region) => region.lock(),
        (region) => region.advise('populate_read'),
      ];
      if (!readOnly) calls.push((region) => region.advise('populate_write'));
      for (const call of calls) {
        memory.resize(16_384);
        using region = SharedMemory.open(name, { readOnly });
        memory.resize(4096);
        expect(() => call(region)).toThrow(
          expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_TRUNCATED' }),
        );
        expect(region.fault).toBe('truncated');
      }
    }
  });
});

describe('a class', () => {
  it('has no constructor of its own to call', () => {
    for (const each of [SharedMemory, MappedFile, SysvSharedMemory] as Wrong[]) {
      const refused = misuse(
        'TypeError',
        'ERR_ILLEGAL_CONSTRUCTOR',
        `use the factories of ${each.name} (create, open, …)`,
      );
      for (const args of [
        [],
        [undefined],
        [Symbol('construct')],
        ['/name', { size: 1 }],
        [{}, {}, {}],
      ] as Wrong[]) {
        expect(() => new each(...args)).toThrow(refused);
        expect(() => new (class extends (each as Wrong) {} as Wrong)(...args)).toThrow(refused);
      }
    }
  });

  it('of windows has none either', () => {
    using memory = SharedMemory.anonymous({ size: 1 });
    using window = memory.map();
    const MemoryWindow = window.constructor as Wrong;
    for (const args of [[], [undefined], [Symbol('construct')], [memory, 0, 1, {}]]) {
      expect(() => new MemoryWindow(...args)).toThrow(
        misuse('TypeError', 'ERR_ILLEGAL_CONSTRUCTOR', 'Illegal constructor'),
      );
    }
  });

  it('has methods and properties of its own objects only', async () => {
    using memory = SharedMemory.anonymous({ size: 1 });
    using window = memory.map();
    using segment = SysvSharedMemory.create(null, { size: 1 });
    segment.remove();
    const isProtected = /^(release|describe|replaceMapping|check[A-Z]\w+)$/;
    let checked = 0;
    for (const object of [memory, window, segment]) {
      for (let at = Object.getPrototypeOf(object); at !== Object.prototype; at = Object.getPrototypeOf(at)) {
        for (const [key, property] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
          const use = property.get ?? property.value;
          if (key === 'constructor' || isProtected.test(key) || typeof use !== 'function') continue;
          for (const receiver of [undefined, null, {}, Object.create(object)]) {
            expect(await failureOf(() => use.call(receiver)), key).toBeInstanceOf(TypeError);
            checked++;
          }
        }
      }
    }
    expect(checked).toBeGreaterThan(100);
  });
});
