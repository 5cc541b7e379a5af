/** Limits of the process and of the system: each is an error that names the limit, its value and how to raise it. */
import { constants } from 'node:buffer';
import { totalmem } from 'node:os';
import { MappedFile, SharedMemory, SysvSharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failing, misuse, systemError } from '../support/failures.js';
import { holdings } from '../support/leaks.js';
import { shmName, tempDir, tempPath } from '../support/names.js';
import { canSetIpcLimits, inNamespaces, withLimits } from '../support/namespaces.js';
import { clean, runPeer, runProgram, startPeer } from '../support/peer.js';

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;
const huge = Number.MAX_SAFE_INTEGER;

describe('a size beyond what there is', () => {
  it('is ENOSPC or ENOMEM to create, with the reason, and leaves nothing behind', async () => {
    const before = await holdings();
    const name = shmName();
    const path = tempPath();
    for (const size of [2 ** 46, huge]) {
      expect(() => SharedMemory.create(name, { size })).toThrow(systemError('ENOSPC', 'fallocate', name));
      expect(() => SharedMemory.create(name, { size })).toThrow(
        /\/dev\/shm holds \d+ bytes, \d+ of them free/,
      );
      expect(() => MappedFile.create(path, { size })).toThrow(systemError('ENOSPC', 'fallocate', path));
      expect(() => SharedMemory.anonymous({ size })).toThrow(systemError('ENOMEM', 'fallocate'));
      expect(() => SharedMemory.anonymous({ size })).toThrow(
        /so much memory is not there .*: { reserve: false } takes pages on first use$/,
      );
    }
    expect(() => SharedMemory.stat(name)).toThrow(systemError('ENOENT', 'stat', name));
    expect(() => MappedFile.stat(path)).toThrow(systemError('ENOENT', 'stat', path));
    expect(await holdings()).toEqual(before);
  });

  it('is ENOMEM to map where it was not to be reserved, and leaves nothing behind', async () => {
    const before = await holdings();
    const name = shmName();
    const options = { size: huge, reserve: false };
    const reason = /no more than its processor knows/;
    expect(() => SharedMemory.create(name, options)).toThrow(systemError('ENOMEM', 'mmap', name));
    expect(() => SharedMemory.create(name, options)).toThrow(reason);
    expect(() => SharedMemory.anonymous(options)).toThrow(systemError('ENOMEM', 'mmap'));
    expect(() => SharedMemory.stat(name)).toThrow(systemError('ENOENT', 'stat', name));
    // What a file may be is for its file system to say first.
    const path = tempPath();
    expect(() => MappedFile.create(path, options)).toThrow(/^(EFBIG: .*, ftruncate|ENOMEM: .*, mmap) /);
    expect(() => MappedFile.stat(path)).toThrow(systemError('ENOENT', 'stat', path));
    expect(await holdings()).toEqual(before);
  });

  it('is ENOMEM to make a segment of, and leaves none behind', () => {
    const refused = expect.objectContaining({
      name: 'IpcError',
      code: 'ENOMEM',
      syscall: expect.stringMatching(/^shm(get|at)$/),
    });
    for (const size of [2 ** 47, huge]) {
      expect(totalmem()).toBeLessThan(size);
      expect(() => SysvSharedMemory.create(null, { size })).toThrow(refused);
    }
    expect(SysvSharedMemory.list().filter(({ creatorPid }) => creatorPid === process.pid)).toEqual([]);
  });

  it('that can not be mapped is no size to resize to: the object keeps its own', () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    using anonymous = SharedMemory.anonymous({ size: 4096 });
    new Uint8Array(memory.buffer)[0] = 5;
    expect(() => memory.resize(huge, { reserve: false })).toThrow(
      systemError('ENOMEM', 'mmap', memory.name as string),
    );
    expect(() => anonymous.resize(huge, { reserve: false })).toThrow(systemError('ENOMEM', 'mmap'));
    for (const each of [memory, anonymous]) expect([each.size, each.stat().size]).toEqual([4096, 4096]);
    expect(new Uint8Array(memory.buffer)[0]).toBe(5);
  });

  it.skipIf(constants.MAX_LENGTH >= 2 ** 46)(
    'of one buffer is out of range for .buffer, and windows show it',
    () => {
      const size = constants.MAX_LENGTH + 8;
      using memory = SharedMemory.anonymous({ size, reserve: false });
      expect(memory.size).toBe(size);
      expect(() => memory.buffer).toThrow(
        misuse('RangeError', 'ERR_OUT_OF_RANGE', 'map({ offset, length }) gives windows'),
      );
      using whole = memory.map();
      expect(() => whole.buffer).toThrow(misuse('RangeError', 'ERR_OUT_OF_RANGE', 'buffer.byteLength'));
      using window = memory.map({ offset: size - 8 });
      expect(window.buffer.byteLength).toBe(8);
    },
  );
});

