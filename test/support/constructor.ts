/** C code that runs inside a peer: what a shared library does when it is loaded (process.dlopen). */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from './names.js';

/** A library whose constructor is `body`, with further `headers`; gives its path. */
export function compileConstructor(body: string, headers: string[] = []): string {
  const folder = tempDir();
  const source = join(folder, 'constructor.c');
  const library = join(folder, 'constructor.node');
  writeFileSync(
    source,
    `#define _GNU_SOURCE
     #include <stdio.h>
     #include <stdlib.h>
     #include <unistd.h>
     ${headers.map((header) => `#include <${header}>`).join('\n')}
     __attribute__((constructor)) static void run(void) { ${body} }\n`,
  );
  execFileSync('cc', ['-shared', '-fPIC', '-Wall', '-Werror', source, '-o', library]);
  return library;
}

/** For a peer's script: `load(path)` runs it. */
export const withConstructors = `
  const load = (path) => {
    try { process.dlopen({ exports: {} }, path); } catch (error) {
      if (!/did not self-register/.test(error.message)) throw error;
    }
  };`;
