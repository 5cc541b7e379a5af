/**
 * The storms over channels and over locks, one after the other, each with so many kills and the same seed.
 *
 *   npm run chaos -- --kills 500 --seed 7 --only locks --json FILE
 *
 * `--json` gives what each of them reports, by its name, and their checks together. Exits with 1 when one of them failed.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { stormOptions, tellChecks, wholeNumber } from './storms.js';

/** @type {Record<string, string>} */
const storms = { channels: 'storm.js', locks: 'locks-storm.js' };
const { values: options } = parseArgs({ options: { ...stormOptions, only: { type: 'string' } } });
const kills = wholeNumber('kills', options.kills, 1);
const seed = wholeNumber('seed', options.seed, 0);
const { only } = options;
if (only !== undefined && !(only in storms)) {
  console.error(`--only must be one of ${Object.keys(storms).join(', ')}, not '${only}'`);
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'interproc-chaos-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** @type {Record<string, { checks: { name: string, ok: boolean }[] }>} */
const results = {};
/** @type {{ name: string, ok: boolean }[]} */
const checks = [];
for (const [name, file] of Object.entries(storms)) {
  if (only !== undefined && name !== only) continue;
  console.log(`${name}: ${kills} kills`);
  const json = join(folder, `${name}.json`);
  const script = fileURLToPath(new URL(file, import.meta.url));
  const args = [script, '--kills', String(kills), '--seed', String(seed), '--json', json];
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  try {
    const result = JSON.parse(readFileSync(json, 'utf8'));
    results[name] = result;
    checks.push(...result.checks);
  } catch {
    // It has ended before it could report: its status says so.
  }
  checks.push({ name: `${name}: to its end`, ok: status === 0 });
}
if (options.json !== undefined)
  writeFileSync(options.json, `${JSON.stringify({ seed, ...results, checks }, null, 2)}\n`);
tellChecks(checks);
