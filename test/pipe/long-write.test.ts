import { createPipe } from 'interproc';
import { expect, it } from 'vitest';
import { startPeer } from '../support/peer.js';
import { closing } from '../support/sockets.js';

it('a long write to a reader that keeps up lets the event loop have its turns', async () => {
  const { reader, writer } = createPipe({ capacity: 1 << 20 });
  closing(writer);
  const peer = startPeer(
    `const { openSync } = await import('node:fs');
    const reader = PipeReader.fromFd(4);
    await send('reading');
    await reader.spliceTo(openSync('/dev/null', 'w'), Number.MAX_SAFE_INTEGER);`,
    { fds: [reader.fd] },
  );
  reader.close();
  await peer.next();
  const data = Buffer.alloc(1 << 30, 1);
  // CPU time of this process between two turns, not the time that passes.
  let longest = 0;
  let all = 0;
  let last = process.cpuUsage();
  const turn = () => {
    const { user, system } = process.cpuUsage(last);
    longest = Math.max(longest, user + system);
    all += user + system;
    last = process.cpuUsage();
    turns = setImmediate(turn);
  };
  let turns = setImmediate(turn);
  await new Promise((resolve) => setTimeout(resolve, 20));
  [longest, all] = [0, 0];
  await writer.write(data);
  clearImmediate(turns);
  writer.close();
  expect(await peer.exited).toMatchObject({ code: 0, signal: null });
  expect(longest).toBeLessThan(all / 4);
});
