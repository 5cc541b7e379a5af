// A second file, which may be run by the same process.
const { createPipe, Mutex, SharedMemory, waitOn, wake } = require('interproc');

test('memory is shared, and waited on', async () => {
  const memory = SharedMemory.anonymous({ size: 4096 });
  const again = SharedMemory.fromFd(memory.fd);
  const waiting = waitOn(memory, 64, 0);
  new Int32Array(again.buffer)[16] = 1;
  wake(again, 64);
  await waiting;
  const held = await Mutex.at(memory, 0).lock();
  held.unlock();
  expect(new Int32Array(memory.buffer)[16]).toBe(1);
  memory.close();
  again.close();
});

test('a pipe carries bytes', async () => {
  const { reader, writer } = createPipe();
  const next = reader.read();
  await writer.write('hello');
  expect(String(await next)).toBe('hello');
  reader.close();
  writer.close();
});
