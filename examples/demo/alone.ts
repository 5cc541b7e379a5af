/** The floor: what reading the file and checking it costs when it isn't moved at all. */
import type { Algorithm } from './digest.js';
import { inSeconds, type Move, type Mover } from './move.js';
import type { SourceFile } from './source-file.js';

export class Alone implements Mover {
  readonly id = 'alone';
  readonly name = 'for comparison: one process, which reads and checks';

  async move(source: SourceFile, algorithm: Algorithm): Promise<Move> {
    const cpuBefore = process.cpuUsage();
    const start = performance.now();
    const digest = await source.digest(algorithm);
    const seconds = (performance.now() - start) / 1e3;
    return { digest, seconds, cpuSeconds: inSeconds(process.cpuUsage(cpuBefore)) };
  }

  async close(): Promise<void> {}
}
