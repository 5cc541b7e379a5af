// Tests the package as users get it: builds the prebuilt binaries, packs, and tries the tarball with
// everything that users install it with and run it on. One part a file, in scripts/matrix/.
//
//   npm run matrix -- [--only tarball,...] [--tarball FILE]
//
// --only     these parts
// --tarball  this one instead of a new one
import { parseArgs } from 'node:util';
import { consumers } from './matrix/consumers.js';
import { makeKit } from './matrix/kit.js';
import { musl } from './matrix/musl.js';
import { runtimes } from './matrix/runtimes.js';
import { tarball } from './matrix/tarball.js';

const parts = { tarball, consumers, runtimes, musl };

const { values: options } = parseArgs({ options: { only: { type: 'string' }, tarball: { type: 'string' } } });
const names = options.only?.split(',') ?? Object.keys(parts);
const unknown = names.filter((name) => !(name in parts));
if (unknown.length > 0) throw new Error(`no part ${unknown.join()}: there are ${Object.keys(parts).join()}`);

const kit = await makeKit({ tarball: options.tarball });
// At once: each of them waits for others most of the time.
await Promise.all(
  Object.entries(parts)
    .filter(([name]) => names.includes(name))
    .map(([name, part]) =>
      part(kit).catch((error) =>
        kit.check(`part ${name} comes to its end`, () => {
          throw error;
        }),
      ),
    ),
);
process.exitCode = kit.close() === 0 ? 0 : 1;
