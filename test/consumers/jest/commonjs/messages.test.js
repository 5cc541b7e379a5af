// Without a flag: see environment.js.
const { Channel, IpcError } = require('interproc');

test('a message arrives', async () => {
  const channel = Channel.anonymous({ capacity: 4096 });
  const next = channel.receiver().receive();
  await channel.sender().send('hello');
  expect(String(await next)).toBe('hello');
  channel.close();
});

test('a timeout is an IpcError', async () => {
  const channel = Channel.anonymous({ capacity: 4096 });
  const error = await channel
    .receiver()
    .receive({ timeout: 1 })
    .catch((reason) => reason);
  expect(error).toBeInstanceOf(IpcError);
  expect(error.code).toBe('ETIMEDOUT');
  channel.close();
});
