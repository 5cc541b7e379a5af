// What plain/main.mjs does, with the types of the package.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { argv, execArgv, execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import {
  Channel,
  type Features,
  features,
  IpcError,
  type IpcErrorCode,
  isSupported,
  Mutex,
  type MutexGuard,
  type Receiver,
  type Sender,
  SharedMemory,
} from 'interproc';

async function child(): Promise<void> {
  using channel = Channel.fromFd(3);
  using memory = SharedMemory.fromFd(4);
  const receiver: Receiver = channel.receiver();
  let sum = 0;
  for await (const message of receiver) sum += message.readDoubleLE();
  const held: MutexGuard = await Mutex.at(memory, 0).lock({ timeout: 60_000 });
  new Float64Array(memory.buffer, 64)[0] = sum;
  held.unlock();
}

function codeOf(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof IpcError) return error.code;
    throw error;
  }
  return undefined;
}

async function parent(): Promise<void> {
  const needed: (keyof Features)[] = ['anonymousChannel', 'anonymousMemory', 'locks'];
  if (!isSupported || !needed.every((name) => features[name]))
    throw new Error('interproc does not work here');
  const channel: Channel = Channel.anonymous({ capacity: 4096 });
  using memory = SharedMemory.anonymous({ size: 4096 });
  const buffer: ArrayBuffer = memory.buffer;
  const self = fileURLToPath(import.meta.url);
  const ended = once(
    spawn(execPath, [...execArgv, self, 'child'], {
      stdio: ['inherit', 'inherit', 'inherit', channel.fd, memory.fd],
    }),
    'exit',
  );
  const sender: Sender = channel.sender();
  for (let i = 0; i < 1000; i++) await sender.send(new Float64Array([i]));
  channel.close();
  const [code] = await ended;
  const closed: IpcErrorCode = 'ERR_INTERPROC_CLOSED';
  if (codeOf(() => sender.trySend('too late')) !== closed) throw new Error('the channel is closed');
  console.log(`the child ended with ${code} and says ${new Float64Array(buffer, 64)[0]}`);
}

await (argv[2] === 'child' ? child() : parent());
