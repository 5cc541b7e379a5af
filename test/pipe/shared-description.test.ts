/**
 * Ends whose open file description others share: a pipe has a second one for our own calls, and where that can't be had,
 * its flags are what everybody meets.
 */
import { describe, expect, it } from 'vitest';
import { failing } from '../support/failures.js';
import { tempPath } from '../support/names.js';
import { isRoot } from '../support/namespaces.js';
import { clean, runPeer } from '../support/peer.js';

const head = `${failing}
  import { constants as files } from 'node:fs';
  const flags = (fd) => parseInt(/flags:\\s*(\\d+)/.exec(readFileSync('/proc/self/fdinfo/' + fd, 'utf8'))[1], 8);
  const isBlocking = ({ fd }) => (flags(fd) & files.O_NONBLOCK) === 0;`;

describe('the descriptor that is handed on', () => {
  it('stays blocking, whatever is done with the end', async () => {
    const source = `${head}
      const ends = Object.values(createPipe());
      Fifo.create(args[0]);
      ends.push(...await Promise.all([Fifo.openReader(args[0]), Fifo.openWriter(args[0])]));
      ends.push(Fifo.tryOpenReader(args[0]), Fifo.tryOpenWriter(args[0]));
      for (const end of ends) {
        if (end instanceof PipeReader) {
          assert.equal(end.tryRead(), null);
          await assert.rejects(end.read({ timeout: 1 }), { code: 'ETIMEDOUT' });
          assert.throws(() => end.readSync({ timeout: 1 }), { code: 'ETIMEDOUT' });
        } else {
          while (end.tryWrite(Buffer.alloc(4096)) !== null);
          await assert.rejects(end.write('x', { timeout: 1 }), { code: 'ETIMEDOUT' });
        }
        assert.ok(isBlocking(end));
        if (end instanceof PipeWriter) while ((await ends[ends.indexOf(end) - 1].read({ timeout: 1 }).catch(() => null)) !== null);
      }`;
    expect(await runPeer(source, { args: [tempPath('fifo')] })).toMatchObject(clean);
  });

  it('of a FIFO stays blocking also where its first write found no reader', async () => {
    const source = `${head}
      Fifo.create(args[0]);
      const [first, writer] = await Promise.all([Fifo.openReader(args[0]), Fifo.openWriter(args[0])]);
      first.close();
      fails(() => writer.tryWrite('lost'), 'EPIPE', 'write');
      const reader = await Fifo.openReader(args[0]);
      writer.writeSync('heard');
      assert.equal(String(await reader.read()), 'heard');
      assert.ok(isBlocking(writer));
      while (writer.tryWrite(Buffer.alloc(4096)) !== null);
      const later = writer.write('later');
      while (reader.tryRead() !== null);
      await later;
      assert.ok(isBlocking(writer));`;
    expect(await runPeer(source, { args: [tempPath('fifo')] })).toMatchObject(clean);
  });
});

describe('where there can be no second description', () => {
  it.runIf(isRoot)('calls still don’t block, also after a child was started with the end', async () => {
    const source = `${failing}
      import { spawn } from 'node:child_process';
      import { once } from 'node:events';
      const one = createPipe();
      const other = createPipe();
      becomeNobody(); // the pipes are root's: opening them again is refused
      assert.equal(one.reader.tryRead(), null);
      while (other.writer.tryWrite(Buffer.alloc(4096)) !== null);
      // Of what becomes standard input or output in a child, libuv takes the flag away.
      const child = spawn('true', { stdio: [one.reader.fd, other.writer.fd, 'inherit'] });
      await once(child, 'exit');
      assert.equal(one.reader.tryRead(), null);
      assert.equal(other.writer.tryWrite('x'), null);
      const reading = one.reader.read();
      const writing = other.writer.write('last');
      one.writer.tryWrite('woken');
      while (other.reader.tryRead() !== null);
      assert.equal(String(await reading), 'woken');
      await writing;
      assert.equal(String(other.reader.tryRead()), 'last');`;
    expect(await runPeer(source)).toMatchObject(clean);
  });
});
