/** The failpoints that the sources name, by whether they are of locks or of channels. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

function namesIn(place: string, pattern: RegExp): string[] {
  const files = existsSync(join(root, place, '.'))
    ? readdirSync(join(root, place), { recursive: true, encoding: 'utf8' }).map((file) => join(place, file))
    : [place];
  const sources = files.filter((file) => /\.(h|cc|ts)$/.test(file));
  return sources.flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(pattern)].map(([, name]) => name as string),
  );
}

export const inHeader: string[] = namesIn('native/include', /INTERPROC_FAILPOINT\("([^"]+)"\)/g);
export const inAddon: string[] = namesIn('native/os', /\bFailpoint\("([^"]+)"\)/g);
export const inLib: string[] = namesIn(
  'lib',
  /\bfailpoint\(\s*(?:\w+ \? '[^']+' : )?'([^']+)',?\s*\)/g,
).concat(namesIn('lib', /\bfailpoint\(\s*\w+ \? '([^']+)'/g));

/** Those that lock-failpoints.test.ts walks; all others are those of failpoints.test.ts. */
export function isOfLocks(name: string): boolean {
  return /^(lock|rwlock|condition|barrier|event|once)\./.test(name);
}

export type LanguageName = 'Node' | 'C';

/** One death. */
export interface Walk {
  language: LanguageName;
  failpoint: string;
  hit: number;
  /** What the victim does, and how. */
  form: string;
}

/** Which steps each language was made to die at; what the sources have beyond is a step that was forgotten. */
export const reached: Record<LanguageName, Set<string>> = { Node: new Set(), C: new Set() };

/** Each of the forms dies at each of the steps. */
export function walks(language: LanguageName, forms: string[], failpoints: string[], hits: number[]): Walk[] {
  return failpoints.flatMap((failpoint) =>
    forms.flatMap((form) =>
      hits.map((hit) => {
        reached[language].add(failpoint);
        return { language, failpoint, hit, form };
      }),
    ),
  );
}
