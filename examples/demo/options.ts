/** The command line. */
import { parseArgs } from 'node:util';
import { DemoError } from './demo-error.js';

export const usage = `usage: npm run demo -- [FILE] [--rounds N] [--json]

Moves FILE (the running node binary, if none is given) from a parent process to a child through each
transport, and compares them.

  --rounds N  timed rounds, 3 if not given; the median counts
  --json      prints JSON instead of the table
  --help      prints this`;

export interface Options {
  path: string;
  rounds: number;
  json: boolean;
  help: boolean;
}

/** Throws a DemoError, or what parseArgs throws, for what it doesn't understand. */
export function parseOptions(args: string[]): Options {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '3' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false, short: 'h' },
    },
  });
  const { json, help } = values as { json: boolean; help: boolean };
  const rounds = Number(values.rounds);
  if (!Number.isSafeInteger(rounds) || rounds < 1) {
    throw new DemoError(`--rounds must be a whole number of at least 1, and is '${values.rounds}'`);
  }
  if (positionals.length > 1) throw new DemoError(`one file at a time, not ${positionals.length}`);
  return { path: positionals[0] ?? process.execPath, rounds, json, help };
}
