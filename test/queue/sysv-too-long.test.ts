/** Messages that the kernel takes from nobody, whenever it is asked. */
import { expect, it } from 'vitest';
import { makeQueue } from '../support/sysv.js';

it('one above kernel.msgmax is EINVAL also for who had to wait for his turn', async () => {
  const queue = makeQueue({ maxBytes: 100 });
  queue.sendSync(1, Buffer.alloc(100));
  const first = queue.send(1, Buffer.alloc(60));
  const second = expect(queue.send(1, Buffer.alloc(1 << 24))).rejects.toMatchObject({
    code: 'EINVAL',
    syscall: 'msgsnd',
  });
  const third = queue.send(1, Buffer.alloc(40));
  queue.tryReceive();
  await Promise.all([first, second, third]);
  expect(queue.stat().messages).toBe(2);
});
