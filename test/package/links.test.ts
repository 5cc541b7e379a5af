/** Links of the pages lead to files and headings that exist. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const pages = [
  ...readdirSync(root).filter((file) => file.endsWith('.md')),
  ...readdirSync(join(root, 'docs')).map((file) => `docs/${file}`),
];
const withoutCode = (text: string) => text.replace(/^ *```.*?^ *```$/gms, '');
const textOf = (page: string) => withoutCode(readFileSync(join(root, page), 'utf8'));

/** As code hosts and typedoc make anchors of headings. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.matchAll(/^#{1,6} (.*)$/gm)].map(([, heading]) => heading as string);
  const slugs = headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{Letter}\p{Number}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );
  return new Set(slugs);
}

/** What is wrong with the links of a page. */
function brokenLinks(page: string, text: string): string[] {
  const targets = [...text.replace(/`[^`\n]*`/g, '').matchAll(/\]\(([^)\s]+)\)/g)].map(
    ([, target]) => target as string,
  );
  return targets.filter((target) => {
    if (/^https?:/.test(target)) return false;
    const [path = '', anchor] = target.split('#');
    const file = path === '' ? page : relative(root, join(root, dirname(page), path));
    if (file.startsWith('..') || !existsSync(join(root, file))) return true;
    return anchor !== undefined && !anchorsOf(file === page ? text : textOf(file)).has(anchor);
  });
}

it.each(pages)('%s has links that lead somewhere', (page) => {
  expect(brokenLinks(page, textOf(page))).toEqual([]);
});

it('a link that leads nowhere is found', () => {
  const text =
    '## A b: `c`\n\n[1](#a-b-c) [2](#a-b) [3](memory.md#closing) [4](memory.md#open) [5](none.md) [6](../../x)';
  expect(brokenLinks('docs/channel.md', text)).toEqual(['#a-b', 'memory.md#open', 'none.md', '../../x']);
});

it('the README leads to every page of docs/', () => {
  const readme = textOf('README.md');
  expect(pages.filter((page) => page.startsWith('docs/') && !readme.includes(`](${page})`))).toEqual([]);
});
