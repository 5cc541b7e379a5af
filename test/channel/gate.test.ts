/**
 * Channels of which somebody was stopped in the middle of joining or leaving, so that their gate is held: no call waits
 * for its end but those that are told to wait.
 */
import { existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { Channel } from 'interproc';
import { describe, expect, it } from 'vitest';
import { systemError } from '../support/failures.js';
import { holdGate } from '../support/gate.js';
import { channelName, tempPath } from '../support/names.js';
import { takingPart } from '../support/participants.js';
import { clean, runPeer, startPeer } from '../support/peer.js';

const shmPath = (name: string) => `/dev/shm/interproc.${name.slice(1)}`;
const inShm = (name: string) => existsSync(shmPath(name));
const code = (expected: string) => expect.objectContaining({ name: 'IpcError', code: expected });

/** A channel with a name whose participants are all dead. */
async function makeDead(name: string): Promise<void> {
  const peer = startPeer(
    `const channel = Channel.create(args[0], { capacity: 64 });
     process.kill(process.pid, 'SIGKILL');`,
    { args: [name] },
  );
  expect(await peer.exited).toMatchObject({ signal: 'SIGKILL' });
}

describe('while somebody stands in the gate', () => {
  it('to join or to replace is EBUSY, with the cause', async () => {
    const name = channelName();
    await makeDead(name);
    const { letGo } = await holdGate(shmPath(name));
    const busy = systemError('EBUSY', 'fcntl_locking');
    const cause = 'another process holds the gate of the channel: it was stopped';
    for (const call of [
      () => Channel.tryOpen(name),
      () => Channel.openOrCreate(name, { capacity: 64 }),
      () => Channel.create(name, { capacity: 64 }),
    ]) {
      expect(call).toThrow(busy);
      expect(call).toThrow(cause);
      expect(call).not.toThrow(/seal|F_SEAL/i);
    }
    await letGo();
    Channel.create(name, { capacity: 128 }).close();
    expect(inShm(name)).toBe(false);
  });

  it('a channel that somebody has open is in use, which takes no gate to see', async () => {
    const name = channelName();
    using channel = Channel.create(name, { capacity: 64 });
    const { letGo } = await holdGate(channel.path as string);
    expect(() => Channel.create(name, { capacity: 64 })).toThrow(systemError('EEXIST', 'shm_open'));
    expect(() => Channel.fromFd(channel.fd).close()).not.toThrow(); // this thread takes part already
    expect(Channel.tryOpen(name, { readOnly: true })?.readOnly).toBe(true);
    await letGo();
  });

  it('no call tries for long', async () => {
    const [dead, living] = [channelName(), channelName()];
    await makeDead(dead);
    using channel = Channel.create(living, { capacity: 64 });
    const peer = startPeer(
      `const leaving = Channel.openSync(args[1]);
       await send('open');
       await next();
       const busy = { code: 'EBUSY', syscall: 'fcntl_locking' };
       assert.throws(() => Channel.tryOpen(args[0]), busy);
       assert.throws(() => Channel.create(args[0], { capacity: 64 }), busy);
       await assert.rejects(Channel.open(args[0], { timeout: 0 }), { code: 'ETIMEDOUT' });
       assert.throws(() => Channel.openSync(args[0], { timeout: 0 }), { code: 'ETIMEDOUT' });
       Channel.unlink(args[0]);
       leaving.close();`,
      // Who looks at the gate so often dies of it.
      { args: [dead, living], env: { INTERPROC_FAILPOINT: 'gate.busy:2000' } },
    );
    expect(await peer.next()).toBe('open');
    const held = [await holdGate(shmPath(dead)), await holdGate(channel.path as string)];
    peer.send('go on');
    expect(await peer.exited).toMatchObject(clean);
    expect(inShm(dead)).toBe(false);
    expect(takingPart(channel)).toHaveLength(1);
    for (const { letGo } of held) await letGo();
  });

  it.each(['name', 'path'])(
    'open waits, until its timeout or until the gate is free: by %s',
    async (kind) => {
      const target = kind === 'name' ? channelName() : { path: tempPath() };
      using channel = Channel.create(target, { capacity: 64 });
      const { letGo } = await holdGate(channel.path as string);
      const peer = startPeer(
        `for (const timeout of [0, 5]) {
         await assert.rejects(Channel.open(args[0], { timeout }), { code: 'ETIMEDOUT' });
         assert.throws(() => Channel.openSync(args[0], { timeout }), { code: 'ETIMEDOUT' });
       }
       const opening = [Channel.open(args[0]), Channel.open(args[0], { timeout: 40_000 })];
       await send('waiting');
       const opened = await Promise.all(opening);
       await send('open');
       await next();
       Channel.openSync(args[0]).close();
       for (const each of opened) each.close();`,
        { args: [target] },
      );
      expect(await peer.next()).toBe('waiting');
      await letGo();
      expect(await peer.next()).toBe('open');
      const again = await holdGate(channel.path as string);
      peer.send('go on');
      await again.letGo();
      expect(await peer.exited).toMatchObject(clean);
      expect(takingPart(channel)).toHaveLength(1);
    },
  );

  it('close leaves without it, and the name goes with the next who leaves as the last', async () => {
    const name = channelName();
    const channel = Channel.create(name, { capacity: 64 });
    const { letGo } = await holdGate(channel.path as string);
    channel.close();
    expect(channel.closed).toBe(true);
    await letGo();
    expect(Channel.list()).toContainEqual({ name, capacity: 64, participants: 0 });
    Channel.openSync(name).close();
    expect(inShm(name)).toBe(false);
  });

  it('close leaves without it, and create takes its place', async () => {
    const name = channelName();
    const channel = Channel.create(name, { capacity: 64 });
    const { letGo } = await holdGate(channel.path as string);
    channel.close();
    await letGo();
    using next = Channel.create(name, { capacity: 128 });
    expect(next.linked).toBe(true);
  });

  it('unlink removes the name without it', async () => {
    const name = channelName();
    const first = Channel.create(name, { capacity: 64 });
    const ofFirst = await holdGate(first.path as string);
    Channel.unlink(name);
    using second = Channel.create(name, { capacity: 128 });
    const ofSecond = await holdGate(second.path as string);
    second.unlink();
    expect(inShm(name)).toBe(false);
    for (const { letGo } of [ofFirst, ofSecond]) await letGo();
    first.close();
  });
});

describe('removing a name', () => {
  it('takes the gate of the channel that is there: by its name, by its path and by its handle', async () => {
    const [name, path] = [channelName(), tempPath()];
    const script = (call: string) =>
      `const [target] = args; const channel = Channel.openSync(target); ${call};`;
    for (const [target, call] of [
      [name, 'Channel.unlink(target)'],
      [name, 'channel.unlink()'],
      [{ path }, 'Channel.unlink(target)'],
      [{ path }, 'channel.unlink()'],
    ] as const) {
      using channel = Channel.create(target, { capacity: 64 });
      const env = { INTERPROC_FAILPOINT: 'unlink.gated' };
      const died = { signal: 'SIGKILL', stderr: '' };
      expect(await runPeer(script(call), { args: [target], env })).toMatchObject(died);
      expect(channel.linked).toBe(true);
    }
  });

  it('removes also what is no channel', () => {
    const path = tempPath();
    for (const make of [
      () => writeFileSync(path, ''),
      () => writeFileSync(path, 'something'),
      () => symlinkSync('/dev/null', path),
    ]) {
      make();
      Channel.unlink({ path });
      expect(existsSync(path)).toBe(false);
    }
    expect(() => Channel.unlink({ path })).toThrow(systemError('ENOENT', 'unlink', path));
    expect(() => Channel.unlink({ path: '/dev/shm' })).toThrow(code('EISDIR'));
  });
});
