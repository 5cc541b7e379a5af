import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { tempPath } from '../support/names.js';
import { clean, runPeer } from '../support/peer.js';

/** For scripts of peers: runs an ES module in a worker; `message` waits for one. */
const workers = `
  import { Worker } from 'node:worker_threads';
  import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
  const work = (source, workerData) => new Worker(
    "import { parentPort, workerData } from 'node:worker_threads';" + source, { eval: true, workerData });
  const event = (worker, name) => new Promise((resolve, reject) => worker.once(name, resolve).once('error', reject));
  const settle = async () => { for (let i = 0; i < 5; i++) { gc(); await new Promise(setImmediate); } };
  const held = () => [
    ...readdirSync('/proc/self/fd').flatMap((fd) => { try { return [readlinkSync('/proc/self/fd/' + fd)]; } catch { return []; } }),
    ...readFileSync('/proc/self/maps', 'utf8').split('\\n'),
  ].filter((each) => /memfd:|SYSV|interproc-test/.test(each)).length;
`;
const execArgv = ['--expose-gc'];

describe('in a worker', () => {
  it('an object is opened by name, by descriptor and by id, and is the same memory', async () => {
    const source = `${workers}
      const named = SharedMemory.create('/interproc-test-worker-' + process.pid, { size: 4096 });
      const anonymous = SharedMemory.anonymous({ size: 4096 });
      const segment = SysvSharedMemory.create(null, { size: 4096 });
      segment.remove();
      const worker = work(\`
        import { SharedMemory, SysvSharedMemory } from 'interproc';
        for (const region of [SharedMemory.open(workerData.name), SharedMemory.fromFd(workerData.fd), SysvSharedMemory.fromId(workerData.id)]) {
          new Uint8Array(region.buffer)[0] = 9;
          region.close();
        }\`, { name: named.name, fd: anonymous.fd, id: segment.id });
      assert.equal(await event(worker, 'exit'), 0);
      named.unlink();
      for (const region of [named, anonymous, segment]) assert.equal(new Uint8Array(region.buffer)[0], 9);`;
    expect(await runPeer(source, { execArgv })).toMatchObject(clean);
  });

  it('what is open when it ends or is terminated is closed: no descriptor, no mapping is left', async () => {
    const source = `${workers}
      const memory = SharedMemory.anonymous({ size: 4096 });
      const before = held();
      for (const end of ['return', 'process.exit', 'throw', 'terminate', 'terminate in a loop']) {
        const worker = work(\`
          import { SharedMemory, SysvSharedMemory } from 'interproc';
          const regions = [SharedMemory.anonymous({ size: 4096 }), SharedMemory.fromFd(workerData.fd), SharedMemory.anonymous({ size: 4096 }).map()];
          const segment = SysvSharedMemory.create(null, { size: 4096 });
          segment.remove();
          const views = [segment, ...regions].map((region) => new Uint8Array(region.buffer));
          globalThis.keep = { regions, segment, views };
          parentPort.postMessage('mapped');
          if (workerData.end === 'process.exit') process.exit(0);
          if (workerData.end === 'throw') parentPort.once('message', () => { throw new Error('on purpose'); });
          if (workerData.end === 'terminate') setInterval(() => {}, 1000);
          while (workerData.end === 'terminate in a loop') for (const view of views) view.fill(1);\`, { end, fd: memory.fd });
        const exited = new Promise((resolve) => worker.once('exit', resolve).on('error', () => {}));
        await event(worker, 'message');
        if (end === 'throw') worker.postMessage('now');
        if (end.startsWith('terminate')) await worker.terminate();
        await exited;
        await settle();
        assert.equal(held(), before, end);
      }
      new Uint8Array(memory.buffer)[0] = 1;`;
    expect(await runPeer(source, { execArgv })).toMatchObject(clean);
  });

  it('the addon works although no other thread ever loads it, and the process ends well after that', async () => {
    const source = `
      import { Worker } from 'node:worker_threads';
      for (let round = 0; round < 5; round++) {
        const worker = new Worker(\`
          import { SharedMemory } from 'interproc';
          import { ftruncateSync } from 'node:fs';
          const memory = SharedMemory.anonymous({ size: 8192, seal: false });
          const view = new Uint8Array(memory.buffer);
          ftruncateSync(memory.fd, 0);
          if (view[0] !== 0 || memory.fault !== 'truncated') throw new Error('no guard');\`, { eval: true });
        const code = await new Promise((resolve) => worker.once('exit', resolve));
        if (code !== 0) process.exit(1);
      }`;
    const { status, signal, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', source], {
      encoding: 'utf8',
      timeout: 50_000,
    });
    expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
  });

  it('terminated while a sync is under way, nothing crashes and nothing is left', async () => {
    const source = `${workers}
      const before = held();
      for (let round = 0; round < 20; round++) {
        const worker = work(\`
          import { MappedFile } from 'interproc';
          const file = MappedFile.openOrCreate(workerData, { size: 16 << 20 });
          new Uint8Array(file.buffer).fill(1);
          for (let at = 0; at < 8; at++) file.sync();
          parentPort.postMessage('syncing');
          setInterval(() => {}, 1000);\`, args[0]);
        await event(worker, 'message');
        await worker.terminate();
      }
      await settle();
      assert.equal(held(), before);`;
    expect(await runPeer(source, { execArgv, args: [tempPath()] })).toMatchObject(clean);
  });

  it('eight at once map, resize and close without getting in each others way', async () => {
    const source = `${workers}
      const ends = Array.from({ length: 8 }, (_, index) => event(work(\`
        import { SharedMemory } from 'interproc';
        for (let round = 0; round < 300; round++) {
          const memory = SharedMemory.anonymous({ size: 4096 + round });
          new Uint8Array(memory.buffer).fill(workerData);
          memory.resize(8192 + round);
          const view = new Uint8Array(memory.buffer);
          if (view[0] !== workerData || view[4096 + round] !== 0) throw new Error('foreign bytes');
          if (round % 3) memory.close();
        }\`, index + 1), 'exit'));
      assert.deepEqual(await Promise.all(ends), Array(8).fill(0));
      await settle();
      assert.equal(held(), 0);`;
    expect(await runPeer(source, { execArgv })).toMatchObject(clean);
  });
});
