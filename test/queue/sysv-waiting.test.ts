/** Waits on System V queues: how they end, what they keep alive, and that nothing of them is left. */
import { SysvMessageQueue } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failureOf, systemError } from '../support/failures.js';
import { collectGarbage, openDescriptors } from '../support/leaks.js';
import { messageKey } from '../support/names.js';
import { clean, startPeer } from '../support/peer.js';
import { threads, until } from '../support/pipes.js';
import { drain, makeQueue, sleepers } from '../support/sysv.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'fulfilled',
    ({ code }) => code,
  );

describe('a queue that is removed', () => {
  it('ends every wait in EIDRM, also of those that stand behind others, and of other handles', async () => {
    const queue = makeQueue({ maxBytes: 10 });
    const other = SysvMessageQueue.fromId(queue.id);
    queue.sendSync(9, 'ten bytes.');
    const waits = [
      ...[0, 0, 0, 1, 1, 2].map(() => queue.receive({ type: 5 })),
      ...[1, 2, 3].map((type) => queue.receive({ type, timeout: 50_000 })),
      other.receive({ type: 5 }),
      other.receive({ type: 5 }),
    ].map((each) => failureOf(() => each));
    const sends = [1, 2, 3].map(() => failureOf(() => queue.send(1, '123456789')));
    // Some sleep in the kernel, and some have not begun.
    await until(() => sleepers(/msgrcv/) === 5 && sleepers(/msgsnd/) === 1);
    queue.remove();
    for (const each of waits) expect(await each).toEqual(systemError('EIDRM', 'msgrcv', `id ${queue.id}`));
    for (const each of sends) expect(await each).toEqual(systemError('EIDRM', 'msgsnd', `id ${queue.id}`));
    other.close();
  });

  it('in the moment in which they begin ends them all', async () => {
    for (let turns = 0; turns < 6; turns++) {
      const queue = makeQueue();
      const waits = [1, 2, 3].map(() => failureOf(() => queue.receive()));
      for (let at = 0; at < turns; at++) await turn();
      queue.remove();
      for (const each of waits) expect(await each).toMatchObject({ code: 'EIDRM' });
      expect(() => queue.tryReceive()).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^E(IDRM|INVAL)$/) }),
      );
    }
  });

  it('ends those who block in EIDRM, in this process and in others', async () => {
    const queue = makeQueue({ maxBytes: 4 });
    queue.sendSync(9, 'full');
    const source = (call: string) => `
      const queue = SysvMessageQueue.fromId(args[0]);
      await send('blocking');
      assert.throws(() => queue.${call}, { code: 'EIDRM', message: /identifier removed/ });`;
    const peers = [
      'receiveSync({ type: 1 })',
      "sendSync(1, 'more')",
      'receiveSync({ type: 1, timeout: 40_000 })',
    ].map((call) => startPeer(source(call), { args: [queue.id] }));
    for (const peer of peers) expect(await peer.next()).toBe('blocking');
    const asleep = (peer: (typeof peers)[number]) => sleepers(/do_msg(rcv|snd)/, peer.process.pid) === 1;
    for (const peer of peers) await until(() => asleep(peer));
    queue.remove();
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
  });
});

describe('a queue that is closed', () => {
  it('ends every wait, lets others go on, and leaves no thread', async () => {
    const keeper = makeQueue({ maxBytes: 10 });
    keeper.sendSync(9, 'ten bytes.');
    const queue = SysvMessageQueue.fromId(keeper.id);
    const others = keeper.receive({ type: 3 });
    await until(() => sleepers(/msgrcv/) === 1);
    const before = threads();
    const waits = [
      ...[1, 2, 3, 3].map((type) => queue.receive({ type })),
      queue.receive({
        type: 9,
        except: true,
        timeout: 50_000,
        signal: new AbortController().signal,
      }),
      queue.send(1, 'a'),
      queue.send(1, 'b'),
    ].map(codeOf);
    await until(() => sleepers(/msgrcv/) === 5 && sleepers(/msgsnd/) === 1);
    queue.close();
    expect(await Promise.all(waits)).toEqual(Array(7).fill('ERR_INTERPROC_CLOSED'));
    await until(() => threads() <= before); // one may have lingered before
    keeper.set({ maxBytes: 100 });
    keeper.sendSync(3, 'goes on');
    expect(String((await others).data)).toBe('goes on');
  });

  it('is closed by using, and the kernel keeps the queue', async () => {
    const keeper = makeQueue();
    let waits: Promise<unknown>;
    {
      using queue = SysvMessageQueue.fromId(keeper.id);
      waits = codeOf(queue.receive());
      expect(queue.closed).toBe(false);
    }
    expect(await waits).toBe('ERR_INTERPROC_CLOSED');
    keeper.sendSync(1, 'x');
    expect(drain(keeper)).toEqual(['1 x']);
  });
});

