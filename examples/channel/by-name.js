// Two processes that know nothing of each other but a name, started in either order, in two terminals:
//
//   node examples/channel/by-name.js receiver prices
//   node examples/channel/by-name.js sender prices
//
// Without arguments it starts both.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Channel } from 'interproc';

const prices = 100_000;
const capacity = 1 << 16;

/** @param {string} name */
async function send(name) {
  const channel = Channel.openOrCreate(name, { capacity });
  const sender = channel.sender();
  for (let number = 0; number < prices; number++) {
    const slot = await sender.claim(16); // in place: no Buffer is made
    slot.int32[slot.int32Offset] = number;
    slot.float64[slot.float64Offset + 1] = 100 + (number % 10);
    slot.commit();
  }
  // The last to leave takes what was not received with it, so wait.
  await sender.drained();
  channel.close();
}

/** @param {string} name */
async function receive(name) {
  const channel = Channel.openOrCreate(name, { capacity });
  const receiver = channel.receiver();
  let count = 0;
  let sum = 0;
  const add = (/** @type {import('interproc').Message} */ message) => {
    count++;
    sum += /** @type {number} */ (message.float64[message.float64Offset + 1]);
  };
  while ((await receiver.drain(add)) !== undefined);
  channel.close();
  console.log(`Received ${count} prices, ${sum / count} on average.`);
}

/** @param {string[]} args */
function start(...args) {
  const child = spawn(process.execPath, [import.meta.filename, ...args], { stdio: 'inherit' });
  return once(child, 'exit');
}

const [role, name = `example-${process.pid}`] = process.argv.slice(2);
if (role === 'sender') await send(name);
else if (role === 'receiver') await receive(name);
else await Promise.all([start('sender', name), start('receiver', name)]);
