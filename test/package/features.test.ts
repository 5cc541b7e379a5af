import { features, isSupported } from 'interproc';
import { expect, it } from 'vitest';

it('features tell that each room works here', () => {
  // What the kernel or the runtime may lack.
  const { futexWaitv, pidfd, sharedArrayBuffer, ...rooms } = features;
  expect(isSupported).toBe(true);
  expect(rooms).toEqual({
    sharedMemory: true,
    mappedFile: true,
    sysvSharedMemory: true,
    pipe: true,
    socket: true,
    messageQueue: true,
    sysvMessageQueue: true,
    semaphore: true,
    sysvSemaphoreSet: true,
    waiting: true,
    channel: true,
  });
  for (const works of [futexWaitv, pidfd, sharedArrayBuffer]) expect(works).toBeTypeOf('boolean');
});
