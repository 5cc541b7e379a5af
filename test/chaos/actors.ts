/** Processes that take part in a channel (actor.js, actor.c), and die at a failpoint where they are told to. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { type Program, startProgram } from '../interop/programs.js';

/** The command of one language. */
export type Language = readonly string[];

export const inNode: Language = [process.execPath, fileURLToPath(new URL('actor.js', import.meta.url))];

/** Starts one that goes to its end. `name` may have its slash. */
export function startActor(language: Language, command: string, name: string, ...rest: unknown[]): Program {
  return startProgram(language, [command, name.slice(1), ...rest]);
}

/** All that an actor says, line by line, up to its end. */
export async function linesOf(actor: Program): Promise<string[]> {
  const lines: string[] = [];
  for (let line = await actor.line(); line !== undefined; line = await actor.line()) lines.push(line);
  return lines;
}

/** Starts one and waits for its end, which has to be a good one. */
export async function runActor(...given: Parameters<typeof startActor>): Promise<string[]> {
  const actor = startActor(...given);
  const lines = await linesOf(actor);
  await actor.ended();
  return lines;
}

export interface Victim extends Program {
  /** Resolves with all that it has said, once it has died at its failpoint. Rejects where it ended otherwise. */
  died: Promise<string[]>;
}

/** Starts one that is to die at `failpoint`, when it passes that for the `hit`th time. */
export function startVictim(
  failpoint: string,
  hit: number,
  ...[language, ...rest]: Parameters<typeof startActor>
): Victim {
  const victim = startActor(['env', `INTERPROC_FAILPOINT=${failpoint}:${hit}`, ...language], ...rest);
  const exited = once(victim.process, 'exit');
  const died = linesOf(victim).then(async (lines) => {
    const [code, signal] = await exited;
    // `killed`: by the watchdog, so that it never came by.
    const { killed } = victim.process;
    expect({ code, signal, killed }).toEqual({ code: null, signal: 'SIGKILL', killed: false });
    return lines;
  });
  died.catch(() => {}); // whoever waits for it is told
  return { ...victim, died };
}
