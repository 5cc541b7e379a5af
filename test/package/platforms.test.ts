/** On other platforms the package can be imported, and everything in it says that it does not work there. */
import { cpSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as all from 'interproc';
import { describe, expect, it } from 'vitest';
import { secondCopy } from '../support/copies.js';
import { clean, runPeer, runProgram } from '../support/peer.js';

const pretend = fileURLToPath(new URL('../consumers/pretend/platform.mjs', import.meta.url));
const everything = fileURLToPath(new URL('../consumers/pretend/everything.mjs', import.meta.url));

const calls = () => ['--import', pretend, everything];

describe.each(['darwin', 'win32', 'freebsd'])('on %s', (platform) => {
  const env = { PRETEND_PLATFORM: platform };
  const execArgv = ['--import', pretend];

  it('import works, and loads no binary', async () => {
    const source = `
      import { readFileSync } from 'node:fs';
      assert.equal(process.platform, args[0]);
      assert.equal(isSupported, false);
      assert.deepEqual(Object.values(features).filter((each) => each !== false), []);
      assert.equal(Object.keys(features).length, args[1]);
      assert.doesNotMatch(readFileSync('/proc/self/maps', 'utf8'), /interproc[^\\n]*\\.node/);`;
    const args = [platform, Object.keys(all.features).length];
    expect(await runPeer(source, { args, env, execArgv })).toMatchObject(clean);
  });

  it('require works', async () => {
    const source = `
      import { createRequire } from 'node:module';
      const required = createRequire(process.cwd() + '/')('interproc');
      assert.equal(required.isSupported, false);
      assert.equal(required.SharedMemory, SharedMemory);`;
    expect(await runPeer(source, { env, execArgv })).toMatchObject(clean);
  });

  it('everything that can be called says so', async () => {
    const { code, stderr, stdout } = await runProgram('env', [
      `PRETEND_PLATFORM=${platform}`,
      process.execPath,
      ...calls(),
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const told: Record<string, string> = JSON.parse(stdout);
    expect(Object.entries(told).filter(([, code]) => code !== 'ERR_INTERPROC_UNSUPPORTED_PLATFORM')).toEqual(
      [],
    );
    const exported = Object.entries(all).filter(([, value]) => typeof value === 'function');
    const called = new Set(Object.keys(told).map((call) => call.replace(/^new |[.(].*/g, '')));
    expect([...called].sort()).toEqual(
      exported
        .map(([name]) => name)
        .filter((name) => name !== 'IpcError')
        .sort(),
    );
  });

  it('so do calls that would be right elsewhere, in words that help', async () => {
    const source = `
      const expected = { name: 'IpcError', code: 'ERR_INTERPROC_UNSUPPORTED_PLATFORM', message: new RegExp('Linux only.*' + args[0] + '.*isSupported') };
      assert.throws(() => SharedMemory.create('/x', { size: 4096 }), expected);
      assert.throws(() => SharedMemory.anonymous({ size: 4096, sharedArrayBuffer: true }), expected);
      assert.throws(() => MappedFile.open('/etc/hostname'), expected);
      assert.throws(() => createPipe(), expected);
      assert.throws(() => MessageQueue.openOrCreate('/x'), expected);
      assert.throws(() => Semaphore.list(), expected);
      assert.throws(() => Channel.anonymous({ capacity: 4096 }), expected);
      await assert.rejects(Channel.open('x'), expected);
      await assert.rejects(UnixStream.connect('/x'), expected);
      assert.equal(new IpcError('EIO', 'text') instanceof Error, true);`;
    expect(await runPeer(source, { args: [platform], env, execArgv })).toMatchObject(clean);
  });
});

it('on Linux without a binary everything says so, and how to build one', async () => {
  const folder = join(dirname(secondCopy('interproc')), '../..');
  rmSync(join(folder, 'build'), { recursive: true });
  cpSync(everything, join(folder, 'everything.mjs'));
  const { code, stderr, stdout } = await runProgram('env', [
    '--unset=INTERPROC_PREBUILD',
    process.execPath,
    join(folder, 'everything.mjs'),
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const codes = new Set(Object.values(JSON.parse(stdout)));
  expect([...codes]).toEqual(['ERR_INTERPROC_LOAD']);
});
