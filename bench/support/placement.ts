/**
 * Where the two CPUs are. A host may put two virtual CPUs on one core now and on two later, and numbers of the one
 * are no numbers of the other. So a flag is handed to and fro before and after each sample: about 35 ns a round trip on one
 * core, about 210 on two.
 */
import { floorProgram } from './floor.js';
import { Measured } from './measured.js';

export type Placement = 'one-core' | 'two-cores';

const thresholdNs = 100;

export const placementOf = (ns: number): Placement => (ns < thresholdNs ? 'one-core' : 'two-cores');

/** Nanoseconds before and after a sample. */
export interface Probed {
  before: number;
  after: number;
}

/** Undefined: it changed meanwhile. */
export function placementDuring({ before, after }: Probed): Placement | undefined {
  const placement = placementOf(before);
  return placement === placementOf(after) ? placement : undefined;
}

/** What most samples had; undefined where none had one. The first of two that are even. */
export function majority(placements: readonly (Placement | undefined)[]): Placement | undefined {
  const count = (which: Placement) => placements.filter((each) => each === which).length;
  const [one, two] = [count('one-core'), count('two-cores')];
  if (one === 0 && two === 0) return undefined;
  if (one === two) return placements.find((each) => each !== undefined);
  return one > two ? 'one-core' : 'two-cores';
}

export class PlacementProbe {
  readonly #measured: Measured;

  private constructor(measured: Measured) {
    this.#measured = measured;
  }

  static async start([first, second]: readonly [number, number]): Promise<PlacementProbe> {
    const measured = new Measured({
      name: 'the probe of the placement',
      cpu: first,
      command: floorProgram,
      args: ['probe', `${first}`, `${second}`],
    });
    await measured.hear();
    return new PlacementProbe(measured);
  }

  /** Nanoseconds of a round trip now. */
  async probe(): Promise<number> {
    this.#measured.lines.say({ probe: true });
    return (await this.#measured.hear<{ ns: number }>()).ns;
  }

  close(): Promise<void> {
    return this.#measured.close();
  }
}
