/** What docs/architecture.md and docs/security.md point to is there: files, functions, and sentences of tests. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const filesBelow = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => `${folder}/${file}`)
    .filter((file) => statSync(join(root, file)).isFile());

/** The page by its headings, without pieces of code. */
const sectionsOf = (page: string) => page.replace(/^```.*?^```$/gms, '').split(/^## /m);

const spansOf = (section: string) => [...section.matchAll(/`([^`]+)`/g)].map(([, span]) => span as string);
const ours = /^(?:lib|native|test|bench|examples|scripts|docs)\//;
const isPath = (span: string) => ours.test(span) || ['binding.gyp', 'CMakeLists.txt'].includes(span);
/** `send`, `#accept`, `Role::Leave`, `interproc_leave`; with what it is called on, only the last part of it. */
const identifier = /^(?:[A-Za-z_]\w*(?:::|\.))?(#?[A-Za-z_]\w*)(?:\(.*\))?$/;

function isIn(text: string, name: string): boolean {
  return new RegExp(`(?<![\\w#])${name}(?!\\w)`).test(text);
}

describe('docs/architecture.md', () => {
  const sections = sectionsOf(read('docs/architecture.md'));
  const sources = [...filesBelow('lib'), ...filesBelow('native'), 'binding.gyp'].filter((file) =>
    /\.(ts|cc|h|gyp)$/.test(file),
  );

  it('names files and folders that exist', () => {
    const paths = sections.flatMap(spansOf).filter(isPath);
    expect(paths.length).toBeGreaterThan(80);
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  it('names functions, classes and words that the files of the same section have', () => {
    const missing = sections.flatMap((section) => {
      const spans = spansOf(section);
      const files = spans.filter((span) => /\.(ts|cc|h|gyp)$/.test(span) && sources.includes(span));
      const text = (files.length === 0 ? sources : files).map(read).join('\n');
      const names = spans.flatMap((span) => (isPath(span) ? [] : (identifier.exec(span)?.[1] ?? [])));
      return names.filter((name) => !isIn(text, name));
    });
    expect(missing).toEqual([]);
  });

  it('is found out where it names what is not there', () => {
    expect(isIn('  #accept(data) {', '#accept')).toBe(true);
    expect(isIn('  #acceptAll(data) {', '#accept')).toBe(false);
    expect(identifier.exec('Role::Leave')?.[1]).toBe('Leave');
    expect(identifier.exec('sender.send(data)')?.[1]).toBe('send');
  });
});

describe('docs/security.md', () => {
  const pointers = [
    ...read('docs/security.md')
      .replace(/\s+/g, ' ')
      .matchAll(/`(test\/[\w/.-]+)`(?:: ((?:"[^"]+"(?:, )?)+))?/g),
  ];

  it('points to tests that exist, by the names that they have', () => {
    expect(pointers.length).toBeGreaterThan(20);
    const missing = pointers.flatMap(([, file = '', names = '']) => {
      if (!existsSync(join(root, file))) return [file];
      const text = read(file).replaceAll("\\'", "'");
      const quoted = [...names.matchAll(/"([^"]+)"/g)].map(([, name]) => name as string);
      return quoted.filter((name) => !text.includes(name)).map((name) => `${name} in ${file}`);
    });
    expect(missing).toEqual([]);
  });
});
