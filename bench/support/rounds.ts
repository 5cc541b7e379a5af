/**
 * The rounds of a scenario. In each one every contender takes a sample, in turn and in an order that rotates, so that
 * a slow moment of the machine meets all of them; ratios are taken within a round. Each contender has a number of
 * messages of its own, with which a sample takes about as long as is wanted.
 */
import type { RecordableHistogram } from 'node:perf_hooks';
import type { Contender } from '../contenders/contender.js';
import type { Scenario } from '../scenarios/scenario.js';
import type { Placement, PlacementProbe } from './placement.js';
import { isAsMost, type Sample, settle, smallestShareOf } from './samples.js';
import { histogramOf, latencyOf } from './statistics.js';
import { type Place, type Run, Team } from './team.js';

export interface Measuring {
  rounds: number;
  sampleSeconds: number;
  place: Place;
  /** Undefined where both sides are on one CPU. */
  probe: PlacementProbe | undefined;
  progress(text: string): void;
}

export interface ScenarioResult {
  scenario: Scenario;
  /** Of the samples that count; null where both sides are on one CPU. */
  placement: Placement | null;
  samples: Sample[];
  /** Round trips or hand-overs of all samples that count, by contender. */
  latencies: Map<string, RecordableHistogram>;
}

interface Player {
  contender: Contender;
  team: Team;
  count: number;
}

/** A sample whose placement changed, or is not that of the others, is taken again so often. */
const retries = 3;

export async function measure(
  scenario: Scenario,
  contenders: readonly Contender[],
  measuring: Measuring,
): Promise<ScenarioResult> {
  const { rounds, place, progress } = measuring;
  const players: Player[] = [];
  const samples: Sample[] = [];
  const trips = new Map<Sample, number[]>();
  try {
    const started = await Promise.allSettled(
      contenders.map((contender) => Team.start(contender, scenario, place)),
    );
    for (const [index, start] of started.entries()) {
      if (start.status === 'fulfilled') {
        players.push({ contender: contenders[index] as Contender, team: start.value, count: 0 });
      }
    }
    const failed = started.find((start) => start.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    for (const player of players) {
      progress(`${scenario.id}: warming up ${player.contender.id}`);
      player.count = await calibrate(player.team, scenario.most, measuring.sampleSeconds);
    }
    for (let round = 0; round < rounds; round++) {
      for (let turn = 0; turn < players.length; turn++) {
        const player = players[(round + turn) % players.length] as Player;
        progress(`${scenario.id}: round ${round + 1} of ${rounds}, ${player.contender.id}`);
        for (let attempt = 0; attempt <= retries; attempt++) {
          const { sample, run } = await takeSample(player, round, measuring.probe);
          samples.push(sample);
          if (run.latencies !== undefined) trips.set(sample, run.latencies);
          if (isAsMost(samples, sample)) break;
        }
      }
    }
  } finally {
    await Promise.all(players.map(({ team }) => team.close()));
  }
  const placement = settle(samples) ?? null;
  const latencies = new Map(
    players.flatMap(({ contender: { id } }) => {
      const all = samples
        .filter(({ contender, dropped }) => contender === id && dropped === null)
        .flatMap((sample) => trips.get(sample) ?? []);
      return all.length === 0 ? [] : [[id, histogramOf(all)] as const];
    }),
  );
  return { scenario, placement, samples, latencies };
}

async function takeSample(
  { contender, team, count }: Player,
  round: number,
  probe: PlacementProbe | undefined,
): Promise<{ sample: Sample; run: Run }> {
  const before = await probe?.probe();
  const run = await team.run(count);
  const after = await probe?.probe();
  const sample: Sample = {
    contender: contender.id,
    round,
    count,
    seconds: run.seconds,
    cpuSeconds: run.cpuSeconds,
    probed: before === undefined || after === undefined ? null : { before, after },
    latency: run.latencies === undefined ? null : latencyOf(histogramOf(run.latencies)),
    smallestShare: run.shares === undefined ? null : smallestShareOf(run.shares),
    dropped: null,
  };
  return { sample, run };
}

/**
 * How many messages take about `seconds`: found by running more and more of them, which is the warm-up, too. A second
 * long run corrects what the first one found while the code was still being compiled.
 */
async function calibrate(team: Team, most: number, seconds: number): Promise<number> {
  let count = Math.min(most, 4);
  for (let longRuns = 0; longRuns < 2; ) {
    const run = await team.run(count);
    if (run.seconds >= seconds / 2 || count >= most) longRuns++;
    const wanted = Math.round((count * seconds) / Math.max(run.seconds, 1e-6));
    count = Math.max(1, Math.min(most, count * 16, longRuns === 0 ? Math.max(count * 2, wanted) : wanted));
  }
  return count;
}
