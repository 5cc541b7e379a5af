/**
 * One participant of a channel, as a process: a victim when INTERPROC_FAILPOINT names a step that it comes by, else a
 * successor or survivor. actor.c is the same in C, as far as its forms go.
 *
 *   create NAME CAPACITY       makes the channel, or opens or makes it (openOrCreate), sends one message, and closes
 *   open NAME                  opens it, and closes
 *   send NAME FORM COUNT       sends that many (0: for ever), numbered from what predecessors have published, and closes
 *   receive NAME FORM COUNT    receives that many (0: until the sender has closed), and closes
 *
 * Prints `from N`, what the predecessors have published or received, once it has the role; a receiver then a line for
 * what it is given at once: `N`, or `N!` for what is delivered again; `torn` for what is not whole. And `end`.
 */
import { writeSync } from 'node:fs';
import { Channel } from 'interproc';
import { lengthOf, messageOf, numberOf, writeMessage } from './messages.js';

const [, , command = '', name = '', third = '', fourth = '0'] = process.argv;
/** Synchronous: nothing that it has said is lost with it. */
const say = (/** @type {string} */ line) => void writeSync(1, `${line}\n`);
const turn = () => new Promise(setImmediate);
const author = process.pid;
const few = 5;

/** @typedef {import('interproc').Sender} Sender */
/** @typedef {import('interproc').Receiver} Receiver */

/** @type {(sender: Sender, number: number) => Buffer} */
const message = (sender, number) => messageOf(lengthOf(number, sender.maxMessageSize), number, author);

/**
 * Each sends the message of that number, or some from it on, and returns how many.
 *
 * @type {Record<string, (sender: Sender, number: number) => number | Promise<number>>}
 */
const sends = {
  async send(sender, number) {
    await sender.send(message(sender, number));
    return 1;
  },
  sendSync(sender, number) {
    sender.sendSync(message(sender, number));
    return 1;
  },
  sendMany(sender, number) {
    return sender.sendMany(Array.from({ length: few }, (_, index) => message(sender, number + index)));
  },
  async claim(sender, number) {
    const length = lengthOf(number, sender.maxMessageSize);
    const slot = await sender.claim(length);
    writeMessage(slot.bytes, slot.byteOffset, length, number, author);
    slot.commit();
    return 1;
  },
  async trySend(sender, number) {
    if (sender.trySend(message(sender, number))) return 1;
    await turn();
    return 0;
  },
};

/** @param {[number: number, again: boolean][]} messages */
function tell(messages) {
  say(messages.map(([number, again]) => (number < 0 ? 'torn' : `${number}${again ? '!' : ''}`)).join(' '));
  return messages.length;
}

/** @param {Receiver} receiver @param {Uint8Array[]} messages */
function tellAll(receiver, messages) {
  return tell(messages.map((each, index) => [numberOf(each), index < receiver.redelivered]));
}

/** @param {import('interproc').Message} each */
function tellInPlace({ bytes, byteOffset, length, redelivered }) {
  tell([[numberOf(bytes, byteOffset, length), redelivered]]);
}

/**
 * Each receives some and returns how many; undefined when the sender has closed.
 *
 * @type {Record<string, (receiver: Receiver) => number | undefined | Promise<number | undefined>>}
 */
const receives = {
  async receive(receiver) {
    const one = await receiver.receive();
    return one && tellAll(receiver, [one]);
  },
  receiveSync(receiver) {
    const one = receiver.receiveSync();
    return one && tellAll(receiver, [one]);
  },
  async 'for await'(receiver) {
    for await (const one of receiver) return tellAll(receiver, [one]);
    return undefined;
  },
  async receiveMany(receiver) {
    const some = await receiver.receiveMany(few);
    return some && tellAll(receiver, some);
  },
  drain: (receiver) => receiver.drain(tellInPlace, few),
  drainSync: (receiver) => receiver.drainSync(tellInPlace, few),
  async tryReceive(receiver) {
    const one = receiver.tryReceive();
    if (one === null) await turn();
    return one === null ? 0 : one && tellAll(receiver, [one]);
  },
};

/** @param {Channel} channel */
async function send(channel) {
  const sender = channel.sender();
  const form = /** @type {NonNullable<typeof sends[string]>} */ (sends[third]);
  const from = sender.predecessorPublished;
  say(`from ${from}`);
  const end = from + (Number(fourth) || Number.POSITIVE_INFINITY);
  for (let number = from; number < end; ) number += await form(sender, number);
  sender.close();
}

/** @param {Channel} channel */
async function receive(channel) {
  const receiver = channel.receiver();
  const form = /** @type {NonNullable<typeof receives[string]>} */ (receives[third]);
  say(`from ${receiver.received}`);
  const most = Number(fourth) || Number.POSITIVE_INFINITY;
  for (let count = 0; count < most; ) {
    const got = await form(receiver);
    if (got === undefined) break;
    count += got;
  }
  receiver.close();
}

if (command === 'unlink') {
  Channel.unlink(name);
  say('end');
  process.exit();
}

const capacity = Number(third);
/** @type {Channel} */
let channel;
if (command === 'create') channel = Channel.create(name, { capacity });
else if (command === 'openOrCreate') channel = Channel.openOrCreate(name, { capacity });
else channel = Channel.openSync(name);
if (command === 'send') await send(channel);
else if (command === 'receive') await receive(channel);
else if (command !== 'open') channel.sender().sendSync(messageOf(20, 0, author));
channel.close();
say('end');
