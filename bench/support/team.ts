/** A contender at one scenario: its two sides, or its one, from their start to their end. */
import { type Contender, controlFd, handedFd, type Role, type Task } from '../contenders/contender.js';
import { sampleId } from '../contenders/registry.js';
import type { CpuReport, SideReport } from '../peer.js';
import type { Scenario } from '../scenarios/scenario.js';
import { BenchError } from './bench-error.js';
import { floorArguments, floorProgram } from './floor.js';
import { peerScript } from './fork-follow.js';
import type { Lines } from './lines.js';
import { Measured } from './measured.js';
import { newName, removeName } from './names.js';
import { isNeededOn, suppliesFor } from './supplies.js';

export interface Place {
  /** For two sides; the same one twice for one CPU. */
  cpus: readonly [number, number];
  /** For sockets and FIFOs. */
  folder: string;
}

/** One run of a team. */
export interface Run {
  /** Messages, round trips or calls. */
  count: number;
  /** From the first one sent until the last one received. */
  seconds: number;
  /** Of both sides. */
  cpuSeconds: number;
  /** Nanoseconds of each round trip. */
  latencies: number[] | undefined;
}

interface Voice {
  measured: Measured;
  lines: Lines;
}

export class Team {
  readonly #lead: Voice;
  readonly #follow: Voice | undefined;
  readonly #measured: Measured[];
  readonly #name: string;

  private constructor(
    lead: Voice,
    follow: Voice | undefined,
    { measured, name }: { measured: Measured[]; name: string },
  ) {
    this.#lead = lead;
    this.#follow = follow;
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
    const start = (role: Role): Measured => {
      const fds = supplies.fdsOf(role);
      const task: Task = {
        contender: contender.id,
        role,
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
        cpu: cpus[role === 'lead' ? 0 : 1],
        command: isProgram ? floorProgram : process.execPath,
        args: isProgram ? floorArguments(task) : [peerScript, JSON.stringify(task)],
        more: topology === 'forked' || topology === 'threads' ? 'control' : fds,
      });
      measured.push(process_);
      return process_;
    };
    try {
      const lead = start('lead');
      let follow: Voice | undefined;
      if (contender.leadFirst) await lead.hear();
      if (topology === 'processes') {
        const other = start('follow');
        follow = { measured: other, lines: other.lines };
      } else if (lead.followLines !== undefined) {
        follow = { measured: lead, lines: lead.followLines };
      }
      await Promise.all([contender.leadFirst ? undefined : lead.hear(), follow?.measured.hear(follow.lines)]);
      // What was to be found by its name was found.
      if (!isNeededOn(shape)) removeName(name);
      return new Team({ measured: lead, lines: lead.lines }, follow, { measured, name });
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
    const before = [await this.#begin(this.#follow, count), await this.#begin(this.#lead, count)];
    const [follow, lead] = await Promise.all([
      hear<SideReport>(this.#follow),
      hear<SideReport>(this.#lead) as Promise<SideReport>,
    ]);
    let { end, cpu } = lead;
    // Who pings has the last message; who sends is done before that, and may still have work to do.
    if (follow !== undefined && lead.latencies === undefined) {
      end = follow.end;
      this.#lead.lines.say({ cpu: true });
      cpu = (await hear<CpuReport>(this.#lead))?.cpu ?? cpu;
    }
    return {
      count,
      seconds: Number(BigInt(end) - BigInt(lead.start)) / 1e9,
      cpuSeconds: (cpu + (follow?.cpu ?? 0) - sum(before)) / 1e6,
      latencies: lead.latencies,
    };
  }

  /** Lets a side run, and returns its CPU time until then. */
  async #begin(voice: Voice | undefined, count: number): Promise<number> {
    voice?.lines.say({ run: count });
    return (await hear<CpuReport>(voice))?.cpu ?? 0;
  }

  async close(): Promise<void> {
    await Promise.all(this.#measured.map((each) => each.close()));
    removeName(this.#name);
  }
}

async function hear<T>(voice: Voice | undefined): Promise<T | undefined> {
  return voice?.measured.hear<T>(voice.lines);
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);
