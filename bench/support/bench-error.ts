/** A failure that its message explains. */
export class BenchError extends Error {}
