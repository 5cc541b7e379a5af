/** What the storms share: what they are told, their clock, and how they tell of times. */

const anySeed = () => String(Math.floor(Math.random() * 2 ** 31));

/** For util.parseArgs. */
export const stormOptions = /** @type {const} */ ({
  kills: { type: 'string', default: '500' },
  seed: { type: 'string', default: anySeed() },
  json: { type: 'string' },
});

/** The number behind `--name`; anything else ends the program. @param {string} name @param {string} text @param {number} least */
export function wholeNumber(name, text, least) {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= least) return value;
  console.error(`--${name} must be a whole number from ${least} on, not '${text}'`);
  return process.exit(2);
}

export const after = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Milliseconds that all processes agree on. */
export function now() {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** @param {number[]} samples Milliseconds. */
export function summary(samples) {
  const sorted = samples.sort((a, b) => a - b);
  const at = (/** @type {number} */ share) =>
    Math.round((sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0) * 100) / 100;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** Prints them line by line. @param {Record<string, ReturnType<typeof summary>>} times */
export function tellTimes(times) {
  for (const [what, { count, p50, p99, max }] of Object.entries(times))
    console.log(`${what}: p50 ${p50} ms, p99 ${p99} ms, max ${max} ms of ${count}`);
}

/** Prints what failed, and the line that counts; and exits with 1 then. @param {{ name: string, ok: boolean }[]} checks */
export function tellChecks(checks) {
  const failed = checks.filter(({ ok }) => !ok);
  for (const { name } of failed) console.error(`failed: ${name}`);
  console.log(`${checks.length - failed.length} passed, ${failed.length} failed`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}
