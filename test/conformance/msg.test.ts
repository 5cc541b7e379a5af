/**
 * What the manual pages msgget(2) and msgctl(2) say, as processes see it. Sending and receiving: msg-messages.test.ts.
 * A name begins with the call and, where it is about an error, with its code: docs/conformance.md lists them.
 */
import { SysvMessageQueue } from 'interproc';
import { describe, expect, it } from 'vitest';
import { systemError } from '../support/failures.js';
import { messageKey } from '../support/names.js';
import { isRoot } from '../support/namespaces.js';
import { ordinary, party, users, type World } from './party.js';

const hex = (key: number) => `0x${(key >>> 0).toString(16).padStart(8, '0')}`;

const make = ({ closing, mine, SysvMessageQueue }: World, key: number) => {
  mine.queue = closing(SysvMessageQueue.create(key));
};

describe.each(users)('as %s', (user) => {
  const one = party(user);
  const other = party(user);

  it('msgget: one key is one queue in all processes', async () => {
    const key = messageKey();
    const id = await one.run(({ assert, closing, SysvMessageQueue }, key) => {
      const queue = closing(SysvMessageQueue.create(key));
      assert.deepEqual([queue.key, queue.created, queue.linked, queue.closed], [key, true, true, false]);
      queue.trySend(1, 'hello');
      return queue.id;
    }, key);
    const found = await other.run(({ closing, SysvMessageQueue }, key) => {
      const queue = closing(SysvMessageQueue.open(key));
      return { id: queue.id, created: queue.created, message: queue.tryReceive() };
    }, key);
    expect(found).toEqual({ id, created: false, message: { type: 1, data: Buffer.from('hello') } });
  });

  it('msgget ENOENT: a key that nobody has made', async () => {
    const key = messageKey();
    const failure = await one.run(
      ({ failureOf, SysvMessageQueue }, key) => failureOf(() => SysvMessageQueue.open(key)),
      key,
    );
    expect(failure).toEqual(systemError('ENOENT', 'msgget', hex(key)));
  });

  it('msgget EEXIST: to create a key that is taken, which harms nothing', async () => {
    const key = messageKey();
    await one.run(make, key);
    const failure = await other.run(
      ({ failureOf, SysvMessageQueue }, key) => failureOf(() => SysvMessageQueue.create(key)),
      key,
    );
    expect(failure).toEqual(systemError('EEXIST', 'msgget', hex(key)));
    expect(await one.run(({ mine }) => mine.queue.linked)).toBe(true);
  });

  it('msgget: opening or creating an existing queue changes nothing in it', async () => {
    const key = messageKey();
    const before = await one.run(({ closing, SysvMessageQueue }, key) => {
      const queue = closing(SysvMessageQueue.openOrCreate(key, { mode: 0o640, maxBytes: 100 }));
      queue.trySend(1, 'kept');
      return { stat: queue.stat(), created: queue.created };
    }, key);
    const after = await other.run(({ closing, SysvMessageQueue }, key) => {
      const queue = closing(SysvMessageQueue.openOrCreate(key, { mode: 0o600, maxBytes: 50 }));
      return { stat: queue.stat(), created: queue.created };
    }, key);
    expect([before.created, after.created]).toEqual([true, false]);
    expect(after.stat).toEqual(before.stat);
  });

  it('msgget: IPC_PRIVATE makes a new queue each time, which others find by its id', async () => {
    const ids = await one.run(({ assert, removing, SysvMessageQueue }) => {
      const queues = [0, 1].map(() => removing(SysvMessageQueue.create(null)));
      for (const queue of queues) assert.deepEqual([queue.key, queue.created], [null, true]);
      queues[1]?.trySend(7, 'by id');
      return queues.map(({ id }) => id);
    });
    expect(ids[0]).not.toBe(ids[1]);
    const message = await other.run(
      ({ closing, SysvMessageQueue }, id) => closing(SysvMessageQueue.fromId(id)).tryReceive(),
      ids[1] as number,
    );
    expect(message).toEqual({ type: 7, data: Buffer.from('by id') });
  });

  it('msgget: a new queue is empty, of the mode that is given, and belongs to its maker', async () => {
    for (const mode of [undefined, 0o600, 0o666, 0o640, 0o420]) {
      const { stat, id, owner, most, seconds } = await one.run(
        ({ fs, removing, SysvMessageQueue }, key, mode) => {
          const queue = removing(SysvMessageQueue.create(key, mode === undefined ? {} : { mode }));
          return {
            stat: queue.stat(),
            id: queue.id,
            owner: [process.geteuid?.(), process.getegid?.()],
            most: Number(fs.readFileSync('/proc/sys/kernel/msgmnb', 'utf8')),
            seconds: Date.now() / 1000,
          };
        },
        messageKey(),
        mode,
      );
      const [uid, gid] = owner;
      expect(stat).toEqual({
        id,
        key: expect.any(Number),
        messages: 0,
        bytes: 0,
        maxBytes: most,
        mode: mode ?? 0o600,
        uid,
        gid,
        creatorUid: uid,
        creatorGid: gid,
        lastSendPid: 0,
        lastReceivePid: 0,
        sentAt: null,
        receivedAt: null,
        changedAt: expect.any(Date),
      });
      // The kernel's clock for it stands still for up to a tick.
      expect(Math.abs(Number(stat.changedAt) / 1000 - seconds)).toBeLessThan(60);
    }
  });

  it('msgctl: IPC_STAT tells what is there, and who sent and received last', async () => {
    const key = messageKey();
    await one.run(make, key);
    await one.run(({ mine }) => {
      mine.queue.trySend(1, 'four');
      mine.queue.trySend(2, 'and six');
    });
    const stat = () => one.run(({ mine }) => mine.queue.stat());
    expect(await stat()).toMatchObject({
      messages: 2,
      bytes: 11,
      lastSendPid: one.pid,
      lastReceivePid: 0,
      sentAt: expect.any(Date),
      receivedAt: null,
    });
    await other.run(({ closing, SysvMessageQueue }, key) => {
      closing(SysvMessageQueue.open(key)).tryReceive();
    }, key);
    expect(await stat()).toMatchObject({
      messages: 1,
      bytes: 7,
      lastSendPid: one.pid,
      lastReceivePid: other.pid,
      receivedAt: expect.any(Date),
    });
  });

  it('msgctl: IPC_SET changes mode and most bytes, and nothing else', async () => {
    const key = messageKey();
    const { before, after } = await one.run(({ closing, SysvMessageQueue }, key) => {
      const queue = closing(SysvMessageQueue.create(key));
      queue.trySend(1, 'kept');
      const before = queue.stat();
      queue.set({ mode: 0o640 });
      queue.set({ maxBytes: 1000 });
      queue.set({});
      return { before, after: queue.stat() };
    }, key);
    const { changedAt: _, ...rest } = before;
    expect(after).toMatchObject({ ...rest, mode: 0o640, maxBytes: 1000 });
  });

  it('msgctl: IPC_RMID removes it at once, for everybody', async () => {
    const key = messageKey();
    await one.run(make, key);
    await other.run(({ closing, mine, SysvMessageQueue }, key) => {
      mine.queue = closing(SysvMessageQueue.open(key));
      mine.queue.trySend(1, 'lost');
    }, key);
    await one.run(({ assert, mine }) => {
      assert.equal(mine.queue.remove(), undefined);
      assert.equal(mine.queue.linked, false);
    });
    const found = await other.run(async ({ failureOf, mine, SysvMessageQueue }, key) => {
      const calls = [
        () => mine.queue.trySend(1, 'x'),
        () => mine.queue.send(1, 'x'),
        () => mine.queue.sendSync(1, 'x'),
        () => mine.queue.tryReceive(),
        () => mine.queue.receive(),
        () => mine.queue.receiveSync(),
        () => mine.queue.peek(),
        () => mine.queue.stat(),
        () => mine.queue.set({ mode: 0o600 }),
        () => mine.queue.remove(),
      ];
      const codes = [];
      for (const call of calls) codes.push((await failureOf(call))?.code);
      return { codes, linked: mine.queue.linked, open: await failureOf(() => SysvMessageQueue.open(key)) };
    }, key);
    for (const code of found.codes) expect(code).toMatch(/^E(IDRM|INVAL)$/);
    expect(found.linked).toBe(false);
    expect(found.open?.code).toBe('ENOENT');
  });

  it('msgctl EIDRM, EINVAL: a key that is taken again is another queue, and an old id leads to none', async () => {
    const key = messageKey();
    const found = await one.run(async ({ assert, closing, failureOf, SysvMessageQueue }, key) => {
      const first = closing(SysvMessageQueue.create(key));
      SysvMessageQueue.remove(first.id);
      const second = closing(SysvMessageQueue.create(key));
      assert.notEqual(first.id, second.id);
      return [
        await failureOf(() => SysvMessageQueue.fromId(first.id)),
        await failureOf(() => SysvMessageQueue.remove(first.id)),
        await failureOf(() => first.stat()),
      ];
    }, key);
    for (const failure of found) {
      expect(failure).toMatchObject({
        name: 'IpcError',
        code: expect.stringMatching(/^E(IDRM|INVAL)$/),
        syscall: 'msgctl',
      });
    }
  });

  it('msgctl: the list has every queue, each as IPC_STAT tells it', async () => {
    const key = messageKey();
    const { stat, listed } = await one.run(({ closing, SysvMessageQueue }, key) => {
      const queue = closing(SysvMessageQueue.create(key, { mode: 0o640 }));
      queue.trySend(1, 'listed');
      return { stat: queue.stat(), listed: SysvMessageQueue.list().find(({ id }) => id === queue.id) };
    }, key);
    expect(listed).toEqual(stat);
  });

  it('it stays when a process that made it ends, with its messages', async () => {
    const key = messageKey();
    await one.run(make, key);
    await one.run(({ mine }) => mine.queue.trySend(5, 'left behind'));
    await one.kill();
    const message = await other.run(
      ({ closing, SysvMessageQueue }, key) => closing(SysvMessageQueue.open(key)).tryReceive(),
      key,
    );
    expect(message).toEqual({ type: 5, data: Buffer.from('left behind') });
  });
});

