import { describe, expect, it } from 'vitest';
import { secondCopy } from '../support/copies.js';
import { clean, runPeer } from '../support/peer.js';
import { isSanitized } from '../support/sanitized.js';

describe('two copies of the package in one process', () => {
  it('share objects, and each guards its own memory', async () => {
    const source = `
      import { ftruncateSync } from 'node:fs';
      const other = await import(args[0]);
      assert.notEqual(other.SharedMemory, SharedMemory);
      const a = SharedMemory.anonymous({ size: 8192, seal: false });
      const b = other.SharedMemory.fromFd(a.fd);
      const [left, right] = [new Uint8Array(a.buffer), new Uint8Array(b.buffer)];
      left[8191] = 1;
      assert.equal(right[8191], 1);
      ftruncateSync(a.fd, 4096);
      assert.equal(right[8191], 0);
      assert.deepEqual([a.fault, b.fault], [undefined, 'truncated']);
      assert.equal(left[8191], 0);
      assert.equal(a.fault, 'truncated');
      b.close();
      assert.throws(() => b.buffer, { code: 'ERR_INTERPROC_CLOSED', name: 'IpcError' });
      try { other.SharedMemory.open('/interproc-none'); } catch (error) {
        assert.equal(error instanceof other.IpcError, true);
        assert.equal(error instanceof IpcError, false);
        assert.equal(error.code, 'ENOENT');
      }`;
    expect(await runPeer(source, { args: [secondCopy()] })).toMatchObject(clean);
  });

  it('wait for each other: what one accepted is published before the other blocks', async () => {
    const source = `
      const other = await import(args[0]);
      const channel = Channel.anonymous({ capacity: 4096 });
      const sender = channel.sender();
      const receiver = other.Channel.fromFd(channel.fd).receiver();
      sender.trySend('accepted');
      assert.equal(String(receiver.receiveSync({ timeout: 10000 })), 'accepted');`;
    expect(await runPeer(source, { args: [secondCopy()] })).toMatchObject(clean);
  });

  it('hand on a fault of neither: the process dies by it, once each has put its guard back over the other', async () => {
    const source = `
      const other = await import(args[0]);
      const a = SharedMemory.anonymous({ size: 4096 });
      const b = other.SharedMemory.anonymous({ size: 4096 });
      for (let round = 0; round < 3; round++) { a.advise('normal'); b.advise('normal'); }
      process.kill(process.pid, 'SIGBUS');
      await new Promise(() => setTimeout(() => {}, 1e6));`;
    expect(await runPeer(source, { args: [secondCopy()] })).toMatchObject({ code: null, signal: 'SIGBUS' });
  });

  it.skipIf(isSanitized)(
    'keep a listener of the application, and grow no chain of handlers between them',
    async () => {
      const source = `
      const other = await import(args[0]);
      const a = SharedMemory.anonymous({ size: 4096 });
      const b = other.SharedMemory.anonymous({ size: 4096 });
      const heard = new Promise((resolve) => process.on('SIGBUS', resolve));
      const take = () => { a.advise('normal'); b.advise('normal'); };
      for (let round = 0; round < 1000; round++) take();
      gc();
      const { rss } = process.memoryUsage();
      for (let round = 0; round < 100_000; round++) take();
      gc();
      // 200,000 remembered handlers would be 32 MB.
      assert.ok(process.memoryUsage().rss - rss < 16 << 20);
      process.kill(process.pid, 'SIGBUS');
      const alive = setInterval(() => {}, 1000);
      assert.equal(await heard, 'SIGBUS');
      clearInterval(alive);
      process.exit(0);`;
      expect(await runPeer(source, { args: [secondCopy()], execArgv: ['--expose-gc'] })).toMatchObject(clean);
    },
  );

  it('guard each its own memory, also where there are three and an application that listens', async () => {
    const source = `
      import { ftruncateSync } from 'node:fs';
      const make = (copy) => copy.SharedMemory.anonymous({ size: 8192, seal: false });
      const listener = () => {};
      const memories = [make({ SharedMemory })];
      for (const path of args) {
        process.on('SIGBUS', listener);
        memories.push(make(await import(path)));
        process.off('SIGBUS', listener);
      }
      process.on('SIGBUS', listener);
      for (const memory of memories) memory.advise('normal');
      for (const memory of memories) {
        const view = new Uint8Array(memory.buffer);
        ftruncateSync(memory.fd, 0);
        assert.equal(view[5000], 0);
        assert.equal(memory.fault, 'truncated');
      }
      process.exit(0);`;
    expect(await runPeer(source, { args: [secondCopy(), secondCopy()] })).toMatchObject(clean);
  });
});
