/** Somebody who takes part: what the bench must know to start it, and what its measured processes run. */
import type { Scenario, Shape } from '../scenarios/scenario.js';

export type Role = 'lead' | 'follow';

/**
 * How its sides are started. `alone`: only the lead, for what has one side. `processes`: each by the bench. `forked`: the
 * lead starts the other one as its child. `threads`: the lead starts the others as workers.
 */
export type Topology = 'alone' | 'processes' | 'forked' | 'threads';

export interface Contender {
  id: string;
  name: string;
  /** How it plays a scenario; undefined: not at all. */
  topology(scenario: Scenario): Topology | undefined;
  /** The other side opens what the lead makes: the lead is ready before it is started. */
  leadFirst?: boolean;
  /** The package in bench/package.json that it needs. */
  package?: string;
  /** What its measured processes run; without one it is the program `floor`. */
  load?(): Promise<ContenderModule>;
}

export interface ContenderModule {
  open(task: Task): Promise<Side> | Side;
}

/** What a measured process is told: its argument, as JSON. */
export interface Task {
  contender: string;
  role: Role;
  /** Which side it is: 0 is the lead. */
  index: number;
  shape: Shape;
  /** At most so many messages, round trips, calls or locks a run. */
  most: number;
  /** The descriptor over which the bench talks to it. */
  control: number;
  /**
   * Descriptors that it was handed. Two channels: for what the lead sends, and for what it receives. Pipes: what this side
   * sends by, and what it receives by. A socket: both. Memory for locks.
   */
  handed: number[];
  /** Of System V objects: of what the lead sends to, and of what it receives from; a pair has one for both. */
  keys: number[];
  /** A name that nothing else in the system has. */
  name: string;
  /** A folder for sockets and FIFOs. */
  folder: string;
  /** The CPUs of the lead and of the other side; further sides have them in turns. */
  cpus: readonly [number, number];
}

/** The CPU of a side. */
export const cpuOf = ({ cpus, index }: Pick<Task, 'cpus' | 'index'>): number => cpus[index % 2] as number;

/** One side at work. */
export interface Side {
  /** Before each run, and not timed: returns when all sides are there. */
  prepare?(): Promise<void> | void;
  /**
   * Sends or receives `count` messages, makes as many round trips or calls, or with the other sides takes so many locks;
   * throws when something is wrong.
   */
  run(count: number): Promise<void> | void;
  /** Throws when what the run received is not what was sent. Not timed. */
  verify?(): void;
  /** Nanoseconds of each round trip of the last run, or of each lock that was handed to this side. */
  latencies?(): number[];
  /** How many of the locks of the last run it had. */
  share?(): number;
}

/** Descriptors of a measured process. */
export const controlFd = 3;
/** For the first of the sides that the lead starts itself, and those after it: the bench's lines to them. */
export const followControlFd = 4;
/** The first of those that it was handed. */
export const handedFd = 4;
