/** Tables of the results, for people. */
import { contenderById } from '../contenders/registry.js';
import type { OneWay, Scenario } from '../scenarios/scenario.js';
import type { ScenarioResult } from './rounds.js';
import { keptOf, nsEach } from './samples.js';
import { latencyOf, median, speedRatio } from './statistics.js';
import { formatMarkdown, formatText } from './table.js';

const largeBytes = 65_536;
export const processSends = ['process-send-json', 'process-send-advanced'];

export interface Summary {
  contender: string;
  /** Samples that count, and that don't. */
  kept: number;
  dropped: number;
  /** Nanoseconds a message, round trip, call or element. */
  medianNs: number;
  fastestNs: number;
  slowestNs: number;
  cpuNs: number;
  /** How many times as fast; null without rounds in which both count. */
  toReference: number | null;
  toProcessSend: number | null;
  toNet: number | null;
  /** To the fastest of all but interproc and whom they are compared with. */
  toPeers: number | null;
  latency: ReturnType<typeof latencyOf> | null;
  /** The median, and the worst: see Sample. */
  smallestShare: number | null;
  worstShare: number | null;
}

const numberOrNull = (value: number) => (Number.isNaN(value) ? null : value);

export function summarize({ scenario, samples, latencies }: ScenarioResult): Summary[] {
  const ids = [...new Set(samples.map(({ contender }) => contender))];
  const peers = ids.filter((id) => !/^(interproc|floor)/.test(id) && id !== scenario.reference);
  return ids.map((id) => {
    const kept = keptOf(samples, id);
    const each = kept.map(nsEach);
    const histogram = latencies.get(id);
    const shares = kept.map(({ smallestShare }) => smallestShare).filter((share) => share !== null);
    return {
      contender: id,
      kept: kept.length,
      dropped: samples.filter(({ contender }) => contender === id).length - kept.length,
      medianNs: median(each),
      fastestNs: Math.min(...each),
      slowestNs: Math.max(...each),
      cpuNs: median(kept.map(({ cpuSeconds, count }) => (cpuSeconds * 1e9) / count)),
      toReference: numberOrNull(speedRatio(samples, { of: id, to: [scenario.reference] })),
      toProcessSend: numberOrNull(speedRatio(samples, { of: id, to: processSends })),
      toNet: numberOrNull(speedRatio(samples, { of: id, to: ['net'] })),
      toPeers: numberOrNull(speedRatio(samples, { of: id, to: peers })),
      latency: histogram === undefined ? null : latencyOf(histogram),
      smallestShare: numberOrNull(median(shares)),
      worstShare: shares.length === 0 ? null : Math.min(...shares),
    };
  });
}

const significant = (value: number, digits = 3): string =>
  Number.isFinite(value) ? `${Number(value.toPrecision(digits))}` : '-';
const ratio = (value: number | null): string => (value === null ? '-' : `${significant(value)}x`);
const inMicroseconds = (ns: number): string => significant(ns / 1e3);

interface Column {
  head: string;
  cell(summary: Summary): string;
}

const spread = (of: (ns: number) => number) => (summary: Summary) =>
  `${significant(of(summary.slowestNs))}-${significant(of(summary.fastestNs))}`;

const rate = (unit: string, of: (ns: number) => number): Column[] => [
  { head: unit, cell: ({ medianNs }) => significant(of(medianNs)) },
  { head: 'min-max', cell: spread(of) },
];