describe.each(users)('processes of %s that race', (user) => {
  const racers = [0, 1, 2].map(() => party(user));

  it('msgget: of those that create one key exactly one succeeds', async () => {
    for (let round = 0; round < 10; round++) {
      const fresh = Array.from({ length: 20 }, messageKey);
      const won = await Promise.all(
        racers.map((racer) =>
          racer.run(
            ({ assert, SysvMessageQueue }, fresh) =>
              fresh.flatMap((key) => {
                try {
                  return [SysvMessageQueue.create(key).id];
                } catch (error) {
                  assert.equal((error as { code: string }).code, 'EEXIST');
                  return [];
                }
              }),
            fresh,
          ),
        ),
      );
      expect(won.flat()).toHaveLength(fresh.length);
      for (const id of won.flat()) SysvMessageQueue.remove(id);
    }
  });

  it('open or create a key that others remove at the same time, and never fail', async () => {
    const key = messageKey();
    await Promise.all(
      racers.map((racer) =>
        racer.run(({ assert, SysvMessageQueue }, key) => {
          for (let round = 0; round < 2000; round++) {
            const queue = SysvMessageQueue.openOrCreate(key);
            try {
              queue.remove();
            } catch (error) {
              assert.match((error as { code: string }).code, /^E(IDRM|INVAL)$/);
            }
            queue.close();
          }
        }, key),
      ),
    );
  });
});

