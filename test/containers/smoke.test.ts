/** Every room once, as nobody in a container that has next to nothing: 1 MB of /dev/shm, and namespaces of its own. */
import { expect, it } from 'vitest';
import { canContain, startPod } from '../support/namespaces.js';
import { clean, runProgram } from '../support/peer.js';

const rooms = ['features', 'memory', 'pipe', 'socket', 'queue', 'semaphore', 'sync', 'channel'];

it.runIf(canContain).each(rooms)(
  'the smoke suite passes as nobody, with 1 MB of /dev/shm: %s',
  async (room) => {
    const pod = await startPod('size=1m');
    const [command, ...wrapper] = pod.container({ uid: 65_534 });
    const suite = [process.execPath, 'test/smoke/smoke.js', '--only', room];
    const ended = await runProgram(command as string, [...wrapper, ...suite]);
    expect(ended.stdout).toMatch(/^smoke: [1-9]\d* passed, 0 failed, 0 gaps$/m);
    expect(ended).toMatchObject(clean);
  },
);
