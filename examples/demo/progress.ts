/** What is going on, on stderr: a moving line on a terminal, elsewhere a line for each mover. */
import type { SourceFile } from './source-file.js';

const redrawMs = 100;
const clearLine = '\r\x1b[2K';

export class Progress {
  readonly #source: SourceFile;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #shown = new Set<string>();
  #line = 'reading the file:';

  constructor(source: SourceFile) {
    this.#source = source;
    if (process.stderr.isTTY) this.#timer = setInterval(() => this.#draw(), redrawMs);
  }

  /** The mover `id` begins a `step`. */
  show(id: string, step: string): void {
    this.#line = `${step}: ${id}`;
    if (this.#timer === undefined && !this.#shown.has(id)) process.stderr.write(`demo: ${id}\n`);
    this.#shown.add(id);
  }

  stop(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    process.stderr.write(clearLine);
  }

  #draw(): void {
    const percent = Math.floor((100 * this.#source.position) / this.#source.bytes);
    process.stderr.write(`${clearLine}${this.#line} ${percent}%`);
  }
}