function columnsOf({ shape, reference }: Scenario): Column[] {
  const name: Column = { head: 'contender', cell: ({ contender }) => contenderById(contender).name };
  const toReference: Column = {
    head: reference === 'floor' ? 'x C' : `x ${reference}`,
    cell: (summary) => ratio(summary.toReference),
  };
  const toProcessSend: Column = { head: 'x process.send', cell: (summary) => ratio(summary.toProcessSend) };
  const toNet: Column = { head: 'x net', cell: (summary) => ratio(summary.toNet) };
  const toPeers: Column = { head: 'x best peer', cell: (summary) => ratio(summary.toPeers) };
  const dropped: Column = { head: 'dropped', cell: (summary) => `${summary.dropped}` };
  const cpu = (unit: string): Column => ({
    head: `CPU us/${unit}`,
    cell: ({ cpuNs }) => inMicroseconds(cpuNs),
  });
  switch (shape.kind) {
    case 'one-way':
      return [name, ...throughput(shape), toReference, toProcessSend, toNet, cpu('msg'), dropped];
    case 'ping-pong':
      return [name, ...roundTrip, toReference, toProcessSend, toNet, cpu('trip'), dropped];
    case 'descriptor':
      return shape.work === 'ping-pong'
        ? [name, ...roundTrip, toReference, toPeers, cpu('trip'), dropped]
        : [name, ...bytesOrMessages(shape.bytes), toReference, toPeers, cpu('msg'), dropped];
    case 'queue':
    case 'semaphore':
      return shape.work === 'ping-pong'
        ? [name, ...roundTrip, toReference, toPeers, cpu('trip'), dropped]
        : [name, ...pair, toReference, toPeers, dropped];
    case 'lock': {
      const toAtomics: Column = { ...toPeers, head: 'x Atomics' };
      if (shape.work === 'pair') return [name, ...pair, toReference, toAtomics, dropped];
      const times =
        shape.work === 'contended' ? [...rate('M locks/s', (ns) => 1e3 / ns), ...shares] : roundTrip;
      return [name, ...times, toReference, toAtomics, cpu('lock'), dropped];
    }
    case 'memory':
      return [name, ...rate('k calls/s', (ns) => 1e6 / ns), toReference, cpu('call'), dropped];
    case 'mapped':
      return [name, ...rate('GB/s', (ns) => shape.bytes / ns), toReference, dropped];
  }
}

/** Of the party that had the least: 1 where all had the same. */
const shares: Column[] = [
  { head: 'least share', cell: ({ smallestShare }) => significant(smallestShare ?? Number.NaN, 2) },
  { head: 'at worst', cell: ({ worstShare }) => significant(worstShare ?? Number.NaN, 2) },
];

const roundTrip: Column[] = [
  { head: 'us (p50)', cell: ({ medianNs }) => inMicroseconds(medianNs) },
  {
    head: 'min-max',
    cell: ({ fastestNs, slowestNs }) => `${inMicroseconds(fastestNs)}-${inMicroseconds(slowestNs)}`,
  },
  ...(['p99', 'p99.9'] as const).map((percentile) => ({
    head: percentile,
    cell: ({ latency }: Summary) => (latency === null ? '-' : inMicroseconds(latency[percentile])),
  })),
];

/** Here one process has the CPU all the time, and calls are compared with calls. */
const pair: Column[] = [
  { head: 'ns/pair', cell: ({ medianNs }) => significant(medianNs) },
  {
    head: 'min-max',
    cell: ({ fastestNs, slowestNs }) => `${significant(fastestNs)}-${significant(slowestNs)}`,
  },
];

/** Of large messages bytes count, where all of them are touched. */
function throughput({ bytes, method }: OneWay): Column[] {
  if (bytes < largeBytes || method !== 'in-place-sparse') return bytesOrMessages(bytes);
  return rate('k msg/s', (ns) => 1e6 / ns);
}

function bytesOrMessages(bytes: number): Column[] {
  return bytes < largeBytes ? rate('M msg/s', (ns) => 1e3 / ns) : rate('GB/s', (ns) => bytes / ns);
}

export function formatResult(result: ScenarioResult, markdown: boolean): string {
  const { scenario, placement } = result;
  const columns = columnsOf(scenario);
  const rows = summarize(result).map((summary) => columns.map(({ cell }) => cell(summary)));
  const heads = columns.map(({ head }) => head);
  const title = `${scenario.id}${placement === null ? '' : ` (${placement})`}`;
  return markdown ? `### ${title}\n\n${formatMarkdown(heads, rows)}` : `${title}\n${formatText(heads, rows)}`;
}
