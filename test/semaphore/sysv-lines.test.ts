import { SysvSemaphoreSet } from 'interproc';
import { expect, it, onTestFinished, vi } from 'vitest';

const take = { index: 0, delta: -1 };
const give = { index: 0, delta: 1 };

it('an operation whose time is up when its thread has just done it leaves the next one waiting for its turn', async () => {
  const set = SysvSemaphoreSet.create(null, { count: 1 });
  onTestFinished(() => set.remove());
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  for (let round = 0; round < 100; round++) {
    const first = set.op(take, { timeout: 1000 });
    const second = set.op(take);
    while (set.waiting(0).forIncrease === 0) await new Promise(setImmediate);
    // All in one turn of the event loop, which so doesn't hear of it before: the thread takes it, and the time is up.
    expect(set.tryOp(give)).toBe(true);
    while (set.get(0) > 0);
    for (let look = 0; look < 100; look++) set.getAll();
    vi.advanceTimersByTime(1000);
    await first;
    expect(set.tryOp(give)).toBe(true);
    await second;
  }
});
