// Which lines of lib/ have run, from what V8 counted (NODE_V8_COVERAGE) in dist/, in the processes of a whole
// run together. A line has run if any code that came of it has, as a module or in the bundle, in any process.
// Lines without code (comments, types, a lone bracket) don't count.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/**
 * @typedef {{ file: string, lines: number, run: number, missing: number[] }} FileCount
 * @typedef {{ startOffset: number, endOffset: number, count: number }} Range inner ones after those around them
 * @typedef {{ url: string, functions: { ranges: Range[] }[] }} Script
 */

export class LineCounts {
  /** Of each script by its URL: a byte for each of its characters, 1 if it has run. @type {Map<string, Uint8Array>} */
  #run = new Map();
  /** @param {string} root of the package */
  constructor(root) {
    this.root = root;
    // It has all code, whether a process loads it or not.
    this.#runOf(pathToFileURL(join(root, 'dist/bundle/index.js')).href);
  }

  /**
   * Takes in what processes have written into a folder so far, and removes it: a whole run writes gigabytes.
   * Gives the number of files that it can't read: not yet complete or, after the run, of processes that were killed.
   *
   * @param {string} folder
   */
  takeIn(folder) {
    let incomplete = 0;
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      /** @type {{ result: Script[] }} */
      let counted;
      try {
        counted = JSON.parse(readFileSync(path, 'utf8'));
      } catch {
        incomplete++;
        continue;
      }
      for (const script of counted.result) this.#add(script);
      rmSync(path);
    }
    return incomplete;
  }

  /** @param {Script} script */
  #add({ url, functions }) {
    if (!url.startsWith(pathToFileURL(join(this.root, 'dist/')).href)) return;
    const all = this.#runOf(url);
    const here = new Uint8Array(all.length);
    for (const { ranges } of functions) {
      for (const { startOffset, endOffset, count } of ranges)
        here.fill(count > 0 ? 1 : 0, startOffset, endOffset);
    }
    for (let at = 0; at < all.length; at++)
      all[at] = /** @type {number} */ (all[at]) | /** @type {number} */ (here[at]);
  }

  /** @param {string} url */
  #runOf(url) {
    const known = this.#run.get(url);
    if (known) return known;
    const text = new Uint8Array(readFileSync(fileURLToPath(url), 'utf8').length);
    this.#run.set(url, text);
    return text;
  }

  /** @returns {FileCount[]} */
  files() {
    /** Of each source its lines with code, and whether they have run. @type {Map<string, Map<number, boolean>>} */
    const sources = new Map();
    for (const [url, run] of this.#run) this.#addLines(sources, fileURLToPath(url), run);
    return [...sources].map(([source, lines]) => {
      const missing = [...lines]
        .flatMap(([line, hasRun]) => (hasRun ? [] : [line + 1]))
        .sort((a, b) => a - b);
      return {
        file: relative(this.root, source),
        lines: lines.size,
        run: lines.size - missing.length,
        missing,
      };
    });
  }

  /**
   * @param {Map<string, Map<number, boolean>>} all
   * @param {string} path of the script
   * @param {Uint8Array} run
   */
  #addLines(all, path, run) {
    const { sources, mappings } = JSON.parse(readFileSync(`${path}.map`, 'utf8'));
    const starts = lineStarts(readFileSync(path, 'utf8'));
    const texts = /** @type {string[]} */ (sources).map((source) => {
      const file = join(dirname(path), source);
      const lines = all.get(file) ?? new Map();
      all.set(file, lines);
      return { lines, text: readFileSync(file, 'utf8').split('\n') };
    });
    for (const { line, column, source, sourceLine } of decode(mappings)) {
      const { lines, text } = /** @type {typeof texts[number]} */ (texts[source]);
      if (!hasCode(text[sourceLine] ?? '')) continue;
      const at = /** @type {number} */ (starts[line]) + column;
      lines.set(sourceLine, lines.get(sourceLine) === true || run[at] === 1);
    }
  }
}

/** The map of a method begins where its comment does. @param {string} line */
function hasCode(line) {
  return /[^\s{}()[\];,]/.test(line) && !/^\s*(\/\/|\/\*|\*( |\/|$))/.test(line);
}

/** @param {string} text */
function lineStarts(text) {
  const starts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/**
 * The places of a source map: https://tc39.es/ecma426/, "mappings". All count from 0.
 *
 * @param {string} mappings
 */
function* decode(mappings) {
  let source = 0;
  let sourceLine = 0;
  for (const [line, segments] of mappings.split(';').entries()) {
    let column = 0;
    for (const segment of segments.split(',')) {
      const fields = numbers(segment);
      if (fields[0] === undefined) continue;
      column += fields[0];
      if (fields[1] === undefined || fields[2] === undefined) continue; // code of nowhere
      source += fields[1];
      sourceLine += fields[2];
      yield { line, column, source, sourceLine };
    }
  }
}

/** Base64 VLQ: five bits a digit, the least first, of which the first holds the sign. @param {string} segment */
function numbers(segment) {
  const found = [];
  let value = 0;
  let shift = 0;
  for (const digit of segment) {
    const bits = digits.indexOf(digit);
    value += (bits & 31) << shift;
    shift += 5;
    if (bits & 32) continue;
    found.push(value & 1 ? -(value >> 1) : value >> 1);
    value = 0;
    shift = 0;
  }
  return found;
}
