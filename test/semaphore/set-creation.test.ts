/**
 * Nobody ever sees a System V set that its maker has not filled in: not in a race of many processes, and not where the maker
 * is killed between the steps (native/os/failpoint.h). As root and as an ordinary user.
 */
import { SysvSemaphoreSet } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failing, failureOf, systemError } from '../support/failures.js';
import { setKey } from '../support/names.js';
import { isRoot } from '../support/namespaces.js';
import { clean, runPeer, startPeer } from '../support/peer.js';

const users = isRoot ? ['root', 'nobody'] : ['nobody'];
const head = (user: string) => `${failing} ${user === 'nobody' ? 'becomeNobody();' : ''}`;
const values = [3, 1, 2];
const options = '{ count: 3, initial: [3, 1, 2], mode: 0o666 }';

/** Makes the set of the key, and is killed at the step. */
async function die(key: number, failpoint: string, user: string, factory = 'create'): Promise<void> {
  const exit = await runPeer(`${head(user)} SysvSemaphoreSet.${factory}(args[0], ${options});`, {
    args: [key],
    env: { INTERPROC_FAILPOINT: failpoint },
  });
  expect(exit).toMatchObject({ signal: 'SIGKILL', stderr: '' });
}

const idOf = (key: number) => SysvSemaphoreSet.list().find((each) => each.key === key)?.id as number;

describe.each(users)('a set whose maker was killed, as %s', (user) => {
  it('before it was filled in is opened by nobody, until it is removed', async () => {
    const key = setKey();
    await die(key, 'semaphore-set.made', user);
    const source = `${head(user)}
      assert.equal(SysvSemaphoreSet.tryOpen(args[0]), null);
      assert.throws(() => SysvSemaphoreSet.openSync(args[0], { timeout: 3 }), { code: 'ETIMEDOUT', syscall: 'semget' });
      assert.throws(() => SysvSemaphoreSet.openSync(args[0], { timeout: 0 }), { code: 'ETIMEDOUT' });
      await assert.rejects(SysvSemaphoreSet.open(args[0], { timeout: 3 }), { code: 'ETIMEDOUT' });
      const controller = new AbortController();
      const opening = SysvSemaphoreSet.open(args[0], { signal: controller.signal });
      setImmediate(() => controller.abort());
      await assert.rejects(opening, { name: 'AbortError', code: 'ABORT_ERR' });
      assert.throws(() => SysvSemaphoreSet.create(args[0], ${options}), { code: 'EEXIST' });`;
    for (const each of users) {
      expect(await runPeer(source.replace(head(user), head(each)), { args: [key] })).toMatchObject(clean);
    }

    // Who waits gets the one that takes its place.
    const peer = startPeer(
      `${head(user)}
      const opening = SysvSemaphoreSet.open(args[0]);
      await send('waits');
      const set = await opening;
      assert.deepEqual(set.getAll(), [3, 1, 2]);`,
      { args: [key] },
    );
    expect(await peer.next()).toBe('waits');
    SysvSemaphoreSet.remove(idOf(key));
    using set = SysvSemaphoreSet.create(key, { count: 3, initial: values, mode: 0o666 });
    const exit = await peer.exited;
    // Between the two lines there was none.
    if (exit.code !== 0) expect(exit.stderr).toContain('ENOENT');
    expect(set.getAll()).toEqual(values);
  });
});

describe('openOrCreate', () => {
  it('makes anew what was left half-made, once for all who come, opens what is complete, and leaves what is not its own', async () => {
    const cases = users.flatMap((user) =>
      ['semaphore-set.made', 'semaphore-set.filled'].map((failpoint) => ({ user, failpoint, key: setKey() })),
    );
    // At once, as each waits until the maker must be dead.
    const foreign = isRoot ? expectLeft() : undefined;
    const outcomes = await Promise.all(
      cases.map(async ({ user, failpoint, key }) => {
        await die(key, failpoint, user, 'openOrCreate');
        const half = idOf(key);
        const source = `${head(user)}
          const set = SysvSemaphoreSet.openOrCreate(args[0], ${options});
          await send([set.id, set.created]);
          assert.deepEqual(set.getAll(), [3, 1, 2]);`;
        const peers = [1, 2].map(() => startPeer(source, { args: [key] }));
        const got: [number, boolean][] = await Promise.all(peers.map((each) => each.next()));
        for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
        return { half, got };
      }),
    );
    for (const [at, { half, got }] of outcomes.entries()) {
      const ids = new Set(got.map(([id]) => id));
      const made = got.filter(([, created]) => created).length;
      expect(ids.size).toBe(1);
      // Filled in, it is what its maker meant, but for its mode: who may look at it may use it.
      if (ids.has(half)) expect([cases[at]?.failpoint, made]).toEqual(['semaphore-set.filled', 0]);
      else expect(made).toBe(1);
    }
    await foreign;
  });

  /** Nobody may remove what root has left, and says that it is not ready. */
  async function expectLeft(): Promise<void> {
    const key = setKey();
    await die(key, 'semaphore-set.made', 'root');
    const half = idOf(key);
    const source = `${head('nobody')}
      assert.throws(() => SysvSemaphoreSet.openOrCreate(args[0], ${options}), { code: 'ETIMEDOUT', syscall: 'semget' });`;
    expect(await runPeer(source, { args: [key] })).toMatchObject(clean);
    expect(idOf(key)).toBe(half);
  }
});

