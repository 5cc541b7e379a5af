// A parent asks, its child answers: two channels without a name, handed over through `stdio`.
//
//   node examples/channel/parent-and-child.js
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Channel } from 'interproc';

const questions = 1000;

if (process.argv[2] === 'child') {
  const asked = Channel.fromFd(3);
  const answered = Channel.fromFd(4);
  const answers = answered.sender();
  for await (const question of asked.receiver()) {
    await answers.send(`${Number(question) ** 2}`);
  }
  asked.close();
  answered.close(); // publishes the last answers, and ends the parent's loop
} else {
  const asked = Channel.anonymous({ capacity: 1 << 16 });
  const answered = Channel.anonymous({ capacity: 1 << 16 });
  const child = spawn(process.execPath, [import.meta.filename, 'child'], {
    stdio: ['inherit', 'inherit', 'inherit', asked.fd, answered.fd],
  });
  const ended = once(child, 'exit');
  const asking = (async () => {
    const sender = asked.sender();
    for (let number = 0; number < questions; number++) await sender.send(`${number}`);
    sender.close();
  })();
  let sum = 0;
  for await (const answer of answered.receiver()) sum += Number(answer);
  await asking;
  await ended;
  console.log(`The first ${questions} squares add up to ${sum}.`);
  asked.close();
  answered.close();
}
