/**
 * Worlds of their own for peers, as `wrapper`: mounts, System V objects and limits that nobody else sees. For root and,
 * where the system allows user namespaces, for everybody.
 */
import { spawnSync } from 'node:child_process';

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
