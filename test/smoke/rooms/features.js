import assert from 'node:assert/strict';
import { features, isSupported } from 'interproc';

/** @typedef {import('../test-context.js').TestContext} TestContext */

/** @type {Record<string, (t: TestContext) => unknown>} */
export const tests = {
  'the package works here': () => assert.equal(isSupported, true),

  'each feature is told, yes or no': () => {
    assert(Object.keys(features).length > 10);
    for (const [name, has] of Object.entries(features)) assert.equal(typeof has, 'boolean', name);
  },

  'the second process has the same features': async (t) => {
    const side = t.side('tells');
    assert.deepEqual(await side.next(), { ...features });
    await side.done();
  },

  'a worker has the same features': async (t) => {
    const worker = t.worker('tells');
    assert.deepEqual(await worker.next(), { ...features });
    await worker.done();
  },
};

/** @type {Record<string, (side: import('../side.js').SideContext) => unknown>} */
export const sides = {
  tells: ({ send }) => send(features),
};

/** @type {Record<string, (args: any, send: (message: unknown) => void) => unknown>} */
export const workers = {
  tells: (_args, send) => send({ ...features }),
};
