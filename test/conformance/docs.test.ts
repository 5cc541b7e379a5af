/** docs/conformance.md says which assertions are shown: just those that names of tests begin with. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(root, 'docs/conformance.md'), 'utf8');

interface Section {
  name: string;
  /** Numbers or codes of errors. */
  shown: string[];
  others: string[];
}

const sections: Section[] = page
  .split('\n### ')
  .slice(1)
  .map((text) => {
    const section: Section = { name: text.slice(0, text.indexOf('\n')), shown: [], others: [] };
    for (const [, items = '', word = ''] of text.matchAll(
      /^\| ([\d, `A-Z]+?) +\|.*\| (yes|no: \S.*?) +\|$/gm,
    )) {
      const list = word === 'yes' ? section.shown : section.others;
      list.push(...items.replaceAll('`', '').split(', '));
    }
    return section;
  });

interface Total {
  name: string;
  all: number;
  shown: number;
  files: string[];
}

const totals: Total[] = [...page.matchAll(/^\| (`?)([a-z_ ]+)\1 +\| (\d+) +\| (\d+) +\| (.*?) *\|$/gm)].map(
  ([, , name = '', all, shown, files = '']) => ({
    name: name.trim(),
    all: Number(all),
    shown: Number(shown),
    files: [...files.matchAll(/`([^`]+)`/g)].map(([, file]) => file as string),
  }),
);

/** What names of tests begin with, as in 'mq_open 3, 29, mq_unlink 7: …': the items of each interface. */
function itemsOfTests(file: string): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  const item = '(?:\\d+|E[A-Z\\d]+)';
  const group = `[a-z_]+ ${item}(?:, ${item})*`;
  const titles = new RegExp(`['"](${group}(?:, ${group})*): `, 'g');
  for (const [, title = ''] of readFileSync(join(root, file), 'utf8').matchAll(titles)) {
    for (const [, name = '', items = ''] of title.matchAll(
      new RegExp(`([a-z_]+) (${item}(?:, ${item})*)`, 'g'),
    )) {
      const known = found.get(name) ?? new Set();
      for (const each of items.split(', ')) known.add(each);
      found.set(name, known);
    }
  }
  return found;
}

it.each(sections)('the tests of $name show what the page says, and it has a word for the rest', (section) => {
  const { name, shown, others } = section;
  const total = totals.find((each) => each.name === name);
  const ofTests = total?.files.map((file) => itemsOfTests(file).get(name) ?? new Set<string>()) ?? [];
  for (const items of ofTests) expect(items).not.toEqual(new Set());
  expect([...new Set(ofTests.flatMap((items) => [...items]))].sort()).toEqual([...shown].sort());
  expect(new Set([...shown, ...others]).size).toBe(shown.length + others.length);
  expect(total).toMatchObject({ shown: shown.length, all: shown.length + others.length });
});

describe('the page', () => {
  it('counts 130 assertions of message queues and 80 of semaphores, as the Open POSIX Test Suite does', () => {
    const sum = (prefix: string) => {
      const those = totals.filter(({ name }) => name.startsWith(prefix));
      const add = (key: 'all' | 'shown') => those.reduce((sum, each) => sum + each[key], 0);
      return { all: add('all'), shown: add('shown') };
    };
    const told = (name: string) => totals.find((each) => each.name === name);
    expect(told('message queues')).toMatchObject({ ...sum('mq_'), all: 130 });
    expect(told('semaphores')).toMatchObject({ ...sum('sem_'), all: 80 });
    const posix = ['mq_', 'sem_'].map(sum).reduce((all, each) => all + each.shown, 0);
    const every = totals.filter(({ files }) => files.length > 0).reduce((all, each) => all + each.shown, 0);
    expect(told('all')).toMatchObject({ shown: every - posix });
  });

  it('has a table for each interface that it counts', () => {
    const counted = totals.filter(({ files }) => files.length > 0).map(({ name }) => name);
    expect(counted.sort()).toEqual(sections.map(({ name }) => name).sort());
  });
});
