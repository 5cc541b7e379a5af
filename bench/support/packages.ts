/**
 * The packages that interproc is compared with: installed when they are wanted for the first time, and loaded once in a
 * process of their own, because one that crashes should not take the bench with it. One that can't be had is left out, and
 * the bench says why.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../../bench/', import.meta.url));
const withHeaders = fileURLToPath(new URL('../../scripts/with-node-headers.js', import.meta.url));
const patienceMs = 180_000;

export interface Packages {
  /** By name, of those that are there. */
  versions: Record<string, string>;
  /** Why others are not. */
  missing: Record<string, string>;
}

interface Manifest {
  version: string;
  optionalDependencies: Record<string, string>;
}

const manifest = (path: string): Manifest => JSON.parse(readFileSync(`${folder}${path}`, 'utf8'));

export function preparePackages(names: readonly string[]): Packages {
  const { optionalDependencies: wanted } = manifest('package.json');
  let installing = '';
  if (names.some((name) => installedVersion(name) !== wanted[name])) installing = install();
  const packages: Packages = { versions: {}, missing: {} };
  for (const name of names) {
    const version = installedVersion(name);
    const problem = version === wanted[name] ? loadingProblem(name) : installing;
    if (problem === undefined) packages.versions[name] = version as string;
    else packages.missing[name] = problem;
  }
  return packages;
}

function installedVersion(name: string): string | undefined {
  try {
    return manifest(`node_modules/${name}/package.json`).version;
  } catch {
    return undefined;
  }
}

/** Returns why those are missing that are missing afterwards. */
function install(): string {
  console.error('bench: installing what it compares with');
  // As outside of `npm run`: else npm would take the checkout for the project.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^npm_(package_|lifecycle_|config_local_prefix)/.test(name),
    ),
  );
  // Not `npm ci`: it refuses a lock file without the packages for other processors, and not every registry has those.
  const { error, status, stderr } = spawnSync(
    process.execPath,
    [withHeaders, 'npm', 'install', '--no-save', '--no-audit', '--no-fund', '--fetch-retries=1'],
    { cwd: folder, env, encoding: 'utf8', timeout: patienceMs },
  );
  if (error !== undefined) return error.message;
  // They are optional: one that fails npm leaves out without a word.
  return status === 0 ? "npm can't fetch it, or build it" : stderr.trim();
}

/** Undefined: it loads. */
function loadingProblem(name: string): string | undefined {
  const { status, signal, stderr } = spawnSync(process.execPath, ['-e', `require('${name}')`], {
    cwd: folder,
    encoding: 'utf8',
    timeout: patienceMs,
  });
  if (status === 0) return undefined;
  const error = stderr.split('\n').find((line) => /^\w*Error/.test(line));
  return `it does not load: ${error ?? signal ?? `exit code ${status}`}`;
}
