/** What keeps a process alive, and what holds up its end: nothing but calls that wait, and nothing at all. */
import { describe, expect, it } from 'vitest';
import { tempPath } from '../support/names.js';
import { clean, runPeer } from '../support/peer.js';

const pending: Record<string, string> = {
  'reads that wait': 'for (let each = 0; each < 64; each++) reader.read().catch(() => {});',
  'a write that waits': 'writer.write(Buffer.alloc(100_000)).catch(() => {});',
  'reads with a timeout':
    'for (let each = 0; each < 64; each++) reader.read({ timeout: 1e9 }).catch(() => {});',
  'reads of 64 pipes': 'for (let each = 0; each < 64; each++) hold(createPipe()).reader.read();',
  'a splice that waits': 'reader.spliceTo(hold(createPipe()).writer, 5).catch(() => {});',
  'a tee that waits': 'reader.tee(hold(createPipe()).writer, 5).catch(() => {});',
  'openings that wait': 'for (let each = 0; each < 64; each++) Fifo.openReader(path).catch(() => {});',
  'a stream that reads': 'reader.toReadable().resume();',
  'a loop that reads': '(async () => { for await (const chunk of reader); })();',
};
const head = `
  const [path] = args;
  Fifo.create(path);
  const { reader, writer } = hold(createPipe());`;

describe('a process', () => {
  it.each(Object.entries(pending))(
    'with %s ends at once by process.exit(), with its code',
    async (_, call) => {
      const source = `${head} ${call}
      setImmediate(() => process.exit(7));`;
      expect(await runPeer(source, { args: [tempPath('fifo')] })).toMatchObject({ ...clean, code: 7 });
    },
  );

  it.each(Object.entries(pending))('with %s stays alive until something else ends it', async (_, call) => {
    // Nothing else keeps it, so it would end with 13 or 0 before the timer, which is no reason to stay, fires.
    const source = `${head} ${call}
      process.on('exit', (code) => { if (!process.exitCode) process.exitCode = 3; });
      setTimeout(() => { process.exitCode = 7; process.exit(); }, 50).unref();`;
    expect(await runPeer(source, { args: [tempPath('fifo')] })).toMatchObject({ ...clean, code: 7 });
  });

  const ofEnds = Object.entries(pending).filter(([, call]) =>
    /^(reader|writer|for[^;]*; each < 64; each\+\+\) reader)/.test(call),
  );
  it.each(ofEnds)(
    'with %s of ends that are unref()ed ends by itself, before and after the calls',
    async (_, call) => {
      for (const source of [
        `${head} reader.unref(); writer.unref(); ${call}`,
        `${head} ${call} reader.unref(); writer.unref();`,
        `${head} reader.unref(); writer.unref(); ${call} reader.ref(); writer.ref(); reader.unref(); writer.unref();`,
      ]) {
        expect(await runPeer(source, { args: [tempPath('fifo')] })).toMatchObject(clean);
      }
    },
  );

  it('with nothing that waits ends by itself, whatever is open', async () => {
    const source = `${head}
      const both = Fifo.openReaderSync(path, { readWrite: true });
      writer.tryWrite('unread');
      await reader.read();
      await reader.read({ timeout: 1 }).catch(() => {});
      const controller = new AbortController();
      const aborted = Promise.allSettled([
        both.read({ signal: controller.signal }),
        reader.spliceTo(writer, 1, { signal: controller.signal }),
        Fifo.openReader(path, { signal: controller.signal }),
      ]);
      setImmediate(() => controller.abort());
      await aborted;`;
    expect(await runPeer(source, { args: [tempPath('fifo')] })).toMatchObject(clean);
  });

  it('whose end is unref()ed still gets what comes while it lives', async () => {
    const source = `${head}
      reader.unref();
      const read = reader.read();
      const stay = setInterval(() => {}, 1000);
      setTimeout(() => writer.tryWrite('late'), 5);
      assert.equal(String(await read), 'late');
      clearInterval(stay);`;
    expect(await runPeer(source, { args: [tempPath('fifo')] })).toMatchObject(clean);
  });
});
