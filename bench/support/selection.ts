/** What is run: scenarios, and who plays them. */
import type { Contender } from '../contenders/contender.js';
import { contenders, sampleId } from '../contenders/registry.js';
import { scenarios } from '../scenarios/registry.js';
import type { Scenario } from '../scenarios/scenario.js';

export interface Selected {
  scenario: Scenario;
  contenders: Contender[];
}

/** The scenarios and contenders whose `SCENARIO/CONTENDER` the expression matches. */
export function select(only: RegExp): Selected[] {
  return scenarios.flatMap((scenario) => {
    const playing = contenders.filter(
      (contender) => contender.topology(scenario) !== undefined && only.test(sampleId(scenario, contender)),
    );
    return playing.length === 0 ? [] : [{ scenario, contenders: playing }];
  });
}

/** The packages that they need. */
export function packagesOf(selected: readonly Selected[]): string[] {
  const names = selected.flatMap(({ contenders: playing }) => playing.map((contender) => contender.package));
  return [...new Set(names)].filter((name) => name !== undefined);
}
