// A worker thread feeds the main thread, which stays responsive: each yields to the other's work.
//
//   node examples/channel/worker-thread.js
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { Channel } from 'interproc';

if (isMainThread) {
  const channel = Channel.anonymous({ capacity: 1 << 16 });
  const worker = new Worker(new URL(import.meta.url), { workerData: channel.fd });
  worker.once('error', (error) => {
    throw error;
  });
  let ticks = 0;
  const ticking = setInterval(() => ticks++, 1);
  let lines = 0;
  for await (const line of channel.receiver()) if (line.length > 0) lines++;
  clearInterval(ticking);
  channel.close();
  console.log(
    `The worker has sent ${lines} lines, while a timer went on ${ticks > 0 ? 'ticking' : 'waiting'}.`,
  );
} else {
  const channel = Channel.fromFd(workerData);
  const sender = channel.sender();
  for (let number = 0; number < 50_000; number++) sender.sendSync(`line ${number}`); // blocks this thread only
  channel.close();
}
