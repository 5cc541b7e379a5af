/** Where a lock can lie, and where not: offsets, kinds of memory, other locks in the way. */

import { constants } from 'node:buffer';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import {
  Condition,
  MappedFile,
  Mutex,
  Once,
  RwLock,
  SharedEvent,
  SharedMemory,
  SysvSharedMemory,
} from 'interproc';
import { describe, expect, it } from 'vitest';
import { compileConstructor, withConstructors } from '../support/constructor.js';
import { misuse, type Wrong } from '../support/failures.js';
import { exclusive, kinds, withLocks, word } from '../support/locks.js';
import { shmName, tempPath } from '../support/names.js';
import { isRoot, withLimits } from '../support/namespaces.js';
import { clean, runPeer, startPeer } from '../support/peer.js';
import { seeded } from '../support/random.js';
import { execArgv, withWorkers } from '../support/workers.js';

const ipcError = (code: string) => expect.objectContaining({ name: 'IpcError', code });
const overlap = ipcError('ERR_INTERPROC_OVERLAP');
const mismatch = ipcError('ERR_INTERPROC_MISMATCH');
const GiB = 2 ** 30;
const MiB = 2 ** 20;

describe.each(kinds)('%s: an offset', (kind) => {
  const bytes = { Mutex: 16, RwLock: 256 }[kind];

  it('is a multiple of 8 with room behind it: each other one is refused', () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const at: Wrong = (offset: unknown) => exclusive(kind, memory, offset as number);
    for (const offset of [1, 2, 4, 12, 4097, -8, -1, 0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY]) {
      expect(() => at(offset), String(offset)).toThrow(misuse('RangeError', 'ERR_OUT_OF_RANGE', 'offset'));
    }
    for (const offset of [4096 - bytes + 8, 4096, 2 ** 40]) {
      expect(() => at(offset), String(offset)).toThrow(misuse('RangeError', 'ERR_OUT_OF_RANGE', 'offset'));
    }
    for (const offset of ['0', null, 0n, {}]) {
      expect(() => at(offset), String(offset)).toThrow(misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'offset'));
    }
    expect(new Set(new Uint8Array(memory.buffer))).toEqual(new Set([0]));
    for (const offset of [0, 8 + 256, 4096 - bytes]) at(offset).takeSync().unlock();
  });

  it('may be the last one of a memory whose size is odd', () => {
    using memory = SharedMemory.anonymous({ size: 4096 + bytes + 3 });
    exclusive(kind, memory, 4096).takeSync().unlock();
    expect(() => exclusive(kind, memory, 4104)).toThrow(misuse('RangeError', 'ERR_OUT_OF_RANGE', 'offset'));
  });

  it('is refused in memory of zero bytes, and in what is no memory', () => {
    const path = tempPath();
    writeFileSync(path, '');
    using empty = MappedFile.open(path);
    expect(() => exclusive(kind, empty)).toThrow(misuse('RangeError', 'ERR_OUT_OF_RANGE', 'offset'));
    for (const memory of [
      new ArrayBuffer(4096),
      new Uint8Array(4096),
      Buffer.alloc(64),
      null,
      undefined,
      7,
    ]) {
      expect(() => exclusive(kind, memory as Wrong)).toThrow(
        misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'memory'),
      );
    }
  });

  it('may be on both sides of, and across, each border of a page and of a piece that is mapped', async () => {
    using memory = SharedMemory.create(shmName(), { size: 3 * MiB, reserve: false });
    const offsets = [4096, MiB, 2 * MiB].flatMap((border) => [
      border - 2 * 256 - 8,
      border - 8, // across it
      border + 2 * 256 - 8,
    ]);
    offsets.push(3 * MiB - bytes);
    const locks = offsets.map((offset) => exclusive(kind, memory, offset));
    const guards = locks.map((lock) => lock.takeSync());
    const peer = startPeer(
      `${withLocks}
      const memory = SharedMemory.open(args[1]);
      const locks = args[2].map((offset) => exclusive(args[0], memory, offset));
      for (const { tryTake } of locks) assert.equal(tryTake(), null);
      await send('looked');
      for (const { takeSync } of locks) takeSync().unlock();`,
      { args: [kind, memory.name, offsets] },
    );
    expect(await peer.next()).toBe('looked');
    for (const guard of guards) guard.unlock();
    expect(await peer.exited).toMatchObject(clean);
    for (const offset of offsets) expect(word(memory, offset)[0]).toBe(0);
  });

  it('may be each of thousands in one memory', () => {
    using memory = SharedMemory.anonymous({ size: 5000 * 256 });
    const locks = Array.from({ length: 5000 }, (_, index) => exclusive(kind, memory, index * 256));
    const guards = locks.map((lock) => lock.takeSync());
    expect(locks.every((lock) => lock.tryTake() === null)).toBe(true);
    for (const guard of guards) guard.unlock();
    for (const lock of locks) lock.takeSync().unlock();
  });

  it('may be beyond 4 GiB of a sparse file: in a window, and in the whole of it, the same lock', () => {
    const path = tempPath();
    using file = MappedFile.create(path, { size: 6 * GiB, reserve: false });
    for (const offset of [4 * GiB - 8, 5 * GiB + 4096 + 8, 6 * GiB - bytes]) {
      using window = file.map({ offset: offset - 8 });
      const [whole, inWindow] = [exclusive(kind, file, offset), exclusive(kind, window, 8)];
      const guard = whole.takeSync();
      expect(inWindow.tryTake()).toBe(null);
      guard.unlock();
      const next = inWindow.takeSync();
      expect(whole.tryTake()).toBe(null);
      next.unlock();
      expect(() => exclusive(kind, window, 16)).toThrow(offset + 16 + bytes > 6 * GiB ? RangeError : overlap);
    }
    expect(constants.MAX_LENGTH >= 4 * GiB || file.size > constants.MAX_LENGTH).toBe(true);
  });
});

