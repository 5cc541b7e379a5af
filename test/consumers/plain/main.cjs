// A CommonJS module, which does what main.mjs does.
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { argv, execArgv, execPath } = require('node:process');
const { Channel, features, isSupported, Mutex, SharedMemory } = require('interproc');

async function child() {
  const channel = Channel.fromFd(3);
  const memory = SharedMemory.fromFd(4);
  let sum = 0;
  for await (const message of channel.receiver()) sum += message.readDoubleLE();
  const held = await Mutex.at(memory, 0).lock();
  new Float64Array(memory.buffer, 64)[0] = sum;
  held.unlock();
  channel.close();
  memory.close();
}

async function parent() {
  if (!isSupported || !features.anonymousChannel) throw new Error('interproc does not work here');
  const channel = Channel.anonymous({ capacity: 4096 });
  const memory = SharedMemory.anonymous({ size: 4096 });
  const ended = once(
    spawn(execPath, [...execArgv, __filename, 'child'], {
      stdio: ['inherit', 'inherit', 'inherit', channel.fd, memory.fd],
    }),
    'exit',
  );
  const sender = channel.sender();
  for (let i = 0; i < 1000; i++) await sender.send(new Float64Array([i]));
  channel.close();
  const [code] = await ended;
  console.log(`the child ended with ${code} and says ${new Float64Array(memory.buffer, 64)[0]}`);
  memory.close();
}

void (argv[2] === 'child' ? child() : parent());
