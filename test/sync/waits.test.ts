/** What every wait of the kinds that are waited for has in common: how it ends without what it waits for. */
import { truncateSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { failureOf, misuse, type Wrong } from '../support/failures.js';
import { turns } from '../support/locks.js';
import { clean, startPeer } from '../support/peer.js';
import { makeWaited, type WaitKind, waitKinds, waitsInScript, withWaits } from '../support/waits.js';
import { withWorkers } from '../support/workers.js';

const callOf: Record<WaitKind, string> = {
  Condition: 'wait',
  Barrier: 'wait',
  SharedEvent: 'wait',
  Once: 'run',
};
/** Of a peer that is killed when its watchdog finds that it hangs. */
const killed = { signal: 'SIGKILL' };

describe.each(waitKinds)('a wait for a %s', (kind) => {
  it.each([0, 0.4, 3])('ends after its timeout of %s ms, and the next one is served', async (timeout) => {
    const waited = await makeWaited(kind);
    const late = { code: 'ETIMEDOUT', syscall: callOf[kind] };
    await expect(waited.wait({ timeout })).rejects.toMatchObject(late);
    expect(() => waited.waitSync({ timeout })).toThrow(expect.objectContaining(late));
    const next = waited.wait();
    await waited.untilWaited();
    await waited.letGo();
    await next;
  });

  it('refuses options that are none, and leaves nothing behind', async () => {
    const waited = await makeWaited(kind);
    const wrong: [Wrong, Error][] = [
      [{ timeout: -1 }, misuse('RangeError', 'ERR_OUT_OF_RANGE', 'options.timeout')],
      [{ timeout: Number.NaN }, misuse('RangeError', 'ERR_OUT_OF_RANGE', 'options.timeout')],
      [{ timeout: '5' }, misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'options.timeout')],
      [5, misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'options')],
      [null, misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'options')],
    ];
    for (const [options, error] of wrong) {
      expect(await failureOf(() => waited.wait(options))).toEqual(error);
      expect(await failureOf(() => waited.waitSync(options))).toEqual(error);
    }
    const noSignal = misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'options.signal');
    expect(await failureOf(() => waited.wait({ signal: {} as Wrong }))).toEqual(noSignal);
    // Nobody is counted as waiting whom a wake-up could go to.
    const next = waited.wait();
    await waited.untilWaited();
    await waited.letGo();
    await next;
  });

  it('ends with an AbortError: aborted before it began, at once, and asleep', async () => {
    const waited = await makeWaited(kind);
    const cause = new Error('enough');
    const aborted = { name: 'AbortError', code: 'ABORT_ERR', cause };
    await expect(waited.wait({ signal: AbortSignal.abort(cause) })).rejects.toMatchObject(aborted);
    for (const later of [0, 1, 60]) {
      const abort = new AbortController();
      const waits = [0, 1, 2].map(() => waited.wait({ signal: abort.signal, timeout: 1e6 }));
      const results = Promise.allSettled(waits);
      await turns(later);
      // Barriers of two parties would open.
      if (kind === 'Barrier') expect((await Promise.race(waits)) satisfies unknown).toBeTypeOf('boolean');
      abort.abort(cause);
      for (const [i, result] of (await results).entries()) {
        if (kind === 'Barrier' && i < 2)
          expect(result).toMatchObject({ status: 'fulfilled', value: i === 1 });
        else expect(result).toMatchObject({ status: 'rejected', reason: aborted });
      }
    }
    const next = waited.wait();
    await waited.untilWaited();
    await waited.letGo();
    await next;
  });

  it('goes on behind one that is given up', async () => {
    const waited = await makeWaited(kind);
    const abort = new AbortController();
    const first = failureOf(() => waited.wait({ signal: abort.signal }));
    await waited.untilWaited();
    await turns(60);
    abort.abort();
    const second = waited.wait();
    expect(await first).toMatchObject({ code: 'ABORT_ERR' });
    await waited.untilWaited();
    await waited.letGo();
    await second;
  });

  it('ends when its memory is closed, and what comes after that is refused', async () => {
    const waited = await makeWaited(kind);
    const parties = kind === 'Barrier' ? 1 : 3;
    const waits = Array.from({ length: parties }, () => failureOf(() => waited.wait()));
    const late = failureOf(() => waited.wait({ timeout: 1e6, signal: new AbortController().signal }));
    if (kind === 'Barrier') await late;
    else await waited.untilWaited();
    const last = kind === 'Barrier' ? failureOf(() => waited.wait()) : late;
    waited.memory.close();
    const closed = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_CLOSED' });
    if (kind !== 'Barrier') expect(await Promise.all(waits)).toEqual(waits.map(() => closed));
    expect(await last).toEqual(closed);
    expect(waited.object.closed).toBe(true);
    expect(await failureOf(() => waited.wait())).toEqual(closed);
    expect(await failureOf(() => waited.waitSync())).toEqual(closed);
    expect(await failureOf(() => waited.waitSync({ timeout: 0 }))).toEqual(closed);
  });

  it('that blocks is refused while others of its thread wait', async () => {
    const waited = await makeWaited(kind);
    const waiting = waited.wait();
    await waited.untilWaited();
    const busy = expect.objectContaining({ code: 'ERR_INTERPROC_BUSY' });
    expect(() => waited.waitSync()).toThrow(busy);
    expect(() => waited.waitSync({ timeout: 0 })).toThrow(busy);
    await waited.letGo();
    await waiting;
  });

  it('ends when its memory is truncated while it sleeps', async () => {
    const waited = await makeWaited(kind);
    const blocked = startPeer(
      `${withWaits(kind)} assert.throws(waitSync, (error) => error.code === 'ERR_INTERPROC_TRUNCATED');`,
      { args: [waited.memory.name] },
    );
    await waited.untilWaited();
    const waiting = kind === 'Barrier' ? undefined : failureOf(() => waited.wait());
    await turns(60);
    truncateSync(`/dev/shm${waited.memory.name}`, 0);
    if (waiting !== undefined) expect(await waiting).toMatchObject({ code: 'ERR_INTERPROC_TRUNCATED' });
    expect(await blocked.exited).toMatchObject(clean);
    expect(await failureOf(() => waited.wait())).toMatchObject({ code: 'ERR_INTERPROC_TRUNCATED' });
  });

  it('that is awaited ends when its memory is truncated while it sleeps', async () => {
    const waited = await makeWaited(kind);
    const waiting = failureOf(() => waited.wait());
    await waited.untilWaited();
    await turns(60);
    truncateSync(`/dev/shm${waited.memory.name}`, 0);
    expect(await waiting).toMatchObject({ code: 'ERR_INTERPROC_TRUNCATED' });
  });

  const unrefed = [
    'object.unref(); wait();',
    'object.unref(); wait({ timeout: 1e6 });',
    'wait(); await new Promise((later) => setTimeout(later, 20)); object.unref();',
    'wait({ timeout: 1e6 }); object.unref();',
  ];
  it.each(unrefed)('lets its process end that has unref()ed it: %s', async (call) => {
    const waited = await makeWaited(kind);
    const { exited } = startPeer(`${withWaits(kind)} ${call}`, { args: [waited.memory.name] });
    expect(await exited).toMatchObject(clean);
  });

  it.each(['wait()', 'wait({ timeout: 1e6 })'])('keeps its process alive in %s', async (call) => {
    const waited = await makeWaited(kind);
    const peer = startPeer(
      `${withWaits(kind)}
      const served = ${call}.then(() => send('served'));
      object.unref().ref();`,
      { args: [waited.memory.name] },
    );
    await waited.untilWaited();
    await waited.letGo();
    expect(await peer.next()).toBe('served');
    expect(await peer.exited).toMatchObject(clean);
  });

  it.each(['wait()', 'waitSync()'])('lets its process exit in %s', async (call) => {
    const waited = await makeWaited(kind);
    const source = `${withWorkers}
      startWorker(\`const memory = SharedMemory.open(workerData); ${waitsInScript(kind)} say(); ${call};\`, args[0]);
      await next();
      process.exit(7);`;
    const peer = startPeer(source, { args: [waited.memory.name], execArgv: ['--expose-gc'] });
    await waited.untilWaited();
    peer.send('exit');
    expect(await peer.exited).toMatchObject({ ...clean, code: 7 });
  });

  it.each(['wait()', 'wait({ timeout: 1e6 })', 'waitSync()'])(
    'lets its worker be terminated in %s',
    async (call) => {
      const waited = await makeWaited(kind);
      const source = `${withWorkers}
      const worker = startWorker(\`const memory = SharedMemory.open(workerData); ${waitsInScript(kind)} say(); ${call}; setInterval(() => {}, 1e6);\`, args[0]);
      await next();
      await worker.terminate();`;
      const peer = startPeer(source, { args: [waited.memory.name], execArgv: ['--expose-gc'] });
      await waited.untilWaited();
      peer.send('terminate');
      const exit = await peer.exited;
      expect(exit).not.toMatchObject(killed);
      expect(exit).toMatchObject(clean);
      // It is over with him: nothing is owed to him any more.
      if (kind === 'Barrier')
        expect(await failureOf(() => waited.wait())).toMatchObject({ code: 'ERR_INTERPROC_BROKEN' });
      else {
        const next = waited.wait();
        await waited.letGo();
        await next;
      }
    },
  );
});
