/**
 * The bench: `npm run bench -- --help`, and docs/performance.md for what it measures. Ends with code 1 when a message
 * was lost or damaged, or a contender failed.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sampleId } from './contenders/registry.js';
import { BenchError } from './support/bench-error.js';
import { allowedCpus } from './support/cpus.js';
import { buildFloor } from './support/floor.js';
import { describeMachine, thisMachine } from './support/machine.js';
import { killAll } from './support/measured.js';
import { removeAllNames } from './support/names.js';
import { type Options, parseOptions, usage } from './support/options.js';
import { preparePackages } from './support/packages.js';
import { PlacementProbe } from './support/placement.js';
import { formatResult, summarize } from './support/report.js';
import { measure, type ScenarioResult } from './support/rounds.js';
import { packagesOf, type Selected, select } from './support/selection.js';

const sampleSeconds = 0.25;
const quickSampleSeconds = 0.02;

const folder = mkdtempSync(join(tmpdir(), 'interproc-bench-'));
process.on('exit', () => {
  killAll();
  removeAllNames();
  rmSync(folder, { recursive: true, force: true });
});
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
  ['SIGHUP', 1],
] as const) {
  process.on(signal, () => process.exit(128 + number));
}

try {
  const options = parseOptions(process.argv.slice(2));
  const selected = select(options.only);
  if (options.help) console.log(usage);
  else if (selected.length === 0) throw new BenchError(`nothing matches --only ${options.only.source}`);
  else if (options.list) list(selected);
  else await run(selected, options);
} catch (error) {
  if (!(error instanceof BenchError || (error instanceof Error && 'code' in error))) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}

function list(selected: readonly Selected[]): void {
  for (const { scenario, contenders } of selected) {
    for (const contender of contenders) console.log(sampleId(scenario, contender));
  }
}

async function run(selected: readonly Selected[], options: Options): Promise<void> {
  buildFloor();
  const { versions, missing } = preparePackages(packagesOf(selected));
  const machine = thisMachine();
  const [first = 0, second] = allowedCpus();
  const probe = second === undefined ? undefined : await PlacementProbe.start([first, second]);
  const results: ScenarioResult[] = [];
  const skipped: string[] = [];
  console.log(describeMachine(machine));
  for (const [name, version] of Object.entries(versions)) console.log(`${name} ${version}`);
  for (const [name, reason] of Object.entries(missing)) console.log(`without ${name}: ${reason}`);
  try {
    for (const { scenario, contenders } of selected) {
      const isApart = scenario.cpus === 2;
      if (isApart && second === undefined) {
        skipped.push(`${scenario.id}: there is only one CPU`);
        continue;
      }
      const there = contenders.filter((contender) => !((contender.package ?? '') in missing));
      if (there.length === 0) continue;
      const result = await measure(scenario, there, {
        rounds: options.rounds,
        sampleSeconds: options.quick ? quickSampleSeconds : sampleSeconds,
        place: { cpus: [first, isApart ? (second as number) : first], folder },
        probe: isApart ? probe : undefined,
        progress,
      });
      progress('');
      results.push(result);
      console.log(`\n${formatResult(result, options.markdown)}`);
    }
  } finally {
    progress('');
    await probe?.close();
  }
  for (const reason of skipped) console.log(`skipped ${reason}`);
  if (options.json !== undefined) {
    const report = {
      machine,
      versions,
      missing,
      quick: options.quick,
      rounds: options.rounds,
      skipped,
      scenarios: results.map((result) => ({
        id: result.scenario.id,
        shape: result.scenario.shape,
        placement: result.placement,
        summary: summarize(result),
        samples: result.samples,
      })),
    };
    writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
  }
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