describe('RLIMIT_MEMLOCK', () => {
  const kinds = `
    const kinds = [
      SharedMemory.create(args[0], { size: ${mebibyte} }),
      SharedMemory.open(args[0], { readOnly: true }),
      SharedMemory.anonymous({ size: ${mebibyte} }),
      MappedFile.create(args[1], { size: ${mebibyte} }),
      SharedMemory.open(args[0]).map(),
    ];
    becomeNobody();
    const segment = SysvSharedMemory.create(null, { size: ${mebibyte} });
    segment.remove();
    kinds.push(segment);`;

  it('is ENOMEM to lock more, and the message names it; less can be locked', async () => {
    const source = `${failing}${kinds}
      for (const memory of kinds) {
        for (const onFault of [false, true]) {
          fails(() => memory.lock({ onFault }), 'ENOMEM', 'mlock', undefined, /may lock 65536 bytes \\(RLIMIT_MEMLOCK; .*ulimit -l/);
        }
        memory.lock({ length: 32768 });
        memory.unlock();
      }
      fails(() => segment.lockSegment(), 'ENOMEM', 'shmctl', 'id ' + segment.id, /may lock 65536 bytes \\(RLIMIT_MEMLOCK;/);
      assert.equal(segment.stat().locked, false);`;
    const wrapper = withLimits({ memlock: 64 * kibibyte });
    expect(await runPeer(source, { args: [shmName(), tempPath()], wrapper })).toMatchObject(clean);
  });

  it('of zero is EPERM to lock at all, and the message names it', async () => {
    const source = `${failing}${kinds}
      for (const memory of kinds) {
        fails(() => memory.lock({ length: 1 }), 'EPERM', 'mlock', undefined, /may lock 0 bytes \\(RLIMIT_MEMLOCK/);
      }
      fails(() => segment.lockSegment(), 'EPERM', 'shmctl', 'id ' + segment.id, /RLIMIT_MEMLOCK above 0 \\(now 0\\)/);`;
    const wrapper = withLimits({ memlock: 0 });
    expect(await runPeer(source, { args: [shmName(), tempPath()], wrapper })).toMatchObject(clean);
  });
});

describe('RLIMIT_FSIZE', () => {
  it('is EFBIG to create and to resize, never the death by SIGXFSZ, and leaves nothing behind', async () => {
    const folder = tempDir();
    const source = `${failing}
      import { existsSync } from 'node:fs';
      const [name, folder] = args;
      const path = folder + '/file.bin';
      const before = held();
      const limit = /RLIMIT_FSIZE \\(${mebibyte}, \`ulimit -f\`\\)/;
      for (const size of [${mebibyte + 1}, ${128 * mebibyte}, ${huge}]) {
        for (const reserve of [true, false]) {
          const options = { size, reserve };
          fails(() => SharedMemory.create(name, options), 'EFBIG', 'fallocate', name, limit);
          fails(() => SharedMemory.openOrCreate(name, options), 'EFBIG', 'fallocate', name, limit);
          fails(() => SharedMemory.anonymous(options), 'EFBIG', 'fallocate', undefined, limit);
          fails(() => MappedFile.create(path, options), 'EFBIG', 'fallocate', path, limit);
        }
      }
      assert.equal(existsSync('/dev/shm' + name), false);
      assert.deepEqual(readdirSync(folder), []);
      assert.deepEqual(held(), before);
      const options = { size: ${mebibyte} };
      for (const memory of [SharedMemory.create(name, options), SharedMemory.anonymous(options), MappedFile.create(path, options)]) {
        const bytes = new Uint8Array(memory.buffer).fill(5);
        for (const reserve of [true, false]) {
          fails(() => memory.resize(${mebibyte + 1}, { reserve }), 'EFBIG', 'fallocate', undefined, limit);
        }
        assert.deepEqual([memory.size, memory.stat().size, bytes.at(-1)], [${mebibyte}, ${mebibyte}, 5]);
        memory.close();
      }
      // No file, so no matter.
      const segment = SysvSharedMemory.create(null, { size: ${2 * mebibyte} });
      segment.remove();`;
    const wrapper = withLimits({ fsize: mebibyte });
    expect(await runPeer(source, { args: [shmName(), folder], wrapper })).toMatchObject(clean);
  });
});

