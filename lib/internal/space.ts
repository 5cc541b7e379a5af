/** Says how full a file system is when memory on it can't be had, and how to make room. */
import { readFileSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { IpcError } from '../errors.js';

const shmDirectory = '/dev/shm';

/** For errors about the object at `path`; '' for one that lies in no file system. */
export function spaceHint(path: string): (error: IpcError) => string | undefined {
  return ({ code }) => {
    if ((code !== 'ENOSPC' && code !== 'EDQUOT') || path === '') return undefined;
    const directory = dirname(path);
    const special = filesOf(directory) ?? hugePagesOf(directory);
    if (special !== undefined) return special;
    const cure =
      directory === shmDirectory
        ? 'raise it with `mount -o remount,size=2g /dev/shm`, --shm-size=2g in Docker, shm_size: in Compose, an emptyDir ' +
          'with medium: Memory and a sizeLimit on /dev/shm in Kubernetes'
        : 'make room there';
    return `${sizeOf(directory)}; ${cure}`;
  };
}

/** Set where no further file fits, whatever its size. */
function filesOf(directory: string): string | undefined {
  try {
    const { files, ffree } = statfsSync(directory);
    if (files === 0 || ffree > 0) return undefined;
    return `${directory} holds ${files} files, 0 of them free; raise it with \`mount -o remount,nr_inodes=…\` (tmpfs), or remove some`;
  } catch {
    return undefined;
  }
}

const hugetlbfs = 0x958458f6;

/** Set where the memory is of huge pages, which somebody has to have set aside. */
function hugePagesOf(directory: string): string | undefined {
  try {
    const { type, bsize } = statfsSync(directory);
    if (type !== hugetlbfs) return undefined;
    const pool = `/sys/kernel/mm/hugepages/hugepages-${bsize / 1024}kB`;
    const pages = (file: string) => readFileSync(`${pool}/${file}`, 'utf8').trim();
    return (
      `${directory} is of huge pages of ${bsize} bytes, of which the system has ${pages('nr_hugepages')}, ` +
      `${pages('free_hugepages')} of them free; raise it with sysctl vm.nr_hugepages (${pool}/nr_hugepages), and what ` +
      'its mount option size= or the cgroup (hugetlb) allows'
    );
  } catch {
    return undefined;
  }
}

/** As `spaceHint`, for objects that need not be reserved. */
export function reserveHint(path: string): (error: IpcError) => string | undefined {
  const ofSpace = spaceHint(path);
  return (error) =>
    error.code === 'ENOMEM' && error.syscall === 'fallocate'
      ? '{ reserve: false } takes pages on first use'
      : ofSpace(error);
}

function sizeOf(directory: string): string {
  try {
    const { blocks, bavail, bsize } = statfsSync(directory);
    return `${directory} holds ${blocks * bsize} bytes, ${bavail * bsize} of them free`;
  } catch {
    return `${directory} is full`;
  }
}
