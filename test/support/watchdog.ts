/** How long tests wait for what hangs. No test measures time: these only end one that never would. */

/** Factor of all of them, for runs that are slower than others, as under a sanitizer. */
export const patience = Number(process.env.INTERPROC_TEST_PATIENCE ?? 1);
/** For other processes: less than the test's own, so that it can tell what they said. */
export const watchdogMs = 50_000 * patience;