describe('RLIMIT_NOFILE', () => {
  it('is EMFILE to all that opens something, names its value, and leaves nothing behind', async () => {
    const folder = tempDir();
    const source = `${failing}
      import { closeSync, existsSync, openSync } from 'node:fs';
      const [name, fresh, folder] = args;
      const [path, freshPath] = [folder + '/file.bin', folder + '/new.bin'];
      const memory = SharedMemory.create(name, { size: 4096 });
      const file = MappedFile.create(path, { size: 4096 });
      const segment = SysvSharedMemory.create(null, { size: 4096 });
      segment.remove();
      const before = held();
      const fill = [];
      for (;;) {
        try {
          fill.push(openSync('/dev/null'));
        } catch (error) {
          assert.equal(error.code, 'EMFILE');
          break;
        }
      }
      const limit = /may have 128 open files \\(RLIMIT_NOFILE; .*ulimit -n/;
      fails(() => SharedMemory.create(fresh, { size: 1 }), 'EMFILE', 'shm_open', fresh, limit);
      fails(() => SharedMemory.open(name), 'EMFILE', 'shm_open', name, limit);
      fails(() => SharedMemory.openOrCreate(name, { size: 1 }), 'EMFILE', 'shm_open', name, limit);
      fails(() => SharedMemory.openOrCreate(fresh, { size: 1 }), 'EMFILE', 'shm_open', fresh, limit);
      fails(() => SharedMemory.anonymous({ size: 1 }), 'EMFILE', 'memfd_create', undefined, limit);
      fails(() => SharedMemory.fromFd(memory.fd), 'EMFILE', 'fcntl', undefined, limit);
      fails(() => SharedMemory.list(), 'EMFILE', 'opendir', '/dev/shm', limit);
      fails(() => MappedFile.create(freshPath, { size: 1 }), 'EMFILE', 'open', freshPath, limit);
      fails(() => MappedFile.open(path), 'EMFILE', 'open', path, limit);
      // What is open works on, and what needs no descriptor too.
      memory.resize(8192);
      memory.map().close();
      assert.equal(SharedMemory.stat(name).size, 8192);
      segment.stat();
      const other = SysvSharedMemory.fromId(segment.id);
      other.close();
      memory.resize(4096);
      for (const fd of fill) closeSync(fd);
      assert.equal(existsSync('/dev/shm' + fresh), false);
      assert.deepEqual(readdirSync(folder), ['file.bin']);
      assert.deepEqual(held(), before);
      SharedMemory.open(name);`;
    const wrapper = withLimits({ nofile: 128 });
    expect(await runPeer(source, { args: [shmName(), shmName(), folder], wrapper })).toMatchObject(clean);
  });
});

