/**
 * The rounds. They are interleaved, so that a slow moment of the machine meets all movers, and a median
 * forgets it. The first round isn't timed: it takes what is needed once (pages of memory, compiled code)
 * and checks by SHA-256; the timed ones check by CRC-32, which is nearly free, so that what they show is the
 * transport and not the hash.
 */
import type { Move, Mover } from './move.js';
import type { Progress } from './progress.js';
import type { SourceFile } from './source-file.js';

export interface Measurement {
  id: string;
  name: string;
  /** Median. */
  seconds: number;
  /** Median. */
  cpuSeconds: number;
  /** Whether the right bytes arrived in every round. */
  verified: boolean;
}

export interface Measured {
  sha256: string;
  measurements: Measurement[];
}

export async function measure(
  movers: readonly Mover[],
  source: SourceFile,
  { rounds, progress }: { rounds: number; progress: Progress },
): Promise<Measured> {
  const sha256 = await source.digest('sha256');
  const crc32 = await source.digest('crc32');
  const runs = movers.map((mover) => ({ mover, moves: [] as Move[], verified: true }));
  for (let round = 0; round <= rounds; round++) {
    for (const run of runs) {
      progress.show(run.mover.id, `round ${round} of ${rounds}`);
      const move = await run.mover.move(source, round === 0 ? 'sha256' : 'crc32');
      run.verified &&= move.digest === (round === 0 ? sha256 : crc32);
      if (round > 0) run.moves.push(move);
    }
  }
  const measurements = runs.map(({ mover: { id, name }, moves, verified }) => ({
    id,
    name,
    seconds: median(moves.map(({ seconds }) => seconds)),
    cpuSeconds: median(moves.map(({ cpuSeconds }) => cpuSeconds)),
    verified,
  }));
  return { sha256, measurements };
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] as number) + upper) / 2;
}
