/** The results, for people and for programs. */
import type { Measured, Measurement } from './measure.js';
import type { SourceFile } from './source-file.js';
import { formatTable } from './table.js';
import { inMegabytes } from './units.js';

export interface ReportRow extends Measurement {
  megabytesPerSecond: number;
  /** How many times as fast as the first transport. */
  factor: number;
}

export interface Report {
  file: string;
  bytes: number;
  sha256: string;
  node: string;
  /** Timed ones. */
  rounds: number;
  transports: ReportRow[];
  /** The file read and checked by one process, moved nowhere. */
  alone: ReportRow;
}

/** `measured` holds the transports and, after them, the process alone. */
export function makeReport({ path, bytes }: SourceFile, measured: Measured, rounds: number): Report {
  const first = measured.measurements[0] as Measurement;
  const rows = measured.measurements.map((measurement) => ({
    ...measurement,
    megabytesPerSecond: bytes / 1e6 / measurement.seconds,
    factor: first.seconds / measurement.seconds,
  }));
  const alone = rows.pop() as ReportRow;
  return {
    file: path,
    bytes,
    sha256: measured.sha256,
    node: process.version,
    rounds,
    transports: rows,
    alone,
  };
}

export function isVerified({ transports, alone }: Report): boolean {
  return [...transports, alone].every(({ verified }) => verified);
}

export function formatReport(report: Report): string {
  const { file, bytes, sha256, node, transports, alone } = report;
  const head = ['transport', 'MB/s', 'CPU s', 'factor', 'verified'];
  const rows = [...transports, alone].map((row) => [
    row.name,
    row.megabytesPerSecond.toFixed(0),
    row.cpuSeconds.toFixed(3),
    `${row.factor.toFixed(1)}x`,
    row.verified ? 'yes' : 'NO',
  ]);
  return [
    `${file}: ${inMegabytes(bytes)} MB from a parent process to a child, node ${node}`,
    `sha256 ${sha256}`,
    '',
    formatTable(head, rows),
    '',
    footnote(report),
  ].join('\n');
}

function footnote({ rounds }: Report): string {
  return `The clock runs from the parent's first message until the child has answered that it has read every byte. So in
all rows there is one read of the file, from the page cache to where the transport takes it, and one CRC-32 in the
child, where the transport put it. The last row is only these two: what others need beyond it is their own.
Medians of ${rounds} interleaved rounds; CPU is user and system time of both processes. An untimed round before them
takes what is needed once (memory, compiled code), and there the child checks by SHA-256: shared memory is used
again in each round, and whoever makes new memory for each file pays for its pages each time.`;
}