describe('RLIMIT_AS', () => {
  it('is ENOMEM to map, names its value, and leaves nothing behind', async () => {
    const size = 4096 * mebibyte;
    const peer = startPeer(
      `${failing}
      import { existsSync } from 'node:fs';
      const [name, path, size] = args;
      const memory = SharedMemory.anonymous({ size, reserve: false });
      const before = held();
      await send(Number(/VmSize:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024);
      const limit = await next();
      const reason = new RegExp(limit + ' bytes of addresses \\\\(RLIMIT_AS, \`ulimit -v\`\\\\)');
      const options = { size, reserve: false };
      fails(() => SharedMemory.create(name, options), 'ENOMEM', 'mmap', name, reason);
      fails(() => SharedMemory.anonymous(options), 'ENOMEM', 'mmap', undefined, reason);
      fails(() => MappedFile.create(path, options), 'ENOMEM', 'mmap', path, reason);
      fails(() => SharedMemory.fromFd(memory.fd), 'ENOMEM', 'mmap', undefined, reason);
      fails(() => memory.map(), 'ENOMEM', 'mmap', undefined, reason);
      fails(() => SysvSharedMemory.create(null, { size: size / 4 }), 'ENOMEM', 'shmat', undefined, reason);
      assert.deepEqual([existsSync('/dev/shm' + name), existsSync(path)], [false, false]);
      assert.deepEqual(SysvSharedMemory.list().filter(({ creatorPid }) => creatorPid === process.pid), []);
      assert.deepEqual(held(), before);`,
      { args: [shmName(), tempPath(), size] },
    );
    // Only now: Node itself reserves a lot at the start. The rest is for its own use.
    const limit = (await peer.next()) + 512 * mebibyte;
    const { code, stderr } = await runProgram('prlimit', [
      '--pid',
      String(peer.process.pid),
      `--as=${limit}`,
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    peer.send(limit);
    expect(await peer.exited).toMatchObject(clean);
  });
});

describe.skipIf(!canSetIpcLimits)('a limit of System V', () => {
  function withIpcLimit(name: string, value: number): string[] {
    return inNamespaces(['--ipc'], `echo ${value} > /proc/sys/kernel/${name}`);
  }

  it('on the number of segments is ENOSPC, which names kernel.shmmni', async () => {
    const source = `${failing}
      const before = held();
      const segments = [1, 2, 3].map((key) => SysvSharedMemory.create(key, { size: 1 }));
      const limit = /may be 3 in number \\(sysctl kernel.shmmni\\)/;
      fails(() => SysvSharedMemory.create(4, { size: 1 }), 'ENOSPC', 'shmget', '0x00000004', limit);
      fails(() => SysvSharedMemory.openOrCreate(4, { size: 1 }), 'ENOSPC', 'shmget', '0x00000004', limit);
      fails(() => SysvSharedMemory.create(null, { size: 1 }), 'ENOSPC', 'shmget', undefined, limit);
      assert.equal(SysvSharedMemory.openOrCreate(3, { size: 1 }).id, segments[2].id);
      segments[0].remove();
      segments[0].close();
      SysvSharedMemory.create(4, { size: 1 });`;
    expect(await runPeer(source, { wrapper: withIpcLimit('shmmni', 3) })).toMatchObject(clean);
  });

  it('on the size of one is EINVAL, which names kernel.shmmax', async () => {
    const source = `${failing}
      const limit = /may have 1 to 8192 bytes \\(sysctl kernel.shmmax\\)/;
      fails(() => SysvSharedMemory.create(1, { size: 8193 }), 'EINVAL', 'shmget', '0x00000001', limit);
      fails(() => SysvSharedMemory.openOrCreate(1, { size: ${huge} }), 'EINVAL', 'shmget', '0x00000001', limit);
      assert.equal(SysvSharedMemory.create(1, { size: 8192 }).size, 8192);`;
    expect(await runPeer(source, { wrapper: withIpcLimit('shmmax', 8192) })).toMatchObject(clean);
  });

  it('on the pages of all is ENOSPC, which names kernel.shmall', async () => {
    const source = `${failing}
      const segment = SysvSharedMemory.create(1, { size: 8192 });
      fails(() => SysvSharedMemory.create(2, { size: 4 * 65536 }), 'ENOSPC', 'shmget', '0x00000002', /and 4 in pages \\(sysctl kernel.shmall\\)/);
      assert.equal(SysvSharedMemory.list().length, 1);`;
    expect(await runPeer(source, { wrapper: withIpcLimit('shmall', 4) })).toMatchObject(clean);
  });
});
