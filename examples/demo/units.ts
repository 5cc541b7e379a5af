/** Megabytes of 10^6 bytes, as disks and networks count them, with `digits` after the point. */
export function inMegabytes(bytes: number, digits = 1): string {
  return (bytes / 1e6).toFixed(digits);
}
