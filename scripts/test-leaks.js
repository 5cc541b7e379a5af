// Makes, uses and closes each kind of object many times on Node with LeakSanitizer, which tells at the end of
// the process what memory nobody can reach any more. Fails if any was had from the addon; what Node itself
// leaves to the kernel is counted and not looked at. First it shows that it would see a leak.
//
//   npm run test:leaks -- [CYCLES]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  build,
  buildFolder,
  foundSomething,
  root,
  sanitizedEnvironment,
  sanitizedNode,
} from './sanitizers.js';

const cycles = Number(process.argv[2] ?? 100);
const temporary = mkdtempSync(join(tmpdir(), 'interproc-leaks-'));

/**
 * What a program on Node has lost, by the stack on which it had it.
 *
 * @param {string[]} args
 * @param {string} addon the name of its file
 */
function lostBy(args, addon) {
  const { env, reports } = sanitizedEnvironment({ leaks: true });
  const { status, signal } = spawnSync(sanitizedNode, ['--expose-gc', ...args], {
    cwd: root,
    env,
    stdio: 'inherit',
  });
  const found = reports();
  const other = found.find((report) => !report.includes('LeakSanitizer: detected memory leaks'));
  if (other !== undefined) throw new Error(other);
  if (signal !== null || (status !== 0 && status !== foundSomething))
    throw new Error(`it ended with ${signal ?? status}`);
  const leaks = found.join('\n').match(/^(?:Direct|Indirect) leak of .*\n(?: +#.*\n)*/gm) ?? [];
  const ours = leaks.filter((leak) => leak.includes(addon));
  console.log(`${ours.length} leaks from ${addon}, ${leaks.length - ours.length} of Node itself`);
  return ours;
}

function showsLeaks() {
  const addon = join(buildFolder, 'leaky.node'); // test/leaks/leaky.cc
  const forgetting = `for (let i = 0; i < 10; i++) require(${JSON.stringify(addon)}).forget()`;
  const lost = lostBy(['-e', forgetting], 'leaky.node');
  // The last one is still known.
  if (!lost.some((leak) => leak.startsWith('Direct leak of 360 byte(s) in 9 object(s)')))
    throw new Error(`nine objects were lost, and this was found:\n${lost.join('\n')}`);
}

try {
  build();
  showsLeaks();
  const lost = lostBy(['test/leaks/cycles.js', String(cycles), join(temporary, 'cycles')], 'interproc.node');
  for (const leak of lost) console.log(leak);
  process.exitCode = lost.length === 0 ? 0 : 1;
} finally {
  rmSync(temporary, { recursive: true });
}
