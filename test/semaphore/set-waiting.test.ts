/** Waits on System V sets: how they end, what they keep alive, and that nothing of them is left. */
import { SysvSemaphoreSet } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failureOf, systemError } from '../support/failures.js';
import { collectGarbage, openDescriptors } from '../support/leaks.js';
import { clean, runPeer, startPeer } from '../support/peer.js';
import { threads, until } from '../support/pipes.js';
import { makeSet, sleepers } from '../support/sysv.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const less = { index: 0, delta: -1 };
const more = { index: 0, delta: 1 };

describe('a set that is removed', () => {
  it('ends every wait in EIDRM, also of those that stand behind others, and of other handles', async () => {
    const set = makeSet({ count: 2, initial: [0, 1] });
    const other = SysvSemaphoreSet.fromId(set.id);
    const waits = [
      ...[1, 2, 3].map(() => set.op(less)),
      set.op({ index: 1, delta: 0 }, { timeout: 50_000 }),
      other.op(less),
      other.op(less),
    ].map((each) => failureOf(() => each));
    await until(() => set.waiting(0).forIncrease === 2 && set.waiting(1).forZero === 1);
    set.remove();
    for (const each of waits) expect(await each).toEqual(systemError('EIDRM', 'semop', `id ${set.id}`));
    other.close();
  });

  it('in the moment in which they begin ends them all', async () => {
    for (let turns = 0; turns < 6; turns++) {
      const set = makeSet();
      const waits = [1, 2, 3].map(() => failureOf(() => set.op(less)));
      for (let at = 0; at < turns; at++) await turn();
      set.remove();
      for (const each of waits) expect(await each).toMatchObject({ code: 'EIDRM' });
      const gone = expect.objectContaining({ code: expect.stringMatching(/^E(IDRM|INVAL)$/) });
      for (const call of [
        () => set.tryOp(less),
        () => set.getAll(),
        () => set.setAll([0]),
        () => set.get(0),
        () => set.set(0, 1),
        () => set.stat(),
        () => set.waiting(0),
        () => set.lastPid(0),
        () => set.remove(),
      ])
        expect(call).toThrow(gone);
      expect(set.linked).toBe(false);
    }
  });

  it('ends those who block in EIDRM, in other processes', async () => {
    const set = makeSet();
    const source = `
      const set = SysvSemaphoreSet.fromId(args[0]);
      await send('blocking');
      assert.throws(() => set.opSync({ index: 0, delta: -1 }, args[1]), { code: 'EIDRM', message: /identifier removed/ });`;
    const peers = [{}, { timeout: 40_000 }].map((options) => startPeer(source, { args: [set.id, options] }));
    for (const peer of peers) expect(await peer.next()).toBe('blocking');
    await until(() => set.waiting(0).forIncrease === 2);
    set.remove();
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
  });
});

describe('waits on a set', () => {
  it('end when it is closed, by hand or by using, and those of other handles go on', async () => {
    const keeper = makeSet();
    const others = keeper.op(less);
    await until(() => keeper.waiting(0).forIncrease === 1);
    const before = threads();
    let waits: Promise<unknown>[];
    {
      using set = SysvSemaphoreSet.fromId(keeper.id);
      waits = [set.op(less), set.op(less), set.op({ index: 0, delta: -2 }, { timeout: 50_000 })].map((each) =>
        failureOf(() => each),
      );
      await until(() => keeper.waiting(0).forIncrease === 3);
    }
    for (const each of waits)
      expect(await each).toMatchObject({ name: 'IpcError', code: 'ERR_INTERPROC_CLOSED' });
    expect(keeper.waiting(0).forIncrease).toBe(1);
    await until(() => threads() <= before);
    keeper.opSync(more);
    await others;
  });

  it('end in ETIMEDOUT or an AbortError at any time, and do nothing', async () => {
    const set = makeSet();
    const before = threads();
    for (let turns = 0; turns < 8; turns++) {
      const controller = new AbortController();
      const reason = new Error('enough');
      const { signal } = controller;
      const waits = [
        set.op(less, { signal }),
        set.op(less, { signal }),
        set.op({ index: 0, delta: -2 }, { signal }),
      ].map((each) => failureOf(() => each));
      for (let at = 0; at < turns; at++) await turn();
      if (turns === 7) await until(() => set.waiting(0).forIncrease === 2);
      controller.abort(reason);
      for (const each of waits)
        expect(await each).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: reason });
      expect(set.waiting(0).forIncrease).toBe(0);
    }
    for (const timeout of [0, 0.01, 1, 3]) {
      for (const each of [1, 2].map(() => failureOf(() => set.op(less, { timeout }))))
        expect(await each).toMatchObject({ name: 'IpcError', code: 'ETIMEDOUT', syscall: 'semop' });
      expect(await failureOf(() => set.opSync(less, { timeout }))).toMatchObject({ code: 'ETIMEDOUT' });
    }
    await until(() => threads() <= before);
    set.opSync(more);
    expect(set.get(0)).toBe(1);
    await set.op(less, { timeout: 0 });
    set.opSync(more, { timeout: 0 });
    expect(set.get(0)).toBe(1);
  });

  it('aborted in the middle of a line leave the order of the others as it is', async () => {
    const set = makeSet();
    const controller = new AbortController();
    const order: number[] = [];
    const waits = Array.from({ length: 6 }, (_, at) =>
      failureOf(() =>
        set.op(less, at % 2 === 0 ? { signal: controller.signal } : {}).then(() => order.push(at)),
      ),
    );
    await turn();
    controller.abort();
    set.opSync({ index: 0, delta: 3 });
    await Promise.all(waits);
    expect(order).toEqual([1, 3, 5]);
    expect(set.get(0)).toBe(0);
  });

  it('of a set that is dropped go on, and nothing of it is left when they are over', async () => {
    const keeper = makeSet();
    const before = await openDescriptors();
    const dropped: WeakRef<SysvSemaphoreSet>[] = [];
    const use = () => {
      const set = SysvSemaphoreSet.fromId(keeper.id);
      dropped.push(new WeakRef(set));
      return set.op(less);
    };
    const waits = [use(), use(), use()];
    await turn();
    await collectGarbage();
    keeper.opSync({ index: 0, delta: 3 });
    await Promise.all(waits.splice(0));
    await expect
      .poll(async () => {
        await collectGarbage();
        return dropped.filter((each) => each.deref() !== undefined).length;
      })
      .toBe(0);
    expect(await openDescriptors()).toEqual(before);
  });
});

