import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Channel, SysvSharedMemory } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { channelName, tempDir, tempPath } from '../support/names.js';
import { canMountQueues, inNamespaces } from '../support/namespaces.js';
import { clean, runProgram } from '../support/peer.js';
import { watchdogMs } from '../support/watchdog.js';

const root = fileURLToPath(new URL('../../examples', import.meta.url));

/** All but the demo, which is more than an example. */
const examples = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.js') && !file.startsWith('demo/'))
  .sort();

it('there are examples', () => {
  expect(examples).not.toEqual([]);
});

it.each(examples)('%s says what it found and leaves nothing behind', (file) => {
  const temporary = tempDir();
  const { pid, status, signal, stdout, stderr } = spawnSync(process.execPath, [join(root, file)], {
    env: { ...process.env, TMPDIR: temporary },
    encoding: 'utf8',
    timeout: watchdogMs,
  });
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
  expect(stdout).toMatch(/^[A-Z].*[.]$/m);
  expect(readdirSync(temporary)).toEqual([]);
  // Names of examples end with the process id, so that other programs on this machine don't count.
  expect(readdirSync('/dev/shm').filter((name) => name.endsWith(`-${pid}`))).toEqual([]);
  expect(SysvSharedMemory.list().filter(({ creatorPid }) => creatorPid === pid)).toEqual([]);
});

describe.skipIf(!canMountQueues)('where all queues and semaphores can be seen', () => {
  // An IPC namespace of its own; /dev/shm is not needed any more once the example is over.
  const world = (then: string) => ['sh', '-ec', `"$@"\n${then}`, 'sh', process.execPath];
  const leftovers =
    'mount -t mqueue mqueue /dev/shm; ls /dev/shm; sed -s 1d /proc/sysvipc/msg /proc/sysvipc/sem';
  const inItsWorld = [...inNamespaces(['--ipc', '--mount'], ''), ...world(`echo --; ${leftovers}`)];
  const found = (args: string[]) => {
    const [command, ...rest] = [...inItsWorld, ...args] as [string, ...string[]];
    const { status, stdout } = spawnSync(command, rest, { encoding: 'utf8', timeout: watchdogMs });
    return { status, left: stdout.split('--\n')[1] };
  };

  it.each(examples.filter((file) => /^(queue|semaphore)\//.test(file)))('%s leaves none behind', (file) => {
    expect(found([join(root, file)])).toEqual({ status: 0, left: '' });
  });

  it('what is left behind would be found', () => {
    const make = (what: string) =>
      found(['--input-type=module', '-e', `import * as ipc from 'interproc'; ${what}`]);
    expect(make("ipc.MessageQueue.create('/left')")).toEqual({ status: 0, left: 'left\n' });
    expect(make('ipc.SysvMessageQueue.create(1)')).toMatchObject({ left: expect.stringMatching(/^ +1 /) });
    expect(make('ipc.SysvSemaphoreSet.create(1, { count: 1 })')).toMatchObject({
      left: expect.stringMatching(/^ +1 /),
    });
  });
});

it.each([
  ['sender', 'receiver'],
  ['receiver', 'sender'],
] as const)('channel/by-name.js works when its %s is there before its %s', async (first, second) => {
  const name = channelName();
  const start = (role: string) =>
    runProgram(process.execPath, [join(root, 'channel/by-name.js'), role, name]);
  const early = start(first);
  const channel = await Channel.open(name, { readOnly: true });
  onTestFinished(() => channel.close());
  await expect.poll(() => channel.stats().timesSlept[first], { timeout: watchdogMs }).toBeGreaterThan(0);
  const late = start(second);
  const printed = { sender: '', receiver: 'Received 100000 prices, 104.5 on average.\n' };
  expect(await early).toEqual({ ...clean, stdout: printed[first] });
  expect(await late).toEqual({ ...clean, stdout: printed[second] });
  expect(Channel.tryOpen(name)).toBe(null);
});

it.each([
  ['pipe/fifo.js', 'writer', 'reader', 'Read 10000 jobs from the FIFO, in order.\n'],
  ['pipe/fifo.js', 'reader', 'writer', 'Read 10000 jobs from the FIFO, in order.\n'],
  [
    'socket/shared-memory.js',
    'user',
    'owner',
    'The last of 1000000 numbers is 1999998 now, and none was copied.\n',
  ],
] as const)('%s works when its %s is started before its %s', async (file, first, second, says) => {
  const path = tempPath('address');
  const start = (role: string) => runProgram(process.execPath, [join(root, file), role, path]);
  const early = start(first);
  const late = start(second);
  const [one, other] = await Promise.all([early, late]);
  expect([one, other].map(({ code, signal, stderr }) => ({ code, signal, stderr }))).toEqual([clean, clean]);
  expect([one.stdout, other.stdout].sort()).toEqual(['', says]);
  expect(existsSync(path)).toBe(false);
});

it('sync/lost-updates.js loses updates without a lock, and none with a mutex', async () => {
  const ended = await runProgram(process.execPath, [join(root, 'sync/lost-updates.js')]);
  expect(ended).toMatchObject(clean);
  const lost = [...ended.stdout.matchAll(/(\d+) of them were lost/g)].map(([, count]) => Number(count));
  expect(lost).toEqual([expect.any(Number), 0]);
  expect(lost[0]).toBeGreaterThan(0);
});

it('sync/killed-holder.js takes the mutex of a killed process, and makes whole what that left', async () => {
  const ended = await runProgram(process.execPath, [join(root, 'sync/killed-holder.js')]);
  expect(ended).toMatchObject(clean);
  expect(ended.stdout).toContain('Abandoned: true. Ann has 70 and Bob 50: 30 are missing.\n');
  expect(ended.stdout).toContain('Made whole: Ann has 100 and Bob 50.\n');
});
