/** A failure whose message says all that the reader needs: printed without a stack. */
export class DemoError extends Error {}
