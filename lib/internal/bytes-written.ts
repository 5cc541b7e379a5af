/** Errors of calls that move data, which tell how far it came. */

export function withBytesWritten(error: unknown, bytesWritten: number): unknown {
  if (error instanceof Error && !('bytesWritten' in error)) Object.assign(error, { bytesWritten });
  return error;
}
