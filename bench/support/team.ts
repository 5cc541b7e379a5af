/** A contender at one scenario: its sides, mostly two, from their start to their end. */
import { type Contender, controlFd, cpuOf, handedFd, type Role, type Task } from '../contenders/contender.js';
import { sampleId } from '../contenders/registry.js';
import type { CpuReport, SideReport } from '../peer.js';
import { partiesOf, type Scenario } from '../scenarios/scenario.js';
import { BenchError } from './bench-error.js';
import { floorArguments, floorProgram } from './floor.js';
import { peerScript } from './fork-follow.js';
import type { Lines } from './lines.js';
import { Measured } from './measured.js';
import { newName, removeName } from './names.js';
import { isNeededOn, suppliesFor } from './supplies.js';

export interface Place {
  /** The sides have them in turns; the same one twice for one CPU. */
  cpus: readonly [number, number];
  /** For sockets and FIFOs. */
  folder: string;
}

/** One run of a team. */
export interface Run {
  /** Messages, round trips, calls or locks. */
  count: number;
  /** From the first one sent until the last one received. */
  seconds: number;
  /** Of all sides. */
  cpuSeconds: number;
  /** Nanoseconds of each round trip, or hand-over. */
  latencies: number[] | undefined;
  /** What each side had of `count`, where they do it together. */
  shares: number[] | undefined;
}

interface Voice {
  measured: Measured;
  lines: Lines;
}

export class Team {
  readonly #scenario: Scenario;
  readonly #lead: Voice;
  readonly #follows: Voice[];
  readonly #measured: Measured[];
  readonly #name: string;

  private constructor(
    scenario: Scenario,
    [lead, ...follows]: Voice[],
    { measured, name }: { measured: Measured[]; name: string },
  ) {
    this.#scenario = scenario;
    this.#lead = lead as Voice;
    this.#follows = follows;
    this.#measured = measured;
    this.#name = name;
  }

  static async start(contender: Contender, scenario: Scenario, { cpus, folder }: Place): Promise<Team> {
    const topology = contender.topology(scenario);
    if (topology === undefined) throw new BenchError(`${contender.id} does not play ${scenario.id}`);
    const { shape, most } = scenario;
    const name = newName();
    const supplies = suppliesFor(contender, shape, { folder, name });
    const measured: Measured[] = [];
    const others = topology === 'alone' ? 0 : partiesOf(shape) - 1;
    const start = (index: number): Measured => {
      const role: Role = index === 0 ? 'lead' : 'follow';
      const fds = supplies.fdsOf(role);
      const task: Task = {
        contender: contender.id,
        role,
        index,
        shape,
        most,
        control: controlFd,
        handed: fds.map((_, index) => handedFd + index),
        keys: supplies.keys,
        name,
        folder,
        cpus,
      };
      const isProgram = contender.load === undefined;
      const process_ = new Measured({
        name: `${sampleId(scenario, contender)} (${role})`,
        cpu: cpuOf(task),
        command: isProgram ? floorProgram : process.execPath,
        args: isProgram ? floorArguments(task) : [peerScript, JSON.stringify(task)],
        more: topology === 'forked' || topology === 'threads' ? others : fds,
      });
      measured.push(process_);
      return process_;
    };
    try {
      const lead = start(0);
      const follows: Voice[] = lead.followLines.map((lines) => ({ measured: lead, lines }));
      if (contender.leadFirst) await lead.hear();
      if (topology === 'processes') {
        for (let index = 1; index <= others; index++) {
          const other = start(index);
          follows.push({ measured: other, lines: other.lines });
        }
      }
      await Promise.all([contender.leadFirst ? undefined : lead.hear(), ...follows.map(hear)]);
      // What was to be found by its name was found.
      if (!isNeededOn(shape)) removeName(name);
      return new Team(scenario, [{ measured: lead, lines: lead.lines }, ...follows], { measured, name });
    } catch (error) {
      await Promise.all(measured.map((each) => each.close()));
      removeName(name);
      throw error;
    } finally {
      supplies.close();
    }
  }

  /** Between runs its processes are stopped. */
  async run(count: number): Promise<Run> {
    for (const each of this.#measured) each.resume();
    const run = await this.#run(count);
    for (const each of this.#measured) each.pause();
    return run;
  }

  async #run(count: number): Promise<Run> {
    const voices = [...this.#follows, this.#lead];
    let cpu = 0;
    for (const voice of voices) cpu -= await begin(voice, count);
    const reports = await Promise.all(voices.map((voice) => hear<SideReport>(voice)));
    for (const report of reports) cpu += report.cpu;
    const lead = reports.at(-1) as SideReport;
    let { start, end } = lead;
    if (this.#scenario.shape.kind === 'lock') {
      // All sides do the same.
      for (const report of reports) {
        if (BigInt(report.start) < BigInt(start)) start = report.start;
        if (BigInt(report.end) > BigInt(end)) end = report.end;
      }
    } else if (reports.length > 1 && lead.latencies === undefined) {
      // Who pings has the last message; who sends is done before that, and may still have work to do.
      end = (reports[0] as SideReport).end;
      this.#lead.lines.say({ cpu: true });
      cpu += (await hear<CpuReport>(this.#lead)).cpu - lead.cpu;
    }
    return {
      count,
      seconds: Number(BigInt(end) - BigInt(start)) / 1e9,
      cpuSeconds: cpu / 1e6,
      latencies: ofAll(reports.map(({ latencies }) => latencies))?.flat(),
      shares: ofAll(reports.map(({ share }) => share)),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#measured.map((each) => each.close()));
    removeName(this.#name);
  }
}

const hear = <T>({ measured, lines }: Voice): Promise<T> => measured.hear<T>(lines);

/** Lets a side run, and returns its CPU time until then. */
async function begin(voice: Voice, count: number): Promise<number> {
  voice.lines.say({ run: count });
  return (await hear<CpuReport>(voice)).cpu;
}

/** Of those that have one; undefined where none has. */
function ofAll<T>(values: (T | undefined)[]): T[] | undefined {
  const there = values.filter((value) => value !== undefined);
  return there.length === 0 ? undefined : there;
}