describe('without permission', () => {
  const they = party(ordinary);

  /** A queue of somebody else or, if it is our own, of nobody's mode. */
  function queueOf(mode: number): { key: number; id: number } {
    const queue = SysvMessageQueue.create(messageKey(), { maxBytes: 1000 });
    queue.trySend(1, 'kept');
    queue.set({ mode: isRoot ? mode : mode << 6 });
    queue.close();
    return { key: queue.key as number, id: queue.id };
  }

  it('msgctl EACCES, msgsnd EACCES, msgrcv EACCES: a queue serves for what its mode allows', async () => {
    const outcomes = [];
    for (const mode of [0, 0o4, 0o2, 0o6]) {
      const { id, key } = queueOf(mode);
      const failures = await they.run(async ({ closing, failureOf, SysvMessageQueue }, key) => {
        const open = () => closing(SysvMessageQueue.open(key));
        return {
          send: await failureOf(() => open().trySend(2, 'x')),
          receive: await failureOf(() => open().tryReceive()),
          stat: await failureOf(() => open().stat()),
        };
      }, key);
      for (const failure of Object.values(failures)) {
        if (failure === undefined) continue;
        expect(failure).toMatchObject({
          name: 'IpcError',
          code: 'EACCES',
          syscall: expect.stringMatching(/^msg(get|snd|rcv|ctl)$/),
        });
      }
      outcomes.push(Object.values(failures).map((failure) => (failure === undefined ? 'done' : 'refused')));
      SysvMessageQueue.remove(id);
    }
    expect(outcomes).toEqual([
      ['refused', 'refused', 'refused'],
      ['refused', 'done', 'done'],
      ['done', 'refused', 'refused'],
      ['done', 'done', 'done'],
    ]);
  });

  it.skipIf(!isRoot)('msgctl EPERM: only its owner changes or removes it', async () => {
    const { id } = queueOf(0o666);
    const failures = await they.run(async ({ closing, failureOf, SysvMessageQueue }, id) => {
      const queue = closing(SysvMessageQueue.fromId(id));
      return [
        await failureOf(() => queue.set({ mode: 0o600 })),
        await failureOf(() => queue.set({ maxBytes: 10 })),
        await failureOf(() => queue.remove()),
        await failureOf(() => SysvMessageQueue.remove(id)),
      ];
    }, id);
    expect(failures).toEqual(failures.map(() => systemError('EPERM', 'msgctl', `id ${id}`)));
    using queue = SysvMessageQueue.fromId(id);
    expect(queue.stat()).toMatchObject({ messages: 1, mode: 0o666, maxBytes: 1000 });
  });

  it.skipIf(!isRoot)('msgctl: a new owner may, and the maker is still told', async () => {
    const { id, key } = queueOf(0);
    using queue = SysvMessageQueue.fromId(id);
    queue.set({ uid: 65_534, gid: 65_534, mode: 0o600 });
    const stat = await they.run(({ closing, SysvMessageQueue }, key) => {
      const queue = closing(SysvMessageQueue.open(key));
      queue.set({ mode: 0o640 });
      return queue.stat();
    }, key);
    expect(stat).toMatchObject({ uid: 65_534, gid: 65_534, creatorUid: 0, creatorGid: 0, mode: 0o640 });
  });
});
