/** The command line. */
import { parseArgs } from 'node:util';
import { BenchError } from './bench-error.js';

export const usage = `usage: npm run bench -- [--quick] [--only REGEX] [--rounds N] [--json FILE] [--markdown] [--list] [--help]

Compares interproc with C on the same ring, and with what else moves messages between Node.js processes.

  --quick       one round of short samples: shows that everything works, and measures nothing
  --only REGEX  the scenarios and contenders whose SCENARIO/CONTENDER it matches
  --rounds N    timed rounds, 5 if not given and at least
  --json FILE   writes every sample, the machine and the versions there
  --markdown    prints tables as Markdown
  --list        prints all SCENARIO/CONTENDER
  --help        prints this`;

export interface Options {
  quick: boolean;
  only: RegExp;
  rounds: number;
  json: string | undefined;
  markdown: boolean;
  list: boolean;
  help: boolean;
}

const fewestRounds = 5;

/** Throws a BenchError, or what parseArgs throws, for what it doesn't understand. */
export function parseOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      rounds: { type: 'string' },
      json: { type: 'string' },
      markdown: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false, short: 'h' },
    },
  });
  const { quick, json, markdown, list, help } = values;
  const fewest = quick ? 1 : fewestRounds;
  const rounds = values.rounds === undefined ? fewest : Number(values.rounds);
  if (!Number.isSafeInteger(rounds) || rounds < fewest) {
    throw new BenchError(`--rounds must be a whole number of at least ${fewest}, and is '${values.rounds}'`);
  }
  return { quick, only: regExp(values.only), rounds, json, markdown, list, help };
}

function regExp(source: string): RegExp {
  try {
    return new RegExp(source);
  } catch (error) {
    throw new BenchError(`--only: ${(error as Error).message}`);
  }
}
