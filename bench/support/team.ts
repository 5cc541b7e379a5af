/** A contender at one scenario: its two sides, or its one, from their start to their end. */
import { Channel, SharedMemory } from 'interproc';
import { type Contender, channelFds, controlFd, type Role, type Task } from '../contenders/contender.js';
import { sampleId } from '../contenders/registry.js';
import type { SideReport } from '../peer.js';
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
  #cpuBefore = 0;

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
    const command = { run: count };
    if (this.#follow !== undefined) {
      this.#follow.lines.say(command);
      await this.#follow.measured.hear(this.#follow.lines);
    }
    this.#lead.lines.say(command);
    await this.#lead.measured.hear();
    const [lead, follow] = await Promise.all([
      this.#lead.measured.hear<SideReport>(),
      this.#follow?.measured.hear<SideReport>(this.#follow.lines),
    ]);
    // Who sends is done before the last one is received; who pings is not.
    const end = lead.latencies === undefined && follow !== undefined ? follow.end : lead.end;
    const cpu = (lead.cpu + (follow?.cpu ?? 0)) / 1e6;
    const cpuSeconds = cpu - this.#cpuBefore;
    this.#cpuBefore = cpu;
    const seconds = Number(BigInt(end) - BigInt(lead.start)) / 1e9;
    return { count, seconds, cpuSeconds, latencies: lead.latencies };
  }

  async close(): Promise<void> {
    await Promise.all(this.#measured.map((each) => each.close()));
    removeName(this.#name);
  }
}

function makeMemory(name: string, bytes: number): void {
  SharedMemory.create(name, { size: bytes }).close();
}

/** Rings for those who use them, the same for both: small enough for a cache, or for sixteen messages. */
function channelsOf(shape: Shape, { id }: Contender): Channel[] {
  if (id !== 'floor' && id !== 'interproc') return [];
  if (shape.kind === 'ping-pong') return [0, 1].map(() => Channel.anonymous({ capacity: 65_536 }));
  if (shape.kind !== 'one-way') return [];
  return [Channel.anonymous({ capacity: Math.max(ringBytes, 8 * shape.bytes) })];
}