describe('a process', () => {
  const head = 'const set = SysvSemaphoreSet.fromId(args[0]);';
  const calls: Record<string, string> = {
    'operations that wait':
      'for (let delta = 1; delta < 30; delta++) for (let each = 0; each < 3; each++) set.op({ index: 0, delta: -delta }).catch(() => {});',
    'operations with a timeout':
      'for (let delta = 1; delta < 9; delta++) set.op({ index: 0, delta: -delta }, { timeout: 1e9 }).catch(() => {});',
  };

  it.each(Object.entries(calls))(
    'with %s ends at once by process.exit(), or stays, unless unref()ed',
    async (_, call) => {
      const { id } = makeSet();
      const sources = [
        `${head} ${call} setImmediate(() => process.exit(7));`,
        `${head} ${call}
        process.on('exit', () => { process.exitCode ??= 3; });
        setTimeout(() => { process.exitCode = 7; process.exit(); }, 50).unref();`,
        `${head} set.unref(); ${call}`,
        `${head} ${call} set.unref().ref().unref();`,
      ];
      const exits = await Promise.all(sources.map((source) => runPeer(source, { args: [id] })));
      expect(exits).toEqual([7, 7, 0, 0].map((code) => expect.objectContaining({ ...clean, code })));
    },
  );

  it('that is killed while it waits is counted no more, and those that go on get theirs', async () => {
    const set = makeSet();
    const source = `${head} await send('waits'); args[1] ? set.opSync({ index: 0, delta: -1 }) : await set.op({ index: 0, delta: -1 });`;
    const peers = [true, false].map((sync) => startPeer(source, { args: [set.id, sync] }));
    for (const peer of peers) expect(await peer.next()).toBe('waits');
    await until(() => set.waiting(0).forIncrease === 2);
    const ours = set.op(less);
    await until(() => set.waiting(0).forIncrease === 3);
    for (const peer of peers) peer.process.kill('SIGKILL');
    for (const peer of peers) await peer.exited;
    expect(set.waiting(0).forIncrease).toBe(1);
    set.opSync(more);
    await ours;
    expect(set.get(0)).toBe(0);
  });

  it('that waits uses no processor', async () => {
    const set = makeSet();
    const source = `${head}
      import { readdirSync, readFileSync } from 'node:fs';
      const idle = readdirSync('/proc/self/task');
      const waits = Array.from({ length: 40 }, (_, at) => set.op({ index: 0, delta: -1 - at }));
      const turns = async (count) => { while (count-- > 0) await new Promise(setImmediate); };
      while (set.waiting(0).forIncrease < 40) await turns(1);
      const threads = readdirSync('/proc/self/task').filter((task) => !idle.includes(task));
      const status = (task) => readFileSync('/proc/self/task/' + task + '/status', 'utf8');
      while (!threads.every((task) => /State:\\tS/.test(status(task)))) await turns(1);
      const switches = () => threads.map((task) => status(task).match(/ctxt_switches:\\t\\d+/g).join());
      const before = switches();
      await turns(3000);
      assert.deepEqual(switches(), before); // none of them ran
      set.opSync({ index: 0, delta: 40 * 41 / 2 });
      await Promise.all(waits);`;
    expect(await runPeer(source, { args: [set.id] })).toMatchObject(clean);
    expect(sleepers(/semtimedop/)).toBe(0);
  });
});
