/** What was measured, sample by sample, and which of it counts. */
import { majority, type Placement, type Probed, placementDuring } from './placement.js';

export interface Latency {
  p50: number;
  p99: number;
  'p99.9': number;
  max: number;
}

export interface Sample {
  contender: string;
  round: number;
  /** Messages, round trips or calls. */
  count: number;
  seconds: number;
  /** User and system time of both sides. */
  cpuSeconds: number;
  /** Null where both sides are on one CPU. */
  probed: Probed | null;
  /** Nanoseconds of round trips; null for what has none. */
  latency: Latency | null;
  /** Why it does not count; null when it does. */
  dropped: 'placement changed' | 'other placement' | 'taken again' | null;
}

/** What a sample says: of round trips the one in the middle, which a moment on somebody else's CPU doesn't move. */
export const nsEach = ({ seconds, count, latency }: Sample): number =>
  latency === null ? (seconds * 1e9) / count : latency.p50;

/** Flags what does not count, by the rule of the placement; returns what most samples had. */
export function settlePlacements(samples: readonly Sample[]): Placement | undefined {
  const placements = samples.map(({ probed }) => (probed === null ? undefined : placementDuring(probed)));
  const most = majority(placements);
  for (const [index, sample] of samples.entries()) {
    if (sample.probed === null) sample.dropped = null;
    else if (placements[index] === undefined) sample.dropped = 'placement changed';
    else sample.dropped = placements[index] === most ? null : 'other placement';
  }
  return most;
}

/** The samples of a contender that count: one a round at most. */
export function keptOf(samples: readonly Sample[], contender: string): Sample[] {
  return samples.filter((sample) => sample.contender === contender && sample.dropped === null);
}
