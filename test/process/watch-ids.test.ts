/** The ids of watches are the kernel's 32 bits. */
import { expect, it } from 'vitest';
import { clean, runPeer } from '../support/peer.js';

it('they go on from the beginning where they end, past those that are in use', async () => {
  const source = `
    const { native } = await import('./dist/internal/native.js');
    const early = createPipe();
    const first = early.reader.read();
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    while (native[Symbol.for('interproc.poller')]?.lastId !== 1) await turn(); // it sleeps now
    const poller = native[Symbol.for('interproc.poller')];
    poller.lastId = 0xffff_fffe;
    for (let round = 0; round < 4; round++) {
      const { reader, writer } = createPipe();
      const { lastId } = poller;
      const reading = reader.read();
      while (poller.lastId === lastId) await turn();
      writer.tryWrite('hello');
      assert.equal(String(await reading), 'hello');
      reader.close();
    }
    gc();
    await turn();
    early.writer.tryWrite('first');
    assert.equal(String(await first), 'first');`;
  expect(await runPeer(source, { execArgv: ['--expose-gc'] })).toMatchObject(clean);
});
