/** Who may read a file may lock bytes of it, also those by which owners of locks are known (man 2 fcntl). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Channel, Mutex, SharedMemory } from 'interproc';
import { expect, it, onTestFinished } from 'vitest';
import { channelName, shmName } from '../support/names.js';

const lockAll = `
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 2**62, 2**30, 0))  # F_OFD_SETLK
print("locked", flush=True)
sys.stdin.read()
`;

async function takeAllIds(file: string) {
  const python = spawn('python3', ['-c', lockAll, file], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void python.kill('SIGKILL'));
  await once(python.stdout, 'data');
  return async () => {
    python.stdin.end();
    await once(python, 'exit');
  };
}

const busy = { code: 'EBUSY', syscall: 'fcntl_locking' };

it('a process that has locked the bytes of all ids keeps others from opening locks, and hangs nobody', async () => {
  const name = shmName();
  const memory = SharedMemory.create(name, { size: 4096 });
  onTestFinished(() => memory.close());
  const letGo = await takeAllIds(`/dev/shm${name}`);
  expect(() => Mutex.at(memory, 0)).toThrow(expect.objectContaining(busy));
  await letGo();
  Mutex.at(memory, 0).lockSync().unlock();
});

it('a process that has locked the bytes of all ids keeps others from a channel, and hangs nobody', async () => {
  const name = channelName();
  const channel = Channel.create(name, { capacity: 64, persist: true });
  channel.close();
  const letGo = await takeAllIds(`/dev/shm/interproc.${name.slice(1)}`);
  expect(() => Channel.tryOpen(name)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
  expect(() => Channel.openSync(name, { timeout: 1 })).toThrow(
    expect.objectContaining({ code: 'ETIMEDOUT' }),
  );
  await letGo();
  Channel.openSync(name).close();
});