describe.each(kinds)('%s: memory', (kind) => {
  const contended = `${withLocks}
    const guard = exclusive(args[0], memory, args[1]).takeSync();
    assert.equal(guard.abandoned, false);
    new Int32Array(memory.buffer)[0]++;
    guard.unlock();`;

  it('may be named, anonymous, of a descriptor, a mapped file or a window: shared with another process', async () => {
    const path = tempPath();
    using named = SharedMemory.create(shmName(), { size: 8192 });
    using anonymous = SharedMemory.anonymous({ size: 8192 });
    using file = MappedFile.create(path, { size: 8192 });
    const openings: [SharedMemory | MappedFile, string, number[]][] = [
      [named, `SharedMemory.open(${JSON.stringify(named.name)})`, []],
      [named, `SharedMemory.open(${JSON.stringify(named.name)}).map({ offset: 0 })`, []],
      [anonymous, 'SharedMemory.fromFd(4)', [anonymous.fd]],
      [file, `MappedFile.open(${JSON.stringify(path)})`, []],
      [file, `MappedFile.open(${JSON.stringify(path)}).map({ offset: 0, length: 4096 })`, []],
    ];
    for (const [memory, opening, fds] of openings) {
      const before = new Int32Array(memory.buffer)[0] as number;
      const guard = exclusive(kind, memory, 1024).takeSync();
      const peer = startPeer(`const memory = ${opening}; ${contended}`, { args: [kind, 1024], fds });
      await expect.poll(() => word(memory, 1024)[0]).toBeLessThan(0);
      expect(new Int32Array(memory.buffer)[0]).toBe(before);
      guard.unlock();
      expect(await peer.exited).toMatchObject(clean);
      expect(new Int32Array(memory.buffer)[0]).toBe(before + 1);
    }
  });

  it('of System V knows no deaths: ERR_INTERPROC_NO_LIVENESS, but { recovery: false } works between processes', async () => {
    using memory = SysvSharedMemory.create(null, { size: 4096 });
    try {
      expect(() => exclusive(kind, memory, 1024)).toThrow(
        expect.objectContaining({
          code: 'ERR_INTERPROC_NO_LIVENESS',
          message: expect.stringContaining('recovery: false'),
        }),
      );
      expect(() => exclusive(kind, memory, 1024, { recovery: true })).toThrow(
        ipcError('ERR_INTERPROC_NO_LIVENESS'),
      );
      expect(word(memory, 1024)[1]).toBe(0);
      const lock = exclusive(kind, memory, 1024, { recovery: false });
      const guard = lock.takeSync();
      const source = `${withLocks}
        const memory = SysvSharedMemory.fromId(args[1]);
        const { takeSync } = exclusive(args[0], memory, 1024, { recovery: false });
        new Int32Array(memory.buffer)[0]++;
        const guard = takeSync();
        new Int32Array(memory.buffer)[0]++;
        if (args[2] === 'unlock') guard.unlock();`;
      const peer = startPeer(source, { args: [kind, memory.id, 'unlock'] });
      await expect.poll(() => word(memory, 1024)[0]).toBeLessThan(0);
      expect(new Int32Array(memory.buffer)[0]).toBe(1);
      guard.unlock();
      expect(await peer.exited).toMatchObject(clean);
      expect(new Int32Array(memory.buffer)[0]).toBe(2);
      // And what a process holds that dies stays held.
      expect(await runPeer(source, { args: [kind, memory.id, 'die'] })).toMatchObject(clean);
      expect(lock.tryTake()).toBe(null);
      expect(() => lock.takeSync({ timeout: 60 })).toThrow(ipcError('ETIMEDOUT'));
      expect(lock.holder?.alive).toBe(true);
    } finally {
      memory.remove();
    }
  });

  it.each(['EINVAL', 'ENOLCK', 'ENOTSUP'])(
    'on a file system without open file description locks (%s) has none of its own: ERR_INTERPROC_NO_LIVENESS',
    async (code) => {
      // There is none here: the kernel is told to answer as if there were.
      const refusing = `
        struct sock_filter filter[] = {
          BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_fcntl, 0, 3),
          BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
          BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, F_OFD_GETLK, 0, 1),
          BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, F_OFD_SETLKW, 0, 1),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ${code}),
        };
        struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) abort();`;
      const headers = [
        'errno.h',
        'fcntl.h',
        'linux/filter.h',
        'linux/seccomp.h',
        'stddef.h',
        'sys/prctl.h',
        'sys/syscall.h',
      ];
      const source = `${withLocks} ${withConstructors}
        import { readdirSync } from 'node:fs';
        const memory = SharedMemory.anonymous({ size: 4096 });
        load(args[1]);
        const before = readdirSync('/proc/self/fd').length;
        assert.throws(() => exclusive(args[0], memory, 0), (error) => {
          assert.equal(error.code, 'ERR_INTERPROC_NO_LIVENESS');
          assert.equal(error.cause.code, args[2]);
          assert.match(error.message, /file system .* recovery: false/);
          return true;
        });
        assert.equal(readdirSync('/proc/self/fd').length, before);
        exclusive(args[0], memory, 0, { recovery: false }).takeSync().unlock();`;
      const library = compileConstructor(refusing, headers);
      expect(await runPeer(source, { args: [kind, library, code] })).toMatchObject(clean);
    },
  );

  it('is shared by openers of one mind about recovery: others are refused, in any process', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    exclusive(kind, memory, 0, { recovery: false }).takeSync().unlock();
    expect(() => exclusive(kind, memory, 0)).toThrow(mismatch);
    expect(() => exclusive(kind, memory, 0)).toThrow(/recovery: false/);
    exclusive(kind, memory, 512, { recovery: true }).takeSync().unlock();
    const source = `${withLocks}
      const memory = SharedMemory.open(args[1]);
      assert.throws(() => exclusive(args[0], memory, 0), { code: 'ERR_INTERPROC_MISMATCH', message: /recovery: false/ });
      assert.throws(() => exclusive(args[0], memory, 512, { recovery: false }), { code: 'ERR_INTERPROC_MISMATCH', message: /recovery: true/ });
      exclusive(args[0], memory, 0, { recovery: false }).takeSync().unlock();
      exclusive(args[0], memory, 512).takeSync().unlock();`;
    expect(await runPeer(source, { args: [kind, memory.name] })).toMatchObject(clean);
    const wrong: Wrong = { recovery: 'no' };
    expect(() => exclusive(kind, memory, 1024, wrong)).toThrow(
      misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'recovery'),
    );
    expect(() => exclusive(kind, memory, 1024, 5 as Wrong)).toThrow(
      misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'options'),
    );
  });

  it('that was opened read-only has no lock: ERR_INTERPROC_READ_ONLY', () => {
    const path = tempPath();
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    using readOnly = SharedMemory.open(memory.name as string, { readOnly: true });
    MappedFile.create(path, { size: 4096 }).close();
    using file = MappedFile.open(path, { readOnly: true });
    using window = file.map();
    const fd = openSync(path, 'r');
    using ofFd = SharedMemory.fromFd(fd);
    closeSync(fd);
    for (const each of [readOnly, file, window, ofFd]) {
      for (const recovery of [true, false]) {
        expect(() => exclusive(kind, each, 0, { recovery })).toThrow(ipcError('ERR_INTERPROC_READ_ONLY'));
      }
    }
    expect(new Set(new Uint8Array(memory.buffer))).toEqual(new Set([0]));
  });

  it.runIf(isRoot)(
    "that is another user's memfd can't be opened anew: EACCES, but for { recovery: false }",
    async () => {
      using memory = SharedMemory.anonymous({ size: 4096 });
      const source = `${withLocks}
      process.setgroups([]);
      process.setgid(65534);
      process.setuid(65534);
      const memory = SharedMemory.fromFd(4);
      assert.throws(() => exclusive(args[0], memory, 0), { code: 'EACCES', syscall: 'open' });
      exclusive(args[0], memory, 512, { recovery: false }).takeSync().unlock();`;
      expect(await runPeer(source, { args: [kind], fds: [memory.fd] })).toMatchObject(clean);
      exclusive(kind, memory, 0).takeSync().unlock();
    },
  );

  it('needs one more descriptor for all its locks: EMFILE leaves nothing behind, and later it works', async () => {
    const source = `${withLocks}
      import { openSync, closeSync, readdirSync } from 'node:fs';
      const memory = SharedMemory.anonymous({ size: 4096 });
      const all = [];
      try { for (;;) all.push(openSync('/dev/null')); } catch (error) { assert.equal(error.code, 'EMFILE'); }
      assert.throws(() => exclusive(args[0], memory, 0), { code: 'EMFILE' });
      exclusive(args[0], memory, 512, { recovery: false }).takeSync().unlock();
      for (const fd of all) closeSync(fd);
      const open = readdirSync('/proc/self/fd').length;
      for (const offset of [0, 1024, 2048]) exclusive(args[0], memory, offset).takeSync().unlock();
      assert.equal(readdirSync('/proc/self/fd').length, open + 1);
      memory.close();
      assert.equal(readdirSync('/proc/self/fd').length, open - 1);`;
    const wrapper = withLimits({ nofile: 512 });
    expect(await runPeer(source, { args: [kind], wrapper })).toMatchObject(clean);
  });
});

