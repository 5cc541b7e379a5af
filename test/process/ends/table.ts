/**
 * How far objects have come when their process or worker ends: scripts that run in side.js. At hand in them are `assert`, all
 * of `interproc`, `name`, `key` and `path`, which nothing else has, and `keep(object)`, which keeps it from being collected.
 */
export interface Kind {
  /** Makes the object; what has a name loses it at once. */
  make: string;
  /** From each of them a process comes to its end by itself: what waits is unref()ed. */
  steps: Record<string, string>;
  /** What keeps its thread busy or alive, so that something else ends it. `inside()` or `insideSync()` ends it in the middle of a callback. */
  stays?: Record<string, string>;
  /** Calls that block for ever: in workers. */
  blocks?: Record<string, string>;
}

export type Kinds = Record<string, Kind>;
