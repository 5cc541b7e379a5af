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
  /** Messages, round trips, calls or locks. */
  count: number;
  seconds: number;
  /** User and system time of all sides. */
  cpuSeconds: number;
  /** Null where both sides are on one CPU. */
  probed: Probed | null;
  /** Nanoseconds of round trips or hand-overs; null for what has none. */
  latency: Latency | null;
  /** Of what all sides do together: the least that a side had, as a part of what each would have had; else null. */
  smallestShare: number | null;
  /** Why it does not count; null when it does. */
  dropped: 'placement changed' | 'other placement' | 'taken again' | null;
}

/** 1: all had the same; 0: one had nothing. */
export function smallestShareOf(shares: readonly number[]): number {
  const all = shares.reduce((sum, each) => sum + each, 0);
  return (Math.min(...shares) * shares.length) / all;
}

/** What a sample says: of round trips the one in the middle, which a moment on somebody else's CPU doesn't move. */
export const nsEach = ({ seconds, count, latency }: Sample): number =>
  latency === null ? (seconds * 1e9) / count : latency.p50;

const placementOf = ({ probed }: Sample): Placement | undefined =>
  probed === null ? undefined : placementDuring(probed);

/** Whether the placement of one of the samples held, and is that of most so far: else it is taken again. */
export function isAsMost(samples: readonly Sample[], sample: Sample): boolean {
  if (sample.probed === null) return true;
  const placement = placementOf(sample);
  return placement !== undefined && placement === majority(samples.map(placementOf));
}

/**
 * Flags what does not count: a sample during which the placement changed or was not that of most, and one that was
 * taken again although it would have done. Returns what most had.
 */
export function settle(samples: readonly Sample[]): Placement | undefined {
  const most = majority(samples.map(placementOf));
  const last = new Map<string, Sample>();
  for (const sample of samples) {
    const placement = placementOf(sample);
    sample.dropped = null;
    if (sample.probed !== null && placement === undefined) sample.dropped = 'placement changed';
    else if (placement !== most) sample.dropped = 'other placement';
    if (sample.dropped !== null) continue;
    const key = `${sample.contender} ${sample.round}`;
    const before = last.get(key);
    if (before !== undefined) before.dropped = 'taken again';
    last.set(key, sample);
  }
  return most;
}

/** The samples of a contender that count: one a round at most. */
export function keptOf(samples: readonly Sample[], contender: string): Sample[] {
  return samples.filter((sample) => sample.contender === contender && sample.dropped === null);
}
