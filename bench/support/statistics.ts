/** Medians, spreads and ratios. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { keptOf, type Latency, nsEach, type Sample } from './samples.js';

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

/**
 * How many times as fast as others: the median over the rounds in which both have a sample that counts, of the ratio
 * within the round. The fastest of several others in a round is who it is compared with. NaN without such a round.
 */
export function speedRatio(
  samples: readonly Sample[],
  { of, to }: { of: string; to: readonly string[] },
): number {
  const best = new Map<number, number>();
  for (const sample of to.flatMap((other) => keptOf(samples, other))) {
    best.set(sample.round, Math.min(best.get(sample.round) ?? Number.POSITIVE_INFINITY, nsEach(sample)));
  }
  const ratios = keptOf(samples, of).flatMap((sample) => {
    const other = best.get(sample.round);
    return other === undefined ? [] : [other / nsEach(sample)];
  });
  return median(ratios);
}

export function histogramOf(latencies: readonly number[]): RecordableHistogram {
  const histogram = createHistogram();
  for (const each of latencies) histogram.record(each);
  return histogram;
}

export function latencyOf(histogram: RecordableHistogram): Latency {
  return {
    p50: histogram.percentile(50),
    p99: histogram.percentile(99),
    'p99.9': histogram.percentile(99.9),
    max: histogram.max,
  };
}
