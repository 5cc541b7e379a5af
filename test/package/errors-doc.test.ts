/** docs/errors.md is the one catalogue of errors: what lib/ throws is in it, and nothing else. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const catalogue = readFileSync(join(root, 'docs/errors.md'), 'utf8');
const rows = catalogue.split('\n').filter((line) => line.startsWith('| '));

const sources = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(join(root, 'lib', file), 'utf8'))
  .join('\n');

function matches(text: string, pattern: RegExp): string[] {
  return [...new Set([...text.matchAll(pattern)].map(([, found]) => found as string))].sort();
}

it('the catalogue has a row for every code of this package and of Node that lib/ throws, and no other', () => {
  const thrown = matches(sources, /'(ERR_[A-Z_]+)'/g);
  expect(thrown).not.toEqual([]);
  expect(matches(rows.join('\n'), /^\| `(ERR_[A-Z_]+)` +\|/gm)).toEqual(thrown);
  expect(matches(catalogue, /\b(ERR_[A-Z_]*[A-Z])(?![A-Z_])/g)).toEqual(thrown);
});

it('the catalogue has a row for every failure that lib/ explains', () => {
  // The keys of `limits` in lib/internal/system-error.ts: 'ENOMEM mlock', or a code alone.
  const explained = matches(sources, /^ {2}'?(E[A-Z]+(?: [a-z_]+)?)'?: ?(?:\(|\w+,$)/gm);
  expect(explained).toContain('ENOMEM mlock');
  expect(explained).toContain('EMFILE');
  const missing = explained.filter((key) => {
    const words = key.split(' ').map((word) => `\`${word}\``);
    return !rows.some((row) => words.every((word) => row.includes(word)));
  });
  expect(missing).toEqual([]);
});
