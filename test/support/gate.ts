/** Somebody who was stopped in the middle of joining or leaving a channel: a process that holds its gate. */
import { expect } from 'vitest';
import { compile, type Program, startProgram } from '../interop/programs.js';
import { tempDir } from './names.js';

/** Its end is to be awaited. */
export interface GateHolder {
  /** Resolves once the gate is free. */
  letGo(): Promise<void>;
}

/** Resolves once the gate of the channel in the file `path` is held. */
export async function holdGate(path: string): Promise<GateHolder> {
  const holder: Program = startProgram(compile(new URL('gate.c', import.meta.url), tempDir()), [path]);
  expect(await holder.line()).toBe('held');
  return {
    letGo: () => {
      holder.say('go');
      return holder.ended();
    },
  };
}
