/** What is measured: the file moved once from its start to its end, by one of several movers. */
import type { Algorithm } from './digest.js';
import type { SourceFile } from './source-file.js';

export interface Move {
  /** Of what arrived. */
  digest: string;
  seconds: number;
  /** User and system time of all processes that took part. */
  cpuSeconds: number;
}

export interface Mover {
  readonly id: string;
  readonly name: string;
  move(source: SourceFile, algorithm: Algorithm): Promise<Move>;
  close(): Promise<void>;
}

export function inSeconds({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1e6;
}
