/** What is measured: a scenario has a name, and a shape that its contenders give the same work. */
export type Method = 'in-place' | 'in-place-sparse' | 'copy' | 'receive' | 'receive-many' | 'for-await';
export type Waiting = 'spinning' | 'sleeping' | 'event-loop';
export type Transport = 'pipe' | 'fifo' | 'datagram' | 'seqpacket' | 'stream';

/** Messages from one side to the other. */
export interface OneWay {
  kind: 'one-way';
  bytes: number;
  method: Method;
  /** How the sides wait that block their thread. */
  waiting: Waiting;
}

/** A message of 64 bytes there and the same back. */
export interface PingPong {
  kind: 'ping-pong';
  waiting: Waiting;
}

/** Calls of one process that make, open or resize shared memory. */
export interface MemoryCalls {
  kind: 'memory';
  call: 'create' | 'attach' | 'resize';
  bytes: number;
}

/** Loops of one process over memory. */
export interface MappedLoops {
  kind: 'mapped';
  loop: 'sum' | 'fill' | 'copy';
  bytes: number;
}

/** Messages over descriptors of the system, each written by a call of its own. */
export interface DescriptorCalls {
  kind: 'descriptor';
  /** One way, or 64 bytes there and the same back, on event loops. */
  work: 'one-way' | 'ping-pong';
  transport: Transport;
  bytes: number;
}

export type Api = 'posix' | 'sysv';

/** What is done with queues and semaphores of the system. */
export interface Work {
  /** `pair`: put in and taken out by one process, without ever waiting. */
  work: 'pair' | 'ping-pong';
  api: Api;
  /** How the sides of a ping-pong wait. */
  waiting: 'sleeping' | 'event-loop';
}

/** Messages over queues of the system. */
export interface QueueCalls extends Work {
  kind: 'queue';
  bytes: number;
}

/** Releases and acquisitions of semaphores of the system. */
export interface SemaphoreCalls extends Work {
  kind: 'semaphore';
}

/** Locks and unlocks of memory that all parties share. */
export interface LockCalls {
  kind: 'lock';
  /**
   * `pair`: a lock and its unlock, which nobody else disturbs. `contended`: one lock, taken by all parties as often as
   * they can. `hand-over`: how long it takes from an unlock until the party that waits for it has the lock.
   */
  work: 'pair' | 'contended' | 'hand-over';
  parties: 1 | 2 | 4;
  /** Of hand-overs: microseconds between having got a lock and handing over the one before. */
  heldUs: number;
}

export type ObjectShape = QueueCalls | SemaphoreCalls;
export type Shape = OneWay | PingPong | MemoryCalls | MappedLoops | DescriptorCalls | ObjectShape | LockCalls;

export const isObjectShape = (shape: Shape): shape is ObjectShape =>
  shape.kind === 'queue' || shape.kind === 'semaphore';

/** How many sides there are, of contenders that have more than one. */
export const partiesOf = (shape: Shape): number => (shape.kind === 'lock' ? shape.parties : 2);

export interface Scenario {
  /** Path-like: what `--only` is matched against, with the contender's id behind it. */
  id: string;
  shape: Shape;
  /** On how many CPUs the sides are, in turns; 1 for one that has no sides. */
  cpus: 1 | 2;
  /** The contender that the others are compared with. */
  reference: string;
  /** At most so many messages, round trips, calls or locks a sample. */
  most: number;
}
