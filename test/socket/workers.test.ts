/** Sockets in worker threads: several at once, and those that are terminated in the middle of a call. */
import { describe, expect, it } from 'vitest';
import { clean, runPeer } from '../support/peer.js';
import { execArgv, expectNothingLeft, withWorkers } from '../support/workers.js';

describe('a worker that is terminated', () => {
  const calls = {
    'in receive':
      "const [first, second] = socketPair('seqpacket'); first.receive().catch(() => {}); say(); await new Promise(() => {});",
    'in receiveSync': "const [first, second] = socketPair('datagram'); say(); first.receiveSync();",
    'in read': "const [first, second] = socketPair('stream'); say(); await first.read();",
    'in readSync': "const [first, second] = socketPair('stream'); say(); first.readSync();",
    'in write':
      "const [first, second] = socketPair('stream'); say(); await first.write(Buffer.alloc(5_000_000), { fds: [first] });",
    'in writeSync':
      "const [first, second] = socketPair('stream'); say(); first.writeSync(Buffer.alloc(5_000_000));",
    'in sendTo':
      "const full = UnixDatagram.bind(); const sender = UnixDatagram.create(); while (sender.trySendTo('x', full.address)); say(); await sender.sendTo('x', full.address, { fds: [sender] });",
    'in sendToSync':
      "const full = UnixDatagram.bind(); const sender = UnixDatagram.create(); while (sender.trySendTo('x', full.address)); say(); sender.sendToSync('x', full.address);",
    'in accept': "const server = UnixStreamServer.listen('\\0a' + workerData); say(); await server.accept();",
    'in acceptSync':
      "const server = UnixSeqpacketServer.listen('\\0b' + workerData); say(); server.acceptSync();",
    'in connect':
      "const name = '\\0c' + workerData; const server = UnixStreamServer.listen(name, { backlog: 1 }); while (UnixStream.tryConnect(name)); say(); await UnixStream.connect(name);",
    'in connectSync':
      "const name = '\\0d' + workerData; const server = UnixStreamServer.listen(name, { backlog: 1 }); while (UnixStream.tryConnect(name)); say(); UnixStream.connectSync(name);",
    'with received descriptors':
      "const [first, second] = socketPair('stream', { maxFds: 9 }); first.writeSync('x', { fds: [first, second] }); globalThis.message = second.tryReceive(); first.writeSync('y', { fds: [first, second] }); say(); await second.receive().then(() => second.receive());",
    'in toDuplex':
      "const [first, second] = socketPair('stream'); first.toDuplex().resume(); say(); await new Promise(() => {});",
  };

  it.each(Object.entries(calls))('leaves no descriptor and no thread: %s', async (_, call) => {
    await expectNothingLeft(call, `${process.pid}-`);
  });
});

describe('several workers', () => {
  it('send to each other and end by themselves', async () => {
    const source = `${withWorkers}
      const before = fds();
      const count = 6;
      const workers = Array.from({ length: count }, (_, i) => startWorker(\`
        const [pid, i, count] = workerData;
        const name = (each) => '\\\\0' + pid + '-' + each;
        const server = UnixSeqpacketServer.listen(name(i));
        const inbox = UnixDatagram.bind(name('inbox' + i));
        say();
        await new Promise((resolve) => parentPort.once('message', resolve));
        const reading = (async () => {
          let got = 0;
          for await (const _ of inbox) if (++got === 20 * count) break;
        })();
        const serving = (async () => {
          for (let n = 0; n < count; n++) {
            const socket = await server.accept();
            for await (const message of socket) await socket.send(message.data);
            socket.close();
          }
        })();
        for (let other = 0; other < count; other++) {
          const socket = await UnixSeqpacket.connect(name(other));
          for (let n = 0; n < 20; n++) {
            await socket.send(i + ' ' + n);
            const text = String(await socket.receive());
            if (text !== i + ' ' + n) throw new Error(text);
            await inbox.sendTo(text, name('inbox' + other));
          }
          socket.close();
        }
        await serving;
        await reading;
        inbox.close();
        server.close();
        parentPort.postMessage('over');\`, [process.pid, i, count]));
      const ends = workers.map((worker) => once(worker, 'exit'));
      await Promise.all(workers.map(reply));
      const over = workers.map(reply);
      for (const worker of workers) worker.postMessage('go');
      assert.deepEqual(await Promise.all(over), Array(count).fill('over'));
      for (const [code] of await Promise.all(ends)) assert.equal(code, 0);
      await settle();
      assert.ok(fds() <= before + 4);`;
    expect(await runPeer(source, { execArgv })).toMatchObject(clean);
  });

  it('close what they leave open when they end', async () => {
    const source = `${withWorkers}
      for (let round = 0, before; round < 5; round++) {
        const worker = startWorker(\`
          globalThis.kept = [socketPair('stream'), UnixDatagram.bind(), UnixStreamServer.listen('\\\\0' + workerData)];
          kept[0][0].unref().receive().catch(() => {});
          kept[2].unref().accept().catch(() => {});\`, process.pid + '-' + round);
        assert.deepEqual(await once(worker, 'exit'), [0]);
        await settle();
        before ??= fds();
        assert.equal(fds(), before);
      }`;
    expect(await runPeer(source, { execArgv })).toMatchObject(clean);
  });
});
