/** The two checks of what was moved: SHA-256 once, and in the timed rounds CRC-32, which costs next to nothing. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

export type Algorithm = 'sha256' | 'crc32';

export interface Digest {
  update(bytes: Uint8Array): void;
  /** Lower-case hex. */
  result(): string;
}

export function startDigest(algorithm: Algorithm): Digest {
  if (algorithm === 'crc32') {
    let crc = 0;
    return {
      update: (bytes) => {
        crc = crc32(bytes, crc);
      },
      result: () => crc.toString(16).padStart(8, '0'),
    };
  }
  const hash = createHash(algorithm);
  return { update: (bytes) => void hash.update(bytes), result: () => hash.digest('hex') };
}
