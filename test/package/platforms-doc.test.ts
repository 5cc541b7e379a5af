/** docs/platforms.md tells of each runtime that the matrix runs, and of each gap that it knows. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { gaps, list } from '../../scripts/matrix/runtimes.js';

const page = readFileSync(new URL('../../docs/platforms.md', import.meta.url), 'utf8');
const rows = page.split('\n').filter((line) => line.startsWith('|'));

it.each(Object.entries(list))(
  'docs/platforms.md names the version of %s that is tried',
  (_name, { version }) => {
    expect(rows.some((row) => row.includes(version))).toBe(true);
  },
);

const known = Object.entries(gaps).flatMap(([runtime, tests]) =>
  Object.entries(tests).map(([test, gap]) => ({ runtime, test, gap })),
);

it.each(known)('docs/platforms.md tells what to do about the gap of $runtime in "$test"', ({ gap }) => {
  const row = rows.find((row) => row.includes(gap.lacks));
  expect(row).toContain(`\`${gap.error}\``);
  expect(row).toContain(gap.instead);
});

it('gaps are those of runtimes that the matrix runs', () => {
  for (const runtime of Object.keys(gaps)) expect(Object.keys(list)).toContain(runtime);
});