describe('two locks of one process', () => {
  it('do not overlap, of one kind or two: whoever comes second is refused, and the first one works on', () => {
    using memory = SharedMemory.anonymous({ size: 8192 });
    const first = RwLock.at(memory, 1024);
    for (const offset of [1024, 1024 + 8, 1024 + 240])
      expect(() => Mutex.at(memory, offset)).toThrow(overlap);
    for (const offset of [1024 - 248, 1024 - 8, 1024 + 8, 1024 + 248]) {
      expect(() => RwLock.at(memory, offset)).toThrow(overlap);
    }
    for (const other of [Condition, Once, SharedEvent]) {
      expect(() => other.at(memory, 1024 + 16)).toThrow(overlap);
    }
    expect(() => Condition.at(memory, 8)).toThrow(overlap);
    expect(() => Mutex.at(memory, 1024 + 8)).toThrow(/Mutex at offset 1032 .*RwLock .*1024 to 1280/);
    first.writeSync().unlock();
    for (const offset of [1024 - 16, 1024 + 256]) Mutex.at(memory, offset).lockSync().unlock();
    expect(() => Mutex.at(memory, 1024 - 8)).toThrow(overlap);
  });

  it('do not overlap through another region, a window or another process-wide view of the same memory', () => {
    const path = tempPath();
    using memory = MappedFile.create(path, { size: 16_384 });
    using again = MappedFile.open(path);
    using window = memory.map({ offset: 4096 - 8 });
    Mutex.at(memory, 4096).lockSync().unlock();
    expect(() => RwLock.at(again, 4096)).toThrow(overlap);
    expect(() => Mutex.at(again, 4096 + 8)).toThrow(overlap);
    expect(() => Mutex.at(window, 0)).toThrow(overlap);
    expect(() => Mutex.at(window, 16)).toThrow(overlap);
    Mutex.at(window, 8).lockSync().unlock();
  });

  it("do not overlap in two threads, and a worker that has ended is in nobody's way", async () => {
    const source = `${withWorkers}
      const memory = SharedMemory.anonymous({ size: 4096 });
      const mutex = Mutex.at(memory, 0);
      const use = \`
        const memory = SharedMemory.fromFd(workerData);
        const codeOf = (call) => { try { call(); return 'none'; } catch (error) { return error.code; } };
        const codes = [codeOf(() => RwLock.at(memory, 8)), codeOf(() => Mutex.at(memory, 0))];
        globalThis.kept = RwLock.at(memory, 1024);
        parentPort.postMessage(codes);
        setInterval(() => {}, 1e6);\`;
      const worker = startWorker(use, memory.fd);
      assert.deepEqual(await reply(worker), ['ERR_INTERPROC_OVERLAP', 'none']);
      assert.throws(() => Mutex.at(memory, 1024 + 8), { code: 'ERR_INTERPROC_OVERLAP' });
      await worker.terminate();
      new Int32Array(memory.buffer).fill(0, 256);
      Mutex.at(memory, 1024 + 8).lockSync().unlock();`;
    expect(await runPeer(source, { execArgv })).toMatchObject(clean);
  });

  it('may follow each other in the same bytes, once the first is closed or collected and the bytes are zeros', async () => {
    const source = `
      const memory = SharedMemory.anonymous({ size: 4096 });
      const other = SharedMemory.fromFd(memory.fd);
      Mutex.at(other, 512).lockSync().unlock();
      other.close();
      (() => Mutex.at(memory, 0).lockSync().unlock())();
      new Int32Array(memory.buffer).fill(0);
      RwLock.at(memory, 512).writeSync().unlock();
      let lock;
      while (lock === undefined) {
        gc();
        await new Promise(setImmediate);
        try { lock = RwLock.at(memory, 0); } catch (error) { assert.equal(error.code, 'ERR_INTERPROC_OVERLAP'); }
      }
      lock.writeSync().unlock();`;
    expect(await runPeer(source, { execArgv })).toMatchObject(clean);
  });
});

