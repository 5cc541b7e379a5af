/**
 * Who may do what. Run by root, the peers give up root after the start (the checkout may lie where nobody else can
 * read); run by others, objects of mode 0 stand in for those of somebody else.
 */
import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { MappedFile, SharedMemory, SysvSharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failing } from '../support/failures.js';
import { shmName, sysvKey, tempDir, tempPath } from '../support/names.js';
import { isRoot } from '../support/namespaces.js';
import { clean, runPeer } from '../support/peer.js';

/** What keeps the peer out of an object that the test has made: it is nobody or, if it is us, nobody may. */
const nobody = isRoot ? 0o600 : 0;

/** A path that everybody can reach, in a folder of this mode. */
function publicPath(mode = 0o755): string {
  const path = tempPath();
  chmodSync(dirname(path), mode);
  return path;
}

describe('without permission', () => {
  it('shared memory of somebody else is EACCES to open, and leaves nothing behind', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096, mode: nobody });
    const source = `${failing}
      becomeNobody();
      const before = held();
      for (const options of [{}, { readOnly: true }]) fails(() => SharedMemory.open(args[0], options), 'EACCES', 'shm_open', args[0]);
      fails(() => SharedMemory.openOrCreate(args[0], { size: 1 }), 'EACCES', 'shm_open', args[0]);
      fails(() => SharedMemory.create(args[0], { size: 1 }), 'EEXIST', 'shm_open', args[0]);
      assert.equal(SharedMemory.stat(args[0]).mode, args[1]);
      assert.ok(SharedMemory.list().some(({ name }) => name === args[0]));
      assert.deepEqual(held(), before);`;
    expect(await runPeer(source, { args: [memory.name, nobody] })).toMatchObject(clean);
  });

  it('a file of somebody else is EACCES to open, and so is all in a folder that one can not search', async () => {
    using file = MappedFile.create(publicPath(), { size: 4096, mode: nobody });
    const hidden = `${tempDir()}/file.bin`;
    writeFileSync(hidden, 'content', { mode: 0o666 });
    chmodSync(dirname(hidden), isRoot ? 0o700 : 0);
    const source = `${failing}
      becomeNobody();
      const before = held();
      const [path, hidden] = args;
      for (const each of args) {
        for (const options of [{}, { readOnly: true }]) fails(() => MappedFile.open(each, options), 'EACCES', 'open', each);
        fails(() => MappedFile.openOrCreate(each, { size: 1 }), 'EACCES', 'open', each);
      }
      fails(() => MappedFile.create(hidden, { size: 1 }), 'EACCES', 'open', hidden);
      fails(() => MappedFile.unlink(hidden), 'EACCES', 'unlink', hidden);
      fails(() => MappedFile.stat(hidden), 'EACCES', 'stat', hidden);
      fails(() => ftok(hidden, 1), 'EACCES', 'ftok', hidden);
      assert.deepEqual(held(), before);`;
    const exit = await runPeer(source, { args: [file.path, hidden] });
    chmodSync(dirname(hidden), 0o700);
    expect(exit).toMatchObject(clean);
  });

  it('a segment of somebody else is EACCES to attach and to look at', async () => {
    using segment = SysvSharedMemory.create(sysvKey(), { size: 4096 });
    segment.set({ mode: nobody });
    const source = `${failing}
      becomeNobody();
      const before = held();
      const [key, id] = args;
      for (const options of [{}, { readOnly: true }]) {
        fails(() => SysvSharedMemory.open(key, options), 'EACCES', 'shmat', 'id ' + id);
        fails(() => SysvSharedMemory.fromId(id, options), 'EACCES', 'shmctl', 'id ' + id);
      }
      fails(() => SysvSharedMemory.openOrCreate(key, { size: 1 }), 'EACCES', 'shmat', 'id ' + id);
      assert.ok(SysvSharedMemory.list().some((each) => each.id === id));
      assert.deepEqual(held(), before);`;
    const exit = await runPeer(source, { args: [segment.key, segment.id] });
    segment.remove();
    expect(exit).toMatchObject(clean);
  });

  it('to write, an object opens for reading only', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096, mode: 0o444 });
    using file = MappedFile.create(publicPath(), { size: 4096, mode: 0o444 });
    using segment = SysvSharedMemory.create(sysvKey(), { size: 4096 });
    segment.set({ mode: 0o444 });
    for (const { buffer } of [memory, file, segment]) new Uint8Array(buffer)[0] = 7;
    const source = `${failing}
      becomeNobody();
      const [name, path, key, id] = args;
      fails(() => SharedMemory.open(name), 'EACCES', 'shm_open', name);
      fails(() => MappedFile.open(path), 'EACCES', 'open', path);
      fails(() => SysvSharedMemory.open(key), 'EACCES', 'shmat', 'id ' + id);
      fails(() => SysvSharedMemory.fromId(id), 'EACCES', 'shmat', 'id ' + id);
      const readOnly = { readOnly: true };
      for (const memory of [
        SharedMemory.open(name, readOnly),
        MappedFile.open(path, readOnly),
        SysvSharedMemory.open(key, readOnly),
        SysvSharedMemory.fromId(id, readOnly),
      ]) {
        assert.equal(memory.readOnly, true);
        const bytes = new Uint8Array(memory.buffer);
        assert.equal(bytes[0], 7);
        bytes[0] = 8; // stays private
        memory.close();
      }`;
    const exit = await runPeer(source, { args: [memory.name, file.path, segment.key, segment.id] });
    segment.remove();
    expect(exit).toMatchObject(clean);
    for (const { buffer } of [memory, file, segment]) expect(new Uint8Array(buffer)[0]).toBe(7);
  });

  it('in a folder, nothing is made and nothing removed there', async () => {
    const path = publicPath();
    writeFileSync(path, 'content', { mode: 0o666 });
    chmodSync(dirname(path), 0o555);
    const source = `${failing}
      becomeNobody();
      const before = held();
      fails(() => MappedFile.create(args[0] + '.new', { size: 1 }), 'EACCES', 'open', args[0] + '.new');
      fails(() => MappedFile.openOrCreate(args[0] + '.new', { size: 1 }), 'EACCES', 'open', args[0] + '.new');
      fails(() => MappedFile.unlink(args[0]), 'EACCES', 'unlink', args[0]);
      assert.deepEqual(held(), before);`;
    expect(await runPeer(source, { args: [path] })).toMatchObject(clean);
    expect(statSync(path).size).toBe(7);
    chmodSync(dirname(path), 0o755);
  });

  it.skipIf(!isRoot)(
    'what belongs to somebody else stays where everybody may write, as in /dev/shm',
    async () => {
      using memory = SharedMemory.create(shmName(), { size: 1, mode: 0o666 });
      const path = publicPath(0o1777);
      using file = MappedFile.create(path, { size: 1, mode: 0o666 });
      const source = `${failing}
      becomeNobody();
      const [name, path] = args;
      fails(() => SharedMemory.unlink(name), 'EPERM', 'shm_unlink', name);
      const memory = SharedMemory.open(name);
      fails(() => memory.unlink(), 'EPERM', 'shm_unlink', name);
      fails(() => MappedFile.unlink(path), 'EPERM', 'unlink', path);
      const file = MappedFile.open(path);
      fails(() => file.unlink(), 'EPERM', 'unlink', path);`;
      expect(await runPeer(source, { args: [memory.name, path] })).toMatchObject(clean);
      expect([memory.linked, file.linked]).toEqual([true, true]);
    },
  );

  it.skipIf(!isRoot)('a segment of somebody else can not be changed, locked or removed', async () => {
    using segment = SysvSharedMemory.create(sysvKey(), { size: 4096, mode: 0o666 });
    const source = `${failing}
      becomeNobody();
      const memory = SysvSharedMemory.fromId(args[0]);
      for (const call of [
        () => memory.set({ mode: 0o600 }),
        () => memory.set({ uid: process.getuid() }),
        () => memory.remove(),
        () => SysvSharedMemory.remove(args[0]),
        () => memory.lockSegment(),
        () => memory.unlockSegment(),
      ]) {
        fails(call, 'EPERM', 'shmctl', 'id ' + args[0]);
      }`;
    const exit = await runPeer(source, { args: [segment.id] });
    expect(segment.stat()).toMatchObject({ mode: 0o666, locked: false });
    segment.remove();
    expect(exit).toMatchObject(clean);
  });

  it('an object can not be made for somebody else, and nothing is left of it', async () => {
    const folder = dirname(publicPath(0o777));
    const source = `${failing}
      import { existsSync } from 'node:fs';
      becomeNobody();
      const before = held();
      const [name, path] = args;
      for (const access of [{ uid: 0 }, { gid: 0 }, { uid: 1, gid: 1, mode: 0o666 }]) {
        const options = { size: 4096, ...access };
        fails(() => SharedMemory.create(name, options), 'EPERM', 'fchown', name);
        fails(() => SharedMemory.openOrCreate(name, options), 'EPERM', 'fchown', name);
        fails(() => SharedMemory.anonymous(options), 'EPERM', 'fchown');
        fails(() => MappedFile.create(path, options), 'EPERM', 'fchown', path);
        fails(() => MappedFile.openOrCreate(path, options), 'EPERM', 'fchown', path);
      }
      assert.equal(existsSync('/dev/shm' + name), false);
      assert.deepEqual(readdirSync(args[2]), []);
      assert.deepEqual(held(), before);`;
    expect(await runPeer(source, { args: [shmName(), `${folder}/file.bin`, folder] })).toMatchObject(clean);
  });

  it('for oneself, a segment is not left behind when it can not be attached', async () => {
    const source = `${failing}
      becomeNobody();
      const before = held();
      const [key] = args;
      for (const mode of [0, 0o400, 0o066]) {
        assert.throws(() => SysvSharedMemory.create(key, { size: 4096, mode }), { code: 'EACCES', syscall: 'shmat' });
      }
      fails(() => SysvSharedMemory.open(key), 'ENOENT', 'shmget');
      assert.deepEqual(SysvSharedMemory.list().filter(({ creatorPid }) => creatorPid === process.pid), []);
      assert.deepEqual(held(), before);`;
    expect(await runPeer(source, { args: [sysvKey()] })).toMatchObject(clean);
  });
});

