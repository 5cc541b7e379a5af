import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MappedFile, SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { shmName, tempDir, tempPath } from '../support/names.js';
import { clean, runPeer, runProgram, startPeer } from '../support/peer.js';

/** The environment of a process to which no file system offers O_TMPFILE. */
async function withoutTmpfile(): Promise<NodeJS.ProcessEnv> {
  const library = tempPath('no-tmpfile.so');
  const source = fileURLToPath(new URL('no-tmpfile.c', import.meta.url));
  expect(await runProgram('g++', ['-x', 'c', '-shared', '-fPIC', '-o', library, source])).toMatchObject(
    clean,
  );
  return { LD_PRELOAD: library };
}

describe('on a file system without O_TMPFILE', () => {
  it('an object is made complete and exclusively, and a failure leaves nothing', async () => {
    const env = await withoutTmpfile();
    const folder = tempDir();
    const name = shmName();
    const source = `
      const memory = SharedMemory.create(args[0], { size: 5000, mode: 0o640 });
      assert.deepEqual([memory.stat().size, memory.stat().mode, memory.stat().nlink, memory.linked], [5000, 0o640, 1, true]);
      assert.throws(() => SharedMemory.create(args[0], { size: 1 }), { code: 'EEXIST', syscall: 'shm_open' });
      const file = MappedFile.create(args[1] + '/file', { size: 5000 });
      assert.deepEqual([file.stat().size, file.stat().nlink, file.linked], [5000, 1, true]);
      assert.throws(() => MappedFile.create(args[1] + '/other', { size: 2 ** 50 }), { code: /^E(NOSPC|FBIG)$/ });
      assert.throws(() => MappedFile.create(args[1] + '/none/file', { size: 1 }), { code: 'ENOENT', syscall: 'open' });`;
    expect(await runPeer(source, { env, args: [name, folder] })).toMatchObject(clean);
    expect(readdirSync(folder)).toEqual(['file']);
    expect(readdirSync('/dev/shm').filter((each) => each.startsWith('.interproc-'))).toEqual([]);
    using memory = SharedMemory.open(name);
    using file = MappedFile.open(`${folder}/file`);
    expect([memory.size, file.size]).toEqual([5000, 5000]);
  });

  it('nobody sees an unfinished object of processes that race for its name', async () => {
    const env = await withoutTmpfile();
    const name = shmName();
    const peers = Array.from({ length: 3 }, () =>
      startPeer(
        `for (let round = 0; round < 1000; round++) {
           const memory = SharedMemory.openOrCreate(args[0], { size: 8192 });
           assert.equal(memory.size, 8192);
           memory.close();
           try { SharedMemory.unlink(args[0]); } catch (error) { assert.equal(error.code, 'ENOENT'); }
         }`,
        { env, args: [name] },
      ),
    );
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
  });
});
