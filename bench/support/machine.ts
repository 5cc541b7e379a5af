/** What the numbers were measured on. */
import { readFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { allowedCpus } from './cpus.js';

export interface Machine {
  cpu: string;
  cpus: number;
  kernel: string;
  node: string;
  interproc: string;
  date: string;
}

export function thisMachine(): Machine {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cpus: allowedCpus().length,
    kernel: `Linux ${release()}`,
    node: process.version,
    interproc: version,
    date: new Date().toISOString().slice(0, 10),
  };
}

export const describeMachine = ({ cpu, cpus, kernel, node, interproc, date }: Machine): string =>
  `${date}: interproc ${interproc}, node ${node}, ${kernel}, ${cpus} CPUs of ${cpu}`;
