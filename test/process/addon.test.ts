/** The addon itself, called past lib/: whatever comes, it throws and does not end the process. */
import { expect, it } from 'vitest';
import { clean, runPeer, runProgram } from '../support/peer.js';

it.each([1, 2, 3, 4])('the addon survives every call with arguments of every kind: seed %i', async (seed) => {
  const source = `
    import { createRequire } from 'node:module';
    const addon = createRequire(process.cwd() + '/')('node-gyp-build')(process.cwd());
    const random = ((state) => (below) => ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) % below)(args[0]);
    addon.deathInit(() => {});
    addon.futexInit(() => {});
    const participant = addon.segmentCreateAnonymous(64, false, 0o600, undefined, undefined);
    const file = addon.participantFile(participant);
    const role = addon.roleTake(participant, 0);
    const mapping = addon.mapFile(file, 0, 4096, '');
    const values = [undefined, null, 0, 1, -1, NaN, 1e20, 2 ** 31, 0.5, '', 'x', true, {}, [], () => {}, Symbol('s'),
      new Proxy({}, {}), participant, file, role, mapping];
    // Not those that make or remove objects of the system, nor those that block or set callbacks.
    const spared = /Create|Unlink|sysv|Sync|Sleep|Init$|Factory|^failpoint|^ftok/;
    const letGo = /Leave|Close/;
    const names = Object.keys(addon).filter((name) => typeof addon[name] === 'function' && !spared.test(name));
    let threw = 0;
    for (let count = 0; count < 100_000; count++) {
      const name = names[random(names.length)];
      if (letGo.test(name) && count < 90_000) continue;
      try {
        await addon[name](...Array.from({ length: random(6) }, () => values[random(values.length)]));
      } catch (error) {
        assert(error instanceof Error, name);
        threw++;
      }
    }
    assert(threw > 50_000, threw);
    process.exit(); // waits that it has begun would keep it alive`;
  expect(await runPeer(source, { args: [seed] })).toMatchObject(clean);
});

it.each([
  'addon.deathWatch(participant, 1, 1)',
  'addon.deathUnwatch(1)',
  'addon.futexAdd(mapping, 4096, 0, 1)',
  'addon.futexCancel(1)',
  'addon.futexKeep(true)',
])('the addon refuses what needs an init that was not called: %s', async (call) => {
  const source = `
    const assert = require('node:assert/strict');
    const addon = require('node-gyp-build')(process.cwd());
    addon.setErrorFactory((errno, syscall) => Object.assign(new Error(syscall), { errno }));
    const participant = addon.segmentCreateAnonymous(64, false, 0o600, undefined, undefined);
    const mapping = addon.mapFile(addon.participantFile(participant), 0, 4160, '');
    assert.throws(() => ${call}, { errno: 22 });`;
  // Without the package's own JS, which calls them.
  expect(await runProgram(process.execPath, ['-e', source])).toMatchObject(clean);
});
