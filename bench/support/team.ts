/** A contender at one scenario: its two sides, or its one, from their start to their end. */
import { Channel, SharedMemory } from 'interproc';
import { type Contender, channelFds, controlFd, type Role, type Task } from '../contenders/contender.js';
import { sampleId } from '../contenders/registry.js';
import type { CpuReport, SideReport } from '../peer.js';
import type { Scenario, Shape } from '../scenarios/scenario.js';
import { BenchError } from './bench-error.js';
import { floorArguments, floorProgram } from './floor.js';
import { peerScript } from './fork-follow.js';
import type { Lines } from './lines.js';
import { Measured } from './measured.js';
import { newName, removeName } from './names.js';
import { ringBytes } from './ring-bytes.js';

export interface Place {
  /** For two sides; the same one twice for one CPU. */
  cpus: readonly [number, number];
  /** For sockets. */
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
    const channels = channelsOf(shape, contender);
    const measured: Measured[] = [];
    const start = (role: Role): Measured => {
      const more = topology === 'forked' || topology === 'threads' ? 'control' : channels.map(({ fd }) => fd);
      const task: Task = {
        contender: contender.id,
        role,
        shape,
        most,
        control: controlFd,
        channels: channels.map((_, index) => channelFds[index] as number),
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
        more,
      });
      measured.push(process_);
      return process_;
    };
    try {
      if (shape.kind === 'memory' && shape.call === 'attach') makeMemory(name, shape.bytes);
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
      if (shape.kind !== 'memory') removeName(name);
      return new Team({ measured: lead, lines: lead.lines }, follow, { measured, name });
    } catch (error) {
      await Promise.all(measured.map((each) => each.close()));
      removeName(name);
      throw error;
    } finally {
      for (const channel of channels) channel.close();
    }
  }

  async run(count: number): Promise<Run> {
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

function makeMemory(name: string, bytes: number): void {
  SharedMemory.create(name, { size: bytes }).close();
}

async function hear<T>(voice: Voice | undefined): Promise<T | undefined> {
  return voice?.measured.hear<T>(voice.lines);
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);

/** Rings for those who use them, the same for both: small enough for a cache, or for sixteen messages. */
function channelsOf(shape: Shape, { id }: Contender): Channel[] {
  if (id !== 'floor' && id !== 'interproc') return [];
  if (shape.kind === 'ping-pong') return [0, 1].map(() => Channel.anonymous({ capacity: 65_536 }));
  if (shape.kind !== 'one-way') return [];
  return [Channel.anonymous({ capacity: Math.max(ringBytes, 8 * shape.bytes) })];
}