describe('the mode', () => {
  const modes = [0o600, 0o666, 0o640, 0o606, 0o777, 0o200, 0];

  it.each(['777', '022', '000'])('is exactly the one asked for, whatever the umask: %s', async (octal) => {
    const umask = Number.parseInt(octal, 8);
    const folder = dirname(publicPath(0o777));
    const source = `${failing}
      import { fstatSync, statSync } from 'node:fs';
      const [umask, name, folder, modes] = args;
      process.umask(umask);
      for (const mode of [undefined, ...modes]) {
        const options = { size: 4096, mode };
        const expected = mode ?? 0o600;
        const path = folder + '/' + mode;
        const memory = SharedMemory.create(name, options);
        assert.equal(statSync('/dev/shm' + name).mode & 0o7777, expected);
        assert.equal(memory.stat().mode, expected);
        memory.unlink();
        const file = MappedFile.create(path, options);
        assert.equal(statSync(path).mode & 0o7777, expected);
        file.unlink();
        // Never executable, so it has no such bits: see below.
        const anonymous = SharedMemory.anonymous({ ...options, mode: mode && mode & 0o666 });
        assert.equal(fstatSync(anonymous.fd).mode & 0o7777, expected & 0o666);
        if (process.getuid() !== 0 && (expected & 0o600) !== 0o600) continue;
        const segment = SysvSharedMemory.create(null, options);
        assert.equal(segment.stat().mode, expected);
        segment.remove();
      }
      assert.equal(process.umask(), umask);`;
    expect(await runPeer(source, { args: [umask, shmName(), folder, modes] })).toMatchObject(clean);
  });

  it('of anonymous memory may have bits for execution: only without them is it sealed against that', () => {
    using executable = SharedMemory.anonymous({ size: 1, mode: 0o755 });
    using usual = SharedMemory.anonymous({ size: 1, mode: 0o644 });
    expect([executable.stat().mode, usual.stat().mode]).toEqual([0o755, 0o644]);
    expect(executable.seals).not.toContain('exec');
  });

  it('may shut out the maker himself, who keeps what he has made', async () => {
    const source = `${failing}
      becomeNobody();
      const [name, path] = args;
      for (const memory of [
        SharedMemory.create(name, { size: 4096, mode: 0 }),
        MappedFile.create(path, { size: 4096, mode: 0 }),
        SharedMemory.anonymous({ size: 4096, mode: 0 }),
      ]) {
        new Uint8Array(memory.buffer)[0] = 1;
        memory.resize(8192);
        assert.equal(new Uint8Array(memory.buffer)[0], 1);
      }
      fails(() => SharedMemory.open(name, { readOnly: true }), 'EACCES', 'shm_open', name);
      fails(() => MappedFile.open(path, { readOnly: true }), 'EACCES', 'open', path);
      SharedMemory.unlink(name);`;
    expect(await runPeer(source, { args: [shmName(), publicPath(0o777)] })).toMatchObject(clean);
  });
});

