/**
 * Moves a file from this process to a child through each transport, and prints how they compare:
 * `npm run demo -- --help`. Ends with code 1 when anything failed or arrived wrong.
 *
 * Needs no clean-up of its own: nothing that it makes has a name, and children end when their parent does.
 */
import { Alone } from './alone.js';
import { DemoError } from './demo-error.js';
import { Lane } from './lane.js';
import { measure } from './measure.js';
import type { Mover } from './move.js';
import { type Options, parseOptions, usage } from './options.js';
import { Progress } from './progress.js';
import { formatReport, isVerified, makeReport, type Report } from './report.js';
import { SourceFile } from './source-file.js';
import { transports } from './transports/registry.js';

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    console.log(usage);
  } else {
    const report = await compare(options);
    console.log(options.json ? JSON.stringify(report, null, 2) : formatReport(report));
    if (!isVerified(report)) throw new DemoError('not all that arrived is what was sent');
  }
} catch (error) {
  if (!isExplained(error)) throw error;
  console.error(`demo: ${error.message}`);
  process.exitCode = 1;
}

async function compare({ path, rounds }: Options): Promise<Report> {
  const source = await SourceFile.open(path);
  const progress = new Progress(source);
  const movers: Mover[] = [];
  try {
    for (const transport of transports) movers.push(new Lane(transport, source.bytes));
    movers.push(new Alone());
    return makeReport(source, await measure(movers, source, { rounds, progress }), rounds);
  } finally {
    progress.stop();
    await Promise.all(movers.map((mover) => mover.close()));
    await source.close();
  }
}

/** Whether the message says enough: so do those of the system, of Node and of the package, which have a code. */
function isExplained(error: unknown): error is Error {
  return error instanceof DemoError || (error instanceof Error && 'code' in error);
}