describe('where something else lies', () => {
  it('another process finds it: ERR_INTERPROC_MISMATCH, which names it', async () => {
    using memory = SharedMemory.create(shmName(), { size: 8192 });
    Mutex.at(memory, 0);
    RwLock.at(memory, 1024);
    Once.at(memory, 2048);
    const source = `
      const memory = SharedMemory.open(args[0]);
      const mismatch = { name: 'IpcError', code: 'ERR_INTERPROC_MISMATCH' };
      assert.throws(() => RwLock.at(memory, 0), { ...mismatch, message: /no RwLock at offset 0, but a Mutex/ });
      assert.throws(() => Mutex.at(memory, 1024), { ...mismatch, message: /no Mutex at offset 1024, but a RwLock/ });
      for (const Kind of [Mutex, RwLock]) assert.throws(() => Kind.at(memory, 2048), { ...mismatch, message: /but a Once/ });
      Mutex.at(memory, 0).lockSync().unlock();
      RwLock.at(memory, 1024).writeSync().unlock();`;
    expect(await runPeer(source, { args: [memory.name] })).toMatchObject(clean);
  });

  it.each(kinds)('%s: data of any other kind is refused and left as it is', (kind) => {
    using memory = SharedMemory.anonymous({ size: 65_536 });
    const random = seeded(3);
    const words = new Int32Array(memory.buffer);
    for (let index = 0; index < words.length; index++) words[index] = random(2 ** 32) | 1;
    const before = words.slice();
    for (let offset = 0; offset + 256 <= 65_536; offset += 256) {
      expect(() => exclusive(kind, memory, offset)).toThrow(mismatch);
    }
    expect(words.every((value, index) => value === before[index])).toBe(true);
    new Uint8Array(memory.buffer).fill(0xff);
    expect(() => exclusive(kind, memory)).toThrow(mismatch);
    // And the place is free for what fits.
    words.fill(0);
    exclusive(kind, memory).takeSync().unlock();
  });
});
