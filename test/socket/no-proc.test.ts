/** Where nobody has mounted /proc, as in a chroot. */
import { expect, it } from 'vitest';
import { canMount, inNamespaces } from '../support/namespaces.js';
import { clean, runPeer } from '../support/peer.js';
import { isSanitized } from '../support/sanitized.js';
import { socketPath } from '../support/sockets.js';

it.runIf(canMount && !isSanitized)(
  'sockets get their modes, stale ones are replaced, and pipes and FIFOs carry on',
  async () => {
    const source = `
    const { existsSync, statSync } = await import('node:fs');
    assert.equal(existsSync('/proc/self/fd'), false);
    const [stale, fifo] = args;
    process.umask(0o077);
    const open = UnixDatagram.bind(stale, { mode: 0o666 });
    assert.equal(statSync(stale).mode & 0o777, 0o666);
    // A dead socket's file.
    const { renameSync } = await import('node:fs');
    renameSync(stale, stale + 'x');
    open.close();
    renameSync(stale + 'x', stale);
    assert.throws(() => UnixDatagram.bind(stale), { code: 'EADDRINUSE' });
    UnixDatagram.bind(stale, { replaceStale: true }).close();
    const { reader, writer } = createPipe();
    const reading = reader.read();
    await writer.write('pipe');
    assert.equal(String(await reading), 'pipe');
    Fifo.create(fifo, { mode: 0o622 });
    assert.equal(statSync(fifo).mode & 0o777, 0o622);
    const opening = Fifo.openReader(fifo);
    const one = await Fifo.openWriter(fifo);
    await one.write('fifo');
    assert.equal(String(await (await opening).read()), 'fifo');
    process.exit();`;
    const wrapper = inNamespaces(['--mount'], 'umount -l /proc');
    expect(await runPeer(source, { wrapper, args: [socketPath(), socketPath()] })).toMatchObject(clean);
  },
);