describe.skipIf(!isRoot)('the owner and the group', () => {
  it('are exactly those asked for', () => {
    const owners = [{ uid: 1 }, { gid: 2 }, { uid: 65534, gid: 65534, mode: 0o640 }];
    for (const owner of owners) {
      const options = { size: 4096, ...owner };
      const expected = { uid: 0, gid: 0, mode: 0o600, ...owner };
      using memory = SharedMemory.create(shmName(), options);
      expect(memory.stat()).toMatchObject(expected);
      using file = MappedFile.create(tempPath(), options);
      expect(file.stat()).toMatchObject(expected);
      using anonymous = SharedMemory.anonymous(options);
      expect(anonymous.stat()).toMatchObject(expected);
      using segment = SysvSharedMemory.create(null, options);
      expect(segment.stat()).toMatchObject({ ...expected, creatorUid: 0, creatorGid: 0 });
      segment.remove();
    }
  });

  it('let them open it, and nobody else', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096, mode: 0o640, uid: 1, gid: 65534 });
    const source = `${failing}
      becomeNobody(); // of that group
      fails(() => SharedMemory.open(args[0]), 'EACCES', 'shm_open', args[0]);
      assert.equal(SharedMemory.open(args[0], { readOnly: true }).size, 4096);`;
    expect(await runPeer(source, { args: [memory.name] })).toMatchObject(clean);
  });
});