describe('waits that are aborted or time out', () => {
  it('end at once, at any time, and leave no thread and no message taken', async () => {
    const queue = makeQueue();
    await codeOf(queue.receive({ timeout: 1 }));
    await until(() => sleepers(/msgrcv/) === 0);
    const before = threads();
    for (let turns = 0; turns < 8; turns++) {
      const controller = new AbortController();
      const reason = new Error('enough');
      const waits = [1, 2, 3, 3].map((type) => queue.receive({ type, signal: controller.signal }));
      for (const each of waits) each.catch(() => {});
      for (let at = 0; at < turns; at++) await turn();
      if (turns === 7) await until(() => sleepers(/msgrcv/) === 3);
      controller.abort(reason);
      for (const each of waits) {
        await expect(each).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: reason });
      }
      await expect(queue.receive({ signal: controller.signal })).rejects.toMatchObject({ code: 'ABORT_ERR' });
    }
    for (const timeout of [0, 0.01, 1, 3]) {
      const waits = [1, 1, 2].map((type) => queue.receive({ type, timeout }));
      for (const each of waits)
        await expect(each).rejects.toMatchObject({ name: 'IpcError', code: 'ETIMEDOUT' });
      expect(() => queue.receiveSync({ timeout })).toThrow(expect.objectContaining({ code: 'ETIMEDOUT' }));
    }
    await until(() => threads() <= before); // one may have lingered before
    for (const type of [1, 2, 3]) queue.sendSync(type, 'there');
    expect(drain(queue)).toHaveLength(3);
  });

  it('with a timeout of 0 take what is there', async () => {
    const queue = makeQueue();
    queue.sendSync(1, 'a');
    queue.sendSync(1, 'b');
    expect(String((await queue.receive({ timeout: 0 })).data)).toBe('a');
    expect(String(queue.receiveSync({ timeout: 0 }).data)).toBe('b');
    await queue.send(1, 'c', { timeout: 0 });
    queue.sendSync(1, 'd', { timeout: 0 });
    expect(drain(queue)).toEqual(['1 c', '1 d']);
  });
});

describe('a call that blocks', () => {
  it('is refused while others wait for the same, and goes on beside those that wait for others', async () => {
    const queue = makeQueue({ maxBytes: 10 });
    const waits = queue.receive({ type: 1 });
    const busy = expect.objectContaining({
      name: 'IpcError',
      code: 'ERR_INTERPROC_BUSY',
      message: expect.stringContaining(`id ${queue.id}`),
    });
    expect(() => queue.receiveSync({ type: 1, timeout: 1000 })).toThrow(busy);
    expect(queue.tryReceive({ type: 1 })).toBeNull();
    queue.sendSync(2, 'two');
    expect(String(queue.receiveSync({ type: 2 }).data)).toBe('two');
    queue.sendSync(3, 'three');
    expect(String(queue.receiveSync({ type: 1, except: true }).data)).toBe('three');
    queue.sendSync(1, 'one');
    expect(String((await waits).data)).toBe('one');
    queue.sendSync(1, 'again');
    expect(String(queue.receiveSync({ type: 1 }).data)).toBe('again');

    queue.sendSync(1, 'ten bytes.');
    const sends = queue.send(1, 'x');
    expect(() => queue.sendSync(1, 'y', { timeout: 1000 })).toThrow(busy);
    await queue.receive();
    await sends;
    queue.sendSync(1, 'z');
    expect(drain(queue)).toEqual(['1 x', '1 z']);
  });

  it('hears of a queue that was closed by what its options run', () => {
    const queue = makeQueue();
    const options = {
      get timeout() {
        queue.close();
        return 1000;
      },
    };
    expect(() => queue.receiveSync(options)).toThrow(
      expect.objectContaining({ code: 'ERR_INTERPROC_CLOSED' }),
    );
  });
});

describe('a queue that is dropped', () => {
  it('leaves no descriptor, no thread and no wait behind, and the kernel keeps it', async () => {
    const key = messageKey();
    const before = await openDescriptors();
    SysvMessageQueue.create(key).sendSync(1, 'kept');
    const dropped: WeakRef<SysvMessageQueue>[] = [];
    const use = async (timeout: number) => {
      const queue = SysvMessageQueue.open(key);
      dropped.push(new WeakRef(queue));
      await codeOf(queue.receive({ type: 2, timeout }));
    };
    for (let each = 0; each < 20; each++) await use(each % 2);
    await until(() => sleepers(/msgrcv/) === 0);
    await expect
      .poll(async () => {
        await collectGarbage();
        return dropped.filter((each) => each.deref() !== undefined).length;
      })
      .toBe(0);
    expect(await openDescriptors()).toEqual(before);
    expect(drain(SysvMessageQueue.open(key))).toEqual(['1 kept']);
  });

  it('while something waits on it stays until that is over', async () => {
    const keeper = makeQueue();
    const waits = SysvMessageQueue.fromId(keeper.id).receive();
    await turn();
    await collectGarbage();
    keeper.sendSync(1, 'came');
    expect(String((await waits).data)).toBe('came');
  });
});
