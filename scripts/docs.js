// The pages of the API, of the docstrings of lib/, in build-docs/. Warnings are errors: what is exported has a docstring, and
// links lead somewhere. typedoc needs a TypeScript of JavaScript, so both lie in a folder of their own; types are checked by
// ours (skipErrorChecking). Arguments go to typedoc.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, '.runtimes/typedoc');
const versions = { typedoc: '0.28.20', typescript: '6.0.3' };

/**
 * @param {string} command
 * @param {string[]} args
 */
function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

/** @param {string} name */
function installed(name) {
  const manifest = join(folder, 'node_modules', name, 'package.json');
  return existsSync(manifest) ? JSON.parse(readFileSync(manifest, 'utf8')).version : undefined;
}

if (Object.entries(versions).some(([name, version]) => installed(name) !== version)) {
  // A folder that does not exist would make npm look for a package further up.
  mkdirSync(folder, { recursive: true });
  const packages = Object.entries(versions).map(([name, version]) => `${name}@${version}`);
  const quiet = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts'];
  run('npm', ['install', '--prefix', folder, ...quiet, ...packages]);
}
rmSync(join(root, 'build-docs'), { recursive: true, force: true });
run(process.execPath, [join(folder, 'node_modules/typedoc/bin/typedoc'), ...process.argv.slice(2)]);
