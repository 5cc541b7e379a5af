/**
 * Worlds of their own for peers, as `wrapper`: mounts, System V objects and limits that nobody else sees. For root and,
 * where the system allows user namespaces, for everybody.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { tempDir } from './names.js';
import type { Peer } from './peer.js';

const packageRoot = fileURLToPath(new URL('../..', import.meta.url));

export const isRoot = process.getuid?.() === 0;

/** Runs the shell commands `setup` in new namespaces (man 1 unshare), then what follows. */
export function inNamespaces(kinds: ('--mount' | '--ipc')[], setup: string): string[] {
  const asRoot = isRoot ? [] : ['--map-root-user'];
  return ['unshare', ...asRoot, ...kinds, 'sh', '-ec', `${setup}\nexec "$@"`, 'sh'];
}

/** Runs what follows within resource limits (man 1 prlimit): `{ nofile: 64 }`. */
export function withLimits(limits: Record<string, number>): string[] {
  return ['prlimit', ...Object.entries(limits).map(([name, value]) => `--${name}=${value}`)];
}

function works(wrapper: string[]): boolean {
  const [command, ...rest] = [...wrapper, 'true'];
  return spawnSync(command as string, rest).status === 0;
}

/** False in containers that forbid it: tests that need it are skipped there. */
export const canMount = works(inNamespaces(['--mount'], 'mount -t tmpfs tmpfs /dev/shm'));

/** Whether kernel.shmmni and its like can be set, in an IPC namespace. */
export const canSetIpcLimits = works(inNamespaces(['--ipc'], 'echo 4000 > /proc/sys/kernel/shmmni'));

/** Whether an IPC namespace shows its POSIX queues as files. */
export const canMountQueues = works(inNamespaces(['--ipc', '--mount'], 'mount -t mqueue mqueue /dev/shm'));

const unshared = ['--pid', '--fork', '--kill-child', '--mount-proc', '--ipc', '--net', '--uts'];

/** False in containers that forbid it: tests of containers are skipped there. */
export const canContain: boolean = isRoot && works(['unshare', '--mount', ...unshared]);

/** Whether users without privilege can make namespaces. */
export const canContainRootless: boolean =
  canContain && works(['setpriv', ...user(20_000), 'unshare', '--user', '--map-root-user', ...unshared]);

function user(uid: number): string[] {
  // Who changes his user loses what --kill-child of unshare has set.
  return [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--pdeathsig=SIGKILL'];
}

export interface ContainerOptions {
  /** Who runs it, as the machine knows him. Root by default. */
  uid?: number;
  /** In a user namespace: it believes to be root. */
  rootless?: boolean;
  /** Process 1 is a shell that waits for the program; else it is the program. */
  init?: boolean;
}

/** Containers that have a /dev/shm in common that nobody else sees, and nothing else. */
export interface Pod {
  /** A wrapper: a new container for node with its arguments, in the folder of the package. */
  container(options?: ContainerOptions): string[];
}

/**
 * `shm`: options of the mount of /dev/shm. Who drops his rights may not be let into the folders above the package or
 * above node: both are seen in a folder of their own there, too.
 */
export async function startPod(shm = 'size=4m'): Promise<Pod> {
  const place = tempDir();
  chmodSync(place, 0o755);
  const setup = `
    mount -t tmpfs -o mode=1777,${shm} tmpfs /dev/shm
    mkdir '${place}/package'
    mount --bind . '${place}/package'
    touch '${place}/node'
    mount --bind '${process.execPath}' '${place}/node'
    echo up
    exec cat`;
  const [command, ...rest] = ['unshare', '--mount', 'sh', '-ec', setup];
  const holder = spawn(command, rest, { cwd: packageRoot, stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(holder, 'close');
  onTestFinished(async () => {
    holder.kill('SIGKILL');
    await ended;
  });
  await Promise.race([
    once(holder.stdout, 'data'),
    ended.then(() => Promise.reject(new Error('no pod could be made'))),
  ]);
  return {
    container({ uid, rootless = false, init = false } = {}) {
      const asUser = uid === undefined ? [] : ['setpriv', ...user(uid)];
      const start = init ? '"$@" & wait $!' : 'exec "$@"';
      return [
        'nsenter',
        `--mount=/proc/${holder.pid}/ns/mnt`,
        ...(rootless ? asUser : []),
        'unshare',
        ...(rootless ? ['--user', '--map-root-user'] : []),
        ...unshared,
        ...(rootless ? [] : asUser),
        ...['sh', '-ec', `cd '${place}/package'; shift; set -- '${place}/node' "$@"; ${start}`, 'sh'],
      ];
    },
  };
}

/** Kills process 1 of the container that was started as `container`, and the kernel all others in it. */
export async function killContainer(container: Peer): Promise<void> {
  const { pid } = container.process;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  if (children.length !== 1) throw new Error(`process ${pid} is no container`);
  process.kill(Number(children[0]), 'SIGKILL');
  await container.exited;
}
