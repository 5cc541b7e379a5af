/** What a pipe holds, and what is in it: F_SETPIPE_SZ, F_GETPIPE_SZ, FIONREAD. */
import { describe, expect, it } from 'vitest';
import { failing } from '../support/failures.js';
import { clean, runPeer } from '../support/peer.js';
import { fill, leavesNothingOpen, openFifo, openPipe } from '../support/pipes.js';

leavesNothingOpen();

describe('the capacity', () => {
  it('is 64 KiB at first, and what is asked for rounded up to a power of two of pages', () => {
    expect(openPipe().reader.capacity).toBe(65_536);
    const sizes = [
      [1, 4096],
      [4096, 4096],
      [4097, 8192],
      [100_000, 131_072],
      [1 << 20, 1 << 20],
    ] as const;
    for (const [asked, given] of sizes) {
      const { reader, writer } = openPipe({ capacity: asked });
      expect([reader.capacity, writer.capacity, fill(writer)]).toEqual([given, given, given]);
    }
  });

  it.each([
    ['a pipe', async () => openPipe()],
    ['a FIFO', openFifo],
  ])('is that of both ends of %s, and can be set at both', async (_, open) => {
    const { reader, writer } = await open();
    reader.capacity = 8192;
    expect(writer.capacity).toBe(8192);
    writer.capacity = 16_384;
    expect([reader.capacity, fill(writer)]).toEqual([16_384, 16_384]);
  });

  it('goes not below what is in the pipe', () => {
    const { reader, writer } = openPipe();
    fill(writer);
    expect(() => {
      reader.capacity = 32_768;
    }).toThrow(expect.objectContaining({ code: 'EBUSY', syscall: 'F_SETPIPE_SZ' }));
    expect(reader.capacity).toBe(65_536);
    reader.tryRead();
    reader.capacity = 32_768;
    expect(writer.capacity).toBe(32_768);
  });

  it('is limited for a user over all of his pipes: EPERM, which names the limit; nothing is left of that pipe', async () => {
    const source = `${failing}
      becomeNobody();
      const limit = Number(readFileSync('/proc/sys/fs/pipe-max-size', 'utf8'));
      const pages = Number(readFileSync('/proc/sys/fs/pipe-user-pages-soft', 'utf8'));
      const count = () => readdirSync('/proc/self/fd').length;
      fails(() => createPipe({ capacity: 2 * limit }), 'EPERM', 'F_SETPIPE_SZ', undefined, /fs\\.pipe-max-size/);
      if (pages > 0) {
        const pipes = [];
        let error;
        let before;
        for (let used = 0; used <= pages + limit / 4096 && error === undefined; used += limit / 4096) {
          before = count();
          try { pipes.push(createPipe({ capacity: limit })); } catch (refused) { error = refused; }
        }
        fails(() => { throw error; }, 'EPERM', 'F_SETPIPE_SZ', undefined, /fs\\.pipe-user-pages-soft/);
        assert.equal(count(), before);
        for (const { writer } of pipes) writer.capacity = 4096;
        createPipe({ capacity: limit });
      }`;
    expect(await runPeer(source)).toMatchObject(clean);
  });
});

describe('bytesAvailable', () => {
  it('is what is in the pipe, at both ends', () => {
    const { reader, writer } = openPipe();
    expect(reader.bytesAvailable).toBe(0);
    writer.tryWrite('12345');
    expect([reader.bytesAvailable, writer.bytesAvailable]).toEqual([5, 5]);
    reader.tryRead({ size: 2 });
    expect([reader.bytesAvailable, writer.bytesAvailable]).toEqual([3, 3]);
    writer.close();
    expect(reader.bytesAvailable).toBe(3);
  });
});