describe('a set that many processes make, open and remove at once', () => {
  const makers = users.flatMap((maker) => users.map((opener) => ({ maker, opener })));

  it.each(makers)(
    'has its values whenever it is seen: made by $maker, opened by $opener',
    async ({ maker, opener }) => {
      const key = setKey();
      const gone = '/^(ENOENT|EIDRM|EINVAL)$/';
      const making = `${head(maker)}
      let made = 0;
      for (let round = 0; round < args[1] || made === 0; round++) {
        const set = SysvSemaphoreSet.openOrCreate(args[0], ${options});
        try {
          made += set.created;
          assert.equal(set.count, 3);
          assert.deepEqual(set.getAll(), [3, 1, 2]);
          assert.equal(set.stat().mode, 0o666);
          if (round % 3 !== 0) set.remove();
        } catch (error) {
          assert.match(String(error.code), ${gone}, error);
        }
        set.close();
      }`;
      const opening = `${head(opener)}
      let seen = 0;
      const look = (set) => {
        if (set === null) return;
        seen++;
        assert.deepEqual(set.getAll(), [3, 1, 2]);
        set.close();
      };
      for (let round = 0; round < args[1] || seen === 0; round++) {
        try {
          if (round % 3 === 0) look(SysvSemaphoreSet.tryOpen(args[0]));
          if (round % 3 === 1) look(SysvSemaphoreSet.openSync(args[0]));
          if (round % 3 === 2) look(await SysvSemaphoreSet.open(args[0]));
        } catch (error) {
          assert.match(String(error.code), ${gone}, error);
        }
      }
      await send(seen);`;
      // One stays until the openers have seen something.
      const peers = [...[1, 2].map(() => startPeer(making, { args: [key, 500] }))];
      const openers = [1, 2].map(() => startPeer(opening, { args: [key, 500] }));
      const keeper = startPeer(
        `${head(maker)}
      for (let more = true; more; ) {
        SysvSemaphoreSet.openOrCreate(args[0], ${options}).close();
        await new Promise((resolve) => setTimeout(resolve, 1));
        process.once('message', () => { more = false; });
      }`,
        { args: [key] },
      );
      for (const each of openers) expect(await each.exited).toMatchObject(clean);
      for (const each of peers) expect(await each.exited).toMatchObject(clean);
      keeper.process.kill('SIGKILL');
      await keeper.exited;
    },
  );

  it('is made by exactly one of those that create it', async () => {
    const key = setKey();
    const source = `
      await send('there');
      await next();
      let made = true;
      try { SysvSemaphoreSet.create(args[0], ${options}); } catch (error) { made = false; assert.equal(error.code, 'EEXIST'); }
      await send(made);`;
    const peers = [1, 2, 3, 4].map(() => startPeer(source, { args: [key] }));
    for (const peer of peers) await peer.next();
    for (const peer of peers) peer.send('go');
    const made = await Promise.all(peers.map((peer) => peer.next()));
    expect(made.filter(Boolean)).toHaveLength(1);
    expect((await SysvSemaphoreSet.open(key)).getAll()).toEqual(values);
  });
});

describe('a set of another program', () => {
  it('counts as being made until somebody has operated on it, where its mode says that', async () => {
    const key = setKey();
    // semget alone, as C programs make one; ready or not, its mode is not ours.
    const source = `
      import ctypes, sys
      libc = ctypes.CDLL(None, use_errno=True)
      print(libc.semget(ctypes.c_int(int(sys.argv[1])), 2, 0o1000 | 0o600))`;
    const { spawnSync } = await import('node:child_process');
    const { status, stdout } = spawnSync('python3', ['-c', source.replace(/^ {6}/gm, ''), String(key)], {
      encoding: 'utf8',
    });
    expect(status).toBe(0);
    using set = SysvSemaphoreSet.openSync(key, { timeout: 1000 });
    expect([set.id, set.count, set.getAll()]).toEqual([Number(stdout), 2, [0, 0]]);
    set.remove();
    expect(await failureOf(() => SysvSemaphoreSet.open(key))).toEqual(systemError('ENOENT', 'semget'));
  });
});
