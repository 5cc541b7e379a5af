/**
 * Pipes, FIFOs and UNIX sockets, with the sizes that the system gives them: round trips of 64 bytes between event loops,
 * and messages one way.
 */
import type { DescriptorCalls, Scenario, Transport } from './scenario.js';

const transports: Transport[] = ['pipe', 'fifo', 'datagram', 'seqpacket', 'stream'];
const works: { name: string; work: DescriptorCalls['work']; bytes: number; most: number }[] = [
  // Each round trip is kept.
  { name: 'ping-pong/64B', work: 'ping-pong', bytes: 64, most: 100_000 },
  { name: 'one-way/64B', work: 'one-way', bytes: 64, most: 100_000_000 },
  { name: 'one-way/64KiB', work: 'one-way', bytes: 65_536, most: 100_000_000 },
];

export const descriptor: Scenario[] = works.flatMap(({ name, work, bytes, most }) =>
  transports.flatMap((transport) =>
    ([1, 2] as const).map(
      (cpus): Scenario => ({
        id: `descriptor/${name}/${transport}/${cpus === 1 ? 'one-cpu' : 'two-cpus'}`,
        shape: { kind: 'descriptor', work, transport, bytes },
        cpus,
        reference: 'floor',
        most,
      }),
    ),
  ),
);
