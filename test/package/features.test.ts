import { features, isSupported } from 'interproc';
import { expect, it } from 'vitest';

it('features tell that each room works here', () => {
  const { sharedMemory, mappedFile, sysvSharedMemory, pipe, socket, waiting, channel } = features;
  const rooms = { sharedMemory, mappedFile, sysvSharedMemory, pipe, socket, waiting, channel };
  expect(isSupported).toBe(true);
  expect(Object.entries(rooms).filter(([, works]) => works !== true)).toEqual([]);
});
