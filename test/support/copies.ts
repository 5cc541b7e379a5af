/** A second installation of the package: its own JS, its own binary. */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tempDir } from './names.js';

const packageRoot = fileURLToPath(new URL('../..', import.meta.url));

/** Gives the path of its index. */
export function secondCopy(name = 'interproc-copy'): string {
  const folder = tempDir();
  const binary = 'build/Release/interproc.node';
  cpSync(join(packageRoot, 'dist'), join(folder, 'dist'), { recursive: true });
  cpSync(join(process.env.INTERPROC_PREBUILD ?? packageRoot, binary), join(folder, binary));
  // A name of its own, so that INTERPROC_PREBUILD does not bring both to one binary.
  const manifest = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8'));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...manifest, name }));
  symlinkSync(join(packageRoot, 'node_modules'), join(folder, 'node_modules'));
  return join(folder, 'dist/bundle/index.js');
}
