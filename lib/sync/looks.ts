/**
 * A look from time to time at what asynchronous waits sleep on: whether a holder has died, or a wake-up was lost with the
 * one who was to give or to use it. It costs something only while somebody sleeps.
 */

/** At most so long passes until what a dead one holds is noticed. */
const lookMs = 50;

const asleep = new Set<() => void>();
let timer: NodeJS.Timeout | undefined;

/** Calls `look` every now and then, until `lookNoMore`. That keeps no process alive. */
export function lookEverySoOften(look: () => void): void {
  asleep.add(look);
  timer ??= setInterval(() => {
    if (asleep.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
    for (const each of [...asleep]) each();
  }, lookMs).unref();
}

export function lookNoMore(look: () => void): void {
  asleep.delete(look);
}
