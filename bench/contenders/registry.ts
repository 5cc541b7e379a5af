/** All contenders, in the order of the tables. What they run is loaded in their own processes only. */
import {
  isObjectShape,
  type LockCalls,
  type ObjectShape,
  type Scenario,
  type Transport,
} from '../scenarios/scenario.js';
import type { Contender, Topology } from './contender.js';

/** For transports that know messages and round trips, and only the event loop to wait on. */
const messages =
  (topology: Topology) =>
  ({ shape }: Scenario): Topology | undefined =>
    shape.kind === 'one-way' || (shape.kind === 'ping-pong' && shape.waiting === 'event-loop')
      ? topology
      : undefined;

const over =
  (...transports: Transport[]) =>
  ({ shape }: Scenario): Topology | undefined =>
    shape.kind === 'descriptor' && transports.includes(shape.transport) ? 'processes' : undefined;

const canSpin = ({ shape }: Scenario): boolean => shape.kind === 'ping-pong' && shape.waiting === 'spinning';

const isLargeDatagram = ({ shape }: Scenario): boolean =>
  shape.kind === 'descriptor' && shape.transport === 'datagram' && shape.bytes > 65_535;

/** process.send is what everything is compared with, also where it can't wait as the others do. */
const everywhere = ({ shape }: Scenario): Topology | undefined =>
  shape.kind === 'one-way' || shape.kind === 'ping-pong' ? 'forked' : undefined;

/** The longest message that svmq receives. */
const svmqBytes = 4052;

/** One process does it all. */
const isAlone = ({ shape }: Scenario): boolean =>
  shape.kind === 'memory' ||
  shape.kind === 'mapped' ||
  ((isObjectShape(shape) || shape.kind === 'lock') && shape.work === 'pair');

const blocks = ({ work, waiting }: ObjectShape): boolean => work === 'ping-pong' && waiting === 'sleeping';

const objects =
  (takesPart: (shape: ObjectShape) => boolean) =>
  (scenario: Scenario): Topology | undefined => {
    const { shape } = scenario;
    if (!isObjectShape(shape) || !takesPart(shape)) return undefined;
    return isAlone(scenario) ? 'alone' : 'processes';
  };

/** `topology`: of those whose sides are more than one. */
const locks =
  (topology: Topology, takesPart: (shape: LockCalls) => boolean = () => true) =>
  (scenario: Scenario): Topology | undefined => {
    const { shape } = scenario;
    if (shape.kind !== 'lock' || !takesPart(shape)) return undefined;
    return isAlone(scenario) ? 'alone' : topology;
  };

export const contenders: readonly Contender[] = [
  {
    id: 'floor',
    name: 'C',
    topology: (scenario) => {
      if (scenario.shape.kind === 'mapped') return undefined;
      return isAlone(scenario) ? 'alone' : 'processes';
    },
  },
  {
    id: 'floor-interproc',
    name: 'C, interproc.h',
    topology: locks('processes'),
  },
  {
    id: 'interproc',
    name: 'interproc',
    topology: (scenario) => (isAlone(scenario) ? 'alone' : 'processes'),
    load: () => import('./interproc.js'),
  },
  {
    id: 'interproc-owned',
    name: 'interproc, owned Buffers',
    topology: objects(({ kind, work }) => kind === 'queue' && work === 'pair'),
    load: () => import('./interproc.js'),
  },
  {
    id: 'interproc-try',
    name: 'interproc, tryLock',
    topology: locks('processes', ({ work }) => work === 'pair'),
    load: () => import('./interproc.js'),
  },
  {
    id: 'interproc-event-loop',
    name: 'interproc, lock() awaited',
    topology: locks('processes'),
    load: () => import('./interproc.js'),
  },
  {
    id: 'process-send-json',
    name: "process.send, 'json'",
    topology: everywhere,
    load: () => import('./process-send.js'),
  },
  {
    id: 'process-send-advanced',
    name: "process.send, 'advanced'",
    topology: everywhere,
    load: () => import('./process-send.js'),
  },
  {
    id: 'net',
    name: 'net',
    topology: (scenario) => messages('processes')(scenario) ?? over('pipe', 'fifo', 'stream')(scenario),
    load: () => import('./net.js'),
  },
  {
    id: 'net-plain',
    name: 'net, as mostly used',
    topology: ({ shape }) => (shape.kind === 'one-way' ? 'processes' : undefined),
    load: () => import('./net-plain.js'),
  },
  {
    id: 'message-port',
    name: 'MessagePort, worker thread',
    topology: (scenario) => (canSpin(scenario) ? 'threads' : messages('threads')(scenario)),
    load: () => import('./message-port.js'),
  },
  {
    id: 'zeromq',
    name: 'zeromq, ipc://',
    topology: messages('processes'),
    package: 'zeromq',
    load: () => import('./zeromq.js'),
  },
  {
    id: 'disruptor',
    name: 'shared-memory-disruptor',
    topology: (scenario) => (canSpin(scenario) ? 'processes' : messages('processes')(scenario)),
    leadFirst: true,
    package: 'shared-memory-disruptor',
    load: () => import('./disruptor.js'),
  },
  {
    id: 'fs-streams',
    name: 'fs streams',
    topology: over('fifo'),
    load: () => import('./fs-streams.js'),
  },
  {
    id: 'unix-dgram',
    name: 'unix-dgram',
    topology: over('datagram'),
    package: 'unix-dgram',
    load: () => import('./unix-dgram.js'),
  },
  {
    id: 'node-unix-socket',
    name: 'node-unix-socket',
    // It cuts datagrams off at 65,535 bytes.
    topology: (scenario) => (isLargeDatagram(scenario) ? undefined : over('datagram', 'seqpacket')(scenario)),
    package: 'node-unix-socket',
    load: () => import('./node-unix-socket.js'),
  },
  {
    id: 'koffi',
    name: 'koffi',
    topology: objects(() => true),
    package: 'koffi',
    load: () => import('./koffi.js'),
  },
  {
    id: 'posix-mq',
    name: 'posix-mq',
    topology: objects((shape) => shape.kind === 'queue' && shape.api === 'posix' && !blocks(shape)),
    package: 'posix-mq',
    load: () => import('./posix-mq.js'),
  },
  {
    id: 'svmq',
    name: 'svmq',
    topology: objects((shape) => {
      if (shape.kind !== 'queue' || shape.bytes > svmqBytes) return false;
      return shape.api === 'sysv' && !blocks(shape);
    }),
    package: 'svmq',
    load: () => import('./svmq.js'),
  },
  {
    id: 'atomics',
    name: 'Atomics, worker threads',
    topology: locks('threads'),
    load: () => import('./atomics.js'),
  },
  {
    id: 'plain',
    name: 'Int32Array',
    topology: ({ shape }) => (shape.kind === 'mapped' ? 'alone' : undefined),
    load: () => import('./arrays.js'),
  },
];

export function contenderById(id: string): Contender {
  const contender = contenders.find((each) => each.id === id);
  if (contender === undefined) throw new Error(`there is no contender '${id}'`);
  return contender;
}

/** What `--only` is matched against. */
export const sampleId = (scenario: Scenario, contender: Contender): string =>
  `${scenario.id}/${contender.id}`;
