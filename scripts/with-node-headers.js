// Runs a build tool (node-gyp, cmake-js, prebuildify) on all processors and with the C headers that lie
// beside the running node, where they are of its version. The tools themselves would download headers
// each time they meet a new version of Node, which fails without a network.
//
//   node scripts/with-node-headers.js node-gyp configure build
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

function prefixWithHeaders() {
  const prefix = dirname(dirname(process.execPath));
  try {
    const header = readFileSync(join(prefix, 'include/node/node_version.h'), 'utf8');
    const part = (/** @type {string} */ name) =>
      header.match(new RegExp(`#define NODE_${name}_VERSION (\\d+)`))?.[1];
    const version = ['MAJOR', 'MINOR', 'PATCH'].map(part).join('.');
    return version === process.versions.node ? prefix : undefined;
  } catch {
    return undefined;
  }
}

const [tool = '', ...args] = process.argv.slice(2);
const env = { ...process.env };
env.npm_config_nodedir ??= prefixWithHeaders();
env.npm_config_jobs ??= 'max';
// Also for whoever calls this without npm, which would have put the tools into PATH.
const tools = fileURLToPath(new URL('../node_modules/.bin', import.meta.url));
env.PATH = `${tools}${delimiter}${env.PATH}`;

const { status, signal, error } = spawnSync(tool, args, { stdio: 'inherit', env });
if (error) throw error;
if (signal) console.error(`${tool} was ended by ${signal}`);
process.exitCode = status ?? 1;
