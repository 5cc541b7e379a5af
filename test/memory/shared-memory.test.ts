import { constants } from 'node:buffer';
import { statSync } from 'node:fs';
import { SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { holdings } from '../support/leaks.js';
import { shmName } from '../support/names.js';
import { runPeer, startPeer } from '../support/peer.js';

describe('a shared-memory object', () => {
  it('is seen by another process, byte for byte, both ways', async () => {
    const memory = SharedMemory.create(shmName(), { size: 4096 });
    const bytes = new Uint8Array(memory.buffer);
    bytes[1] = 41;
    const { code, stderr } = await runPeer(
      `const bytes = new Uint8Array(SharedMemory.open(args[0]).buffer); bytes[2] = bytes[1] + 1;`,
      { args: [memory.name] },
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(bytes[2]).toBe(42);
    memory.close();
  });
});
