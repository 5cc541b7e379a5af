/** The receiving process of one transport, `child.js TRANSPORT BYTES`: receives the file as often as it is told to. */
import { Incoming } from './incoming.js';
import type { Result, Round } from './lane.js';
import { Mailbox } from './mailbox.js';
import { transportById } from './transports/registry.js';

// The parent has ended, however it did; perhaps before anybody listened.
process.on('disconnect', () => process.exit());
if (!process.connected) process.exit();

const [id = '', bytes] = process.argv.slice(2);
const receiver = transportById(id).openReceiver();
const mailbox = new Mailbox(process);
for (;;) {
  const { algorithm } = (await mailbox.next()) as Round;
  const before = process.cpuUsage();
  const incoming = new Incoming(Number(bytes), algorithm);
  await receiver.receive({ incoming, mailbox });
  const digest = incoming.digest();
  mailbox.post({ digest, cpu: process.cpuUsage(before) } satisfies Result);
}
